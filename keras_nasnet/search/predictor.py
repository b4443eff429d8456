"""A cheap model of the rewards told so far, and the search that it guides."""

from functools import lru_cache
from itertools import product
from math import erf, pi, sqrt
from statistics import NormalDist

import numpy as np

from keras_nasnet.search.searcher import Searcher, check_at_least
from keras_nasnet.search.space import Choices

MAX_EXAMPLES = 400  # fitting takes the cube of it
MAX_MUTATIONS = 3
# Our choice: what the likelihood chooses from, spread so that either end is rarely taken.
DECAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
NOISES = (0.01, 0.1, 0.5)
REFIT_GROWTH = 1.15  # of the number of trials, until decay and noise are chosen anew


class GaussianProcess:
    """Regression on choices, which are the more alike the fewer decisions differ.

    Its kernel is `exp(-decay * share of decisions that differ)`.

    Args:
        choices: int array `(examples, decisions)`.
        scores: float array `(examples,)`, of mean 0 and variance about 1.
        decay: float > 0.
        noise: float > 0, variance of a score that the choices do not explain.

    Call arguments:
        choices: int array `(candidates, decisions)`.

    Returns:
        Mean and standard deviation of the candidates' scores, two float arrays `(candidates,)`.

    Reference:
        Rasmussen and Williams 2006, algorithm 2.1.
    """

    def __init__(self, choices, scores, decay: float, noise: float) -> None:
        self.choices, self.decay, self.noise = choices, decay, noise
        kernel = np.exp(-decay * _share_differing(choices, choices))
        self._whiten = np.linalg.inv(np.linalg.cholesky(kernel + noise * np.eye(len(scores))))
        whitened = self._whiten @ scores
        self._weights = self._whiten.T @ whitened
        self.log_likelihood = np.log(np.diag(self._whiten)).sum() - whitened @ whitened / 2

    def __call__(self, choices) -> tuple[np.ndarray, np.ndarray]:
        kernel = np.exp(-self.decay * _share_differing(choices, self.choices))
        variance = 1 - ((kernel @ self._whiten.T) ** 2).sum(1)
        return kernel @ self._weights, np.sqrt(np.maximum(variance, 1e-9))


def _share_differing(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Share of the decisions that differ, for each pair of choices."""
    values = np.arange(max(one.max(), other.max()) + 1)
    one_hot, other_hot = (
        (choices[..., None] == values).reshape(len(choices), -1).astype("float32")
        for choices in (one, other)
    )
    return 1 - (one_hot @ other_hot.T).astype("float64") / one.shape[1]


def normal_scores(rewards) -> np.ndarray:
    """The quantiles of a normal distribution that the ranks of rewards are.

    Args:
        rewards: sequence of float, or None for the worst.

    Returns:
        Float array `(rewards,)`; equal rewards have equal scores.
    """
    values = np.array([-np.inf if reward is None else reward for reward in rewards])
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # of equal ones their mean, from 1
    return np.array([_quantile(rank / (len(values) + 1)) for rank in ranks])[places]


@lru_cache(maxsize=1 << 16)
def _quantile(share: float) -> float:
    return NormalDist().inv_cdf(share)


class Predictor:
    """Orders candidates by the improvement on a searcher's best trial to be expected of them.

    What it says is a function of the trials that were told, whenever it was made.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self._fit = lru_cache(maxsize=1)(self._fitted)
        self._settings = lru_cache(maxsize=1)(self._likeliest)

    def best_first(self, candidates: np.ndarray) -> np.ndarray:
        """Candidates `(candidates, decisions)` in the order of expected improvement.

        Reference:
            Jones et al. 1998, equation 15.
        """
        model, best = self._fit(len(self.searcher.rewards))
        mean, deviation = model(candidates)
        z = (mean - best) / deviation
        cumulative = np.array([(1 + erf(value / sqrt(2))) / 2 for value in z])
        improvement = deviation * (z * cumulative + np.exp(-(z**2) / 2) / sqrt(2 * pi))
        return candidates[np.argsort(-improvement, kind="stable")]

    def _fitted(self, num_trials):
        exponent = int(np.emath.logn(REFIT_GROWTH, num_trials) + 1e-9)
        decay, noise = self._settings(round(REFIT_GROWTH**exponent))
        choices, scores = self._examples(num_trials)
        return GaussianProcess(choices, scores, decay, noise), scores.max()

    def _likeliest(self, num_trials):
        """Decay and noise of the greatest likelihood for the trials told first."""
        examples = self._examples(num_trials)
        models = (GaussianProcess(*examples, *both) for both in product(DECAYS, NOISES))
        best = max(models, key=lambda model: model.log_likelihood)
        return best.decay, best.noise

    def _examples(self, num_trials):
        """Choices and scores of trials told first: the best half and the newest of too many."""
        keys = list(self.searcher.rewards)[:num_trials]
        scores = normal_scores([self.searcher.rewards[key] for key in keys])
        kept = np.arange(len(keys))
        if len(keys) > MAX_EXAMPLES:
            best = np.argsort(-scores, kind="stable")[: MAX_EXAMPLES // 2]
            kept = np.union1d(kept[-MAX_EXAMPLES // 2 :], best)
        choices = np.array([self.searcher.choices[keys[i]] for i in kept], "int16")
        return choices, scores[kept]


class PredictorSearcher(Searcher):
    """Tries those of many candidates that a `Predictor` puts first.

    Candidates are the best trials with one to three decisions drawn anew, and random choices.

    Args:
        decisions, seed, canonical: as in `Searcher`.
        num_starts: int >= 2, random trials at first. Default 20.
        num_candidates: int >= 1. Default 400, of which a quarter are random.
        num_parents: int >= 1, the best trials, to draw from. Default 10.

    Raises:
        ValueError: as `Searcher`, or if a number is too small.
    """

    def __init__(
        self,
        decisions,
        seed=None,
        *,
        canonical=None,
        num_starts=20,
        num_candidates=400,
        num_parents=10,
    ):
        super().__init__(decisions, seed, canonical=canonical)
        check_at_least(2, num_starts=num_starts)
        check_at_least(1, num_candidates=num_candidates, num_parents=num_parents)
        self.num_starts, self.num_candidates = num_starts, num_candidates
        self.num_parents = num_parents
        self._predictor = Predictor(self)

    def _propose(self) -> Choices:
        if len(self.rewards) < self.num_starts:
            return self._random()
        return self._first_new(self._predictor.best_first(self._candidates()))

    def _candidates(self) -> np.ndarray:
        best = self._best_first()[: self.num_parents]
        parents = np.array([self.choices[trial_id] for trial_id in best], "int16")
        candidates = self.rng.choice(parents, self.num_candidates)
        num_mutations = self.rng.integers(1, MAX_MUTATIONS + 1, len(candidates))
        for mutation in range(MAX_MUTATIONS):
            rows = np.flatnonzero(num_mutations > mutation)
            places = self.rng.integers(len(self.counts), size=len(rows))
            candidates[rows, places] = self.rng.integers(self.counts[places])
        random = candidates[: len(candidates) // 4]
        random[:] = self.rng.integers(self.counts, size=random.shape)
        return candidates

    def set_state(self, state):
        super().set_state(state)
        self._predictor = Predictor(self)
