"""A cheap model of the rewards told so far, and the search that it guides."""

from collections.abc import Iterable, Sequence
from math import pi, sqrt
from typing import Any

import numpy as np

from keras_nasnet.check import check_integers
from keras_nasnet.optional import import_optional
from keras_nasnet.search.searchers.searcher import Canonical, Searcher
from keras_nasnet.search.space import Choices, Decision

special = import_optional("scipy.special", "search")

MAX_EXAMPLES = 200  # whenever the model is made anew, which takes the cube of it
MAX_MUTATIONS = 3
# Our choice: what the likelihood chooses from, spread so that either end is rarely taken.
DECAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
NOISES = (0.01, 0.1, 0.5)
REFIT_GROWTH = 1.3  # of the number of trials, until the model is made anew


class GaussianProcess:
    """Regression on choices, which are the more alike the fewer decisions differ.

    Its kernel is `exp(-decay * share of decisions that differ)`. Examples can be added at the cost
    of their number's square, and are worth whatever scores are given with a question.

    Args:
        choices: int array `(examples, decisions)`.
        num_values: int, above any choice.
        decay: float > 0.
        noise: float > 0, variance of a score that the choices do not explain.

    Reference:
        Rasmussen and Williams 2006, equations 2.25 and 2.26.
    """

    def __init__(self, choices: np.ndarray, num_values: int, decay: float, noise: float) -> None:
        self.num_values, self.noise = num_values, noise
        self._likeness = _likeness(choices.shape[1], decay)
        self._examples = _one_hot(choices, num_values)
        kernel = self._kernel(self._examples)
        self._precision = np.linalg.inv(kernel + noise * np.eye(len(choices)))

    def add(self, choices: np.ndarray) -> None:
        """One more example, choices `(decisions,)`, by the inverse of a bordered matrix."""
        example = _one_hot(choices[None], self.num_values)
        kernel = self._kernel(example)[0]
        column = self._precision @ kernel
        rest = 1 + self.noise - kernel @ column
        border = np.append(column, -1.0)
        self._precision = np.pad(self._precision, (0, 1))
        self._precision += np.outer(border, border / rest)
        self._examples = np.concatenate([self._examples, example])

    def __call__(self, choices: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What other choices may be worth.

        Args:
            choices: int array `(candidates, decisions)`.
            scores: float array `(examples,)`, of mean 0 and variance about 1.

        Returns:
            Mean and standard deviation of the candidates' scores, two float arrays
            `(candidates,)`.
        """
        kernel = self._kernel(_one_hot(choices, self.num_values))
        variance = 1 - ((kernel @ self._precision) * kernel).sum(1)
        return kernel @ (self._precision @ scores), np.sqrt(np.maximum(variance, 1e-9))

    def _kernel(self, one_hot: np.ndarray) -> np.ndarray:
        return self._likeness[_num_equal(one_hot, self._examples)]


def _likeness(num_decisions: int, decay: float) -> np.ndarray:
    """The kernel by the number of decisions that are equal."""
    return np.exp(decay * (np.arange(num_decisions + 1) / num_decisions - 1))


def _one_hot(choices: np.ndarray, num_values: int) -> np.ndarray:
    one_hot = choices[..., None] == np.arange(num_values, dtype=choices.dtype)
    return one_hot.reshape(len(choices), -1).astype("float32")


def _num_equal(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one @ other.T).astype("int16")


def likeliest(choices: np.ndarray, scores: np.ndarray, num_values: int) -> tuple[float, float]:
    """Decay and noise of the greatest likelihood (Rasmussen and Williams 2006, equation 2.30)."""
    one_hot = _one_hot(choices, num_values)
    num_equal = _num_equal(one_hot, one_hot)
    likelihoods = {}
    for decay in DECAYS:
        kernel = _likeness(choices.shape[1], decay)[num_equal]
        eigenvalues, vectors = np.linalg.eigh(kernel)
        squares = (vectors.T @ scores) ** 2
        for noise in NOISES:
            variances = eigenvalues + noise
            likelihoods[decay, noise] = -(squares / variances + np.log(variances)).sum()
    return max(likelihoods, key=likelihoods.__getitem__)


def normal_scores(rewards: Iterable[float | None]) -> np.ndarray:
    """The quantiles of a normal distribution that the ranks of rewards are.

    Args:
        rewards: iterable of float, or None for the worst.

    Returns:
        Float array `(rewards,)`; equal rewards have equal scores.
    """
    values = np.array([-np.inf if reward is None else reward for reward in rewards])
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # of equal ones their mean, from 1
    return special.ndtri(ranks / (len(values) + 1))[places]


class Predictor:
    """Orders candidates by the improvement on a searcher's best trial to be expected of them.

    What it says is a function of the trials that were told, whenever it was made.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self._num_values = int(searcher.counts.max())
        self._keys: list[str] = []  # of the trials in the model
        self._num_fitted = self._num_seen = 0  # trials when it was fitted anew, and by now

    def best_first(self, candidates: np.ndarray) -> np.ndarray:
        """Candidates `(candidates, decisions)` in the order of expected improvement.

        Reference:
            Jones et al. 1998, equation 15.
        """
        self._catch_up()
        rewards = self.searcher.rewards
        scores = dict(zip(rewards, normal_scores(rewards.values()), strict=True))
        mean, deviation = self._model(candidates, np.array([scores[key] for key in self._keys]))
        z = (mean - max(scores.values())) / deviation
        density = np.exp(-(z**2) / 2) / sqrt(2 * pi)
        improvement = deviation * (z * special.ndtr(z) + density)
        return candidates[np.argsort(-improvement, kind="stable")]

    def near_best(self, num_candidates: int, num_parents: int = 20) -> np.ndarray:
        """Candidates `(num_candidates, decisions)`: best trials, 1 to 3 decisions drawn anew."""
        searcher = self.searcher
        best = searcher._best_first()[:num_parents]
        parents = np.array([searcher.choices[trial_id] for trial_id in best], "int16")
        candidates = searcher.rng.choice(parents, num_candidates)
        num_mutations = searcher.rng.integers(1, MAX_MUTATIONS + 1, num_candidates)
        for mutation in range(MAX_MUTATIONS):
            rows = np.flatnonzero(num_mutations > mutation)
            places = searcher.rng.integers(len(searcher.counts), size=len(rows))
            candidates[rows, places] = searcher.rng.integers(searcher.counts[places])
        return candidates

    def _catch_up(self) -> None:
        """Takes in all trials: one by one, and all anew as often as their number has grown."""
        keys = list(self.searcher.rewards)
        exponent = int(np.emath.logn(REFIT_GROWTH, len(keys)) + 1e-9)
        num_fitted = round(REFIT_GROWTH**exponent)
        if num_fitted != self._num_fitted:
            self._fit(keys[:num_fitted])
            self._num_fitted = self._num_seen = num_fitted
        for key in keys[self._num_seen :]:
            self._model.add(np.array(self.searcher.choices[key], "int16"))
            self._keys.append(key)
        self._num_seen = len(keys)

    def _fit(self, keys: list[str]) -> None:
        """Makes the model of trials told first: the best half and the newest of too many."""
        scores = normal_scores([self.searcher.rewards[key] for key in keys])
        kept = np.arange(len(keys))
        if len(keys) > MAX_EXAMPLES:
            best = np.argsort(-scores, kind="stable")[: MAX_EXAMPLES // 2]
            kept = np.union1d(kept[-MAX_EXAMPLES // 2 :], best)
        self._keys = [keys[index] for index in kept]
        choices = np.array([self.searcher.choices[key] for key in self._keys], "int16")
        settings = likeliest(choices, scores[kept], self._num_values)
        self._model = GaussianProcess(choices, self._num_values, *settings)


class PredictorSearcher(Searcher):
    """Tries those of many candidates that a `Predictor` puts first.

    Candidates are the best trials with one to three decisions drawn anew, and random choices.

    Args:
        decisions, seed, canonical: as in `Searcher`.
        num_starts: int >= 2, random trials at first. Default 20.
        num_candidates: int >= 1. Default 400, of which a quarter are random.
        num_parents: int >= 1, the best trials, to draw from. Default 20.

    Raises:
        ValueError: as `Searcher`, or if a number is too small.
    """

    def __init__(
        self,
        decisions: Sequence[Decision],
        seed: int | None = None,
        *,
        canonical: Canonical | None = None,
        num_starts: int = 20,
        num_candidates: int = 400,
        num_parents: int = 20,
    ) -> None:
        super().__init__(decisions, seed, canonical=canonical)
        check_integers(2, num_starts=num_starts)
        check_integers(1, num_candidates=num_candidates, num_parents=num_parents)
        self.num_starts, self.num_candidates = num_starts, num_candidates
        self.num_parents = num_parents
        self._predictor = Predictor(self)

    def _propose(self) -> Choices:
        if len(self.rewards) < self.num_starts:
            return self._random()
        num_random = self.num_candidates // 4
        random = self.rng.integers(self.counts, size=(num_random, len(self.counts)), dtype="int16")
        near = self._predictor.near_best(self.num_candidates - num_random, self.num_parents)
        return self._first_new(self._predictor.best_first(np.concatenate([random, near])))

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self._predictor = Predictor(self)
