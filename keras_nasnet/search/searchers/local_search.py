"""Hill climbing over single decisions with restarts (White et al. 2021)."""

from collections.abc import Sequence
from typing import Any

from keras_nasnet.check import check_integers
from keras_nasnet.search.searchers.searcher import Canonical, Searcher
from keras_nasnet.search.space import Choices, Decision


class LocalSearch(Searcher):
    """Tries the neighbours of the best trial so far; restarts once all are tried.

    Neighbours differ in one decision. A better one becomes the best at once.

    Args:
        decisions, seed, canonical: as in `Searcher`.
        num_starts: int >= 1, random trials whose best starts a climb. Default 10.

    Raises:
        ValueError: as `Searcher`, or if `num_starts` is below 1.

    Reference:
        White et al. 2021, arXiv:2005.02960.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        seed: int | None = None,
        *,
        canonical: Canonical | None = None,
        num_starts: int = 10,
    ) -> None:
        super().__init__(decisions, seed, canonical=canonical)
        check_integers(1, num_starts=num_starts)
        self.num_starts = num_starts
        self._climb_start = 0  # how many trials had been told when this climb began

    def _propose(self) -> Choices:
        climb = [
            (reward, self.choices[key])
            for key, reward in list(self.rewards.items())[self._climb_start :]
            if reward is not None
        ]
        if len(climb) < self.num_starts:
            return self._random()
        _, best = max(climb)
        neighbours = self._neighbours(best)
        for index in self.rng.permutation(len(neighbours)):
            if self._is_new(neighbours[index]):
                return neighbours[index]
        self._climb_start = len(self.rewards)
        return self._random()

    def _neighbours(self, choices: Choices) -> list[Choices]:
        return [
            (*choices[:place], value, *choices[place + 1 :])
            for place, count in enumerate(self.counts.tolist())
            for value in range(count)
            if value != choices[place]
        ]

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {"climb_start": self._climb_start}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._climb_start = state["climb_start"]
