"""Regularized evolution (Real et al. 2019)."""

from collections.abc import Sequence

from keras_nasnet.check import check_integers
from keras_nasnet.search.searchers.searcher import Canonical, Searcher
from keras_nasnet.search.space import Choices, Decision


class RegularizedEvolution(Searcher):
    """Mutates the best of a sample of the population; the oldest die.

    Args:
        decisions, seed, canonical: as in `Searcher`.
        population_size: int >= 1, most recent trials, the possible parents; as many are random at
            first. Default 20.
        sample_size: int >= 1, trials whose best becomes the parent. Default 10.

    Raises:
        ValueError: as `Searcher`, or if a size is below 1.

    Reference:
        Real et al. 2019, arXiv:1802.01548, algorithm 1.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        seed: int | None = None,
        *,
        canonical: Canonical | None = None,
        population_size: int = 20,
        sample_size: int = 10,
    ) -> None:
        super().__init__(decisions, seed, canonical=canonical)
        check_integers(1, population_size=population_size, sample_size=sample_size)
        self.population_size, self.sample_size = population_size, sample_size
        self.num_starts = population_size

    def _propose(self) -> Choices:
        rewards = {key: reward for key, reward in self.rewards.items() if reward is not None}
        population = list(rewards)[-self.population_size :]
        if len(population) < self.population_size:
            return self._random()
        sample = self.rng.choice(population, min(self.sample_size, len(population)), replace=False)
        return self._mutated(self.choices[max(sample, key=rewards.__getitem__)])
