"""A cheap model of the rewards so far, and a search guided by it."""

from collections.abc import Iterable, Sequence
from math import pi, sqrt
from typing import Any

import numpy as np

from keras_nasnet.check import check_integers
from keras_nasnet.optional import import_optional
from keras_nasnet.search.searchers.searcher import Canonical, Searcher
from keras_nasnet.search.space import Choices, Decision

special = import_optional("scipy.special", "search")

MAX_EXAMPLES = 200  # whenever the model is refitted, which costs their number cubed
MAX_MUTATIONS = 3
# Our choice: the grid for the likelihood, so wide that its ends are rarely chosen.
DECAYS = (0.5, 1.0, 2.0, 4.0, 8.0)
NOISES = (0.01, 0.1, 0.5)
REFIT_GROWTH = 1.3  # of the number of trials, until the model is refitted


class GaussianProcess:
    """A Gaussian process with the kernel `exp(-decay * squared distance of the features)`.

    Examples can be added at the cost of their number squared, and take the scores given with each
    prediction.

    Args:
        features: float array `(examples, features)`.
        decay: float > 0.
        noise: float > 0, variance of scores not explained by the features.

    Reference:
        Rasmussen and Williams 2006, equations 2.25, 2.26 and 4.9.
    """

    def __init__(self, features: np.ndarray, decay: float, noise: float) -> None:
        self.decay, self.noise = decay, noise
        self._examples = features
        kernel = self._kernel(features)
        self._precision = np.linalg.inv(kernel + noise * np.eye(len(features)))

    def add(self, features: np.ndarray) -> None:
        """Adds an example, features `(features,)`, through the inverse of a bordered matrix."""
        kernel = self._kernel(features[None])[0]
        column = self._precision @ kernel
        rest = 1 + self.noise - kernel @ column
        border = np.append(column, -1.0)
        self._precision = np.pad(self._precision, (0, 1))
        self._precision += np.outer(border, border / rest)
        self._examples = np.concatenate([self._examples, features[None]])

    def __call__(self, features: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Predicts the scores of others.

        Args:
            features: float array `(candidates, features)`.
            scores: float array `(examples,)`, with mean 0 and variance about 1.

        Returns:
            Mean and standard deviation of the candidates' scores, two float arrays
            `(candidates,)`.
        """
        kernel = self._kernel(features)
        variance = 1 - ((kernel @ self._precision) * kernel).sum(1)
        return kernel @ (self._precision @ scores), np.sqrt(np.maximum(variance, 1e-9))

    def _kernel(self, features: np.ndarray) -> np.ndarray:
        return np.exp(-self.decay * _squared_distances(features, self._examples))


def _squared_distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)
    return np.maximum(squares - 2 * one @ other.T, 0)


def likeliest(features: np.ndarray, scores: np.ndarray) -> tuple[float, float]:
    """Decay and noise of maximum likelihood (Rasmussen and Williams 2006, equation 2.30)."""
    distances = _squared_distances(features, features)
    likelihoods = {}
    for decay in DECAYS:
        eigenvalues, vectors = np.linalg.eigh(np.exp(-decay * distances))
        squares = (vectors.T @ scores) ** 2
        for noise in NOISES:
            variances = eigenvalues + noise
            likelihoods[decay, noise] = -(squares / variances + np.log(variances)).sum()
    return max(likelihoods, key=likelihoods.__getitem__)


def normal_scores(rewards: Iterable[float | None]) -> np.ndarray:
    """Normal quantiles of the ranks of rewards.

    Args:
        rewards: iterable of float; None counts as the worst.

    Returns:
        Float array `(rewards,)`; equal rewards get equal scores.
    """
    values = np.array([-np.inf if reward is None else reward for reward in rewards])
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # from 1; ties share their mean
    return special.ndtri(ranks / (len(values) + 1))[places]


class Predictor:
    """Ranks candidates by expected improvement over a searcher's best trial.

    It sees of choices what a `SearchSpace` says of its cells, else which decisions differ. Its
    ranking depends only on the trials told, not on when it was created.
    """

    def __init__(self, searcher: Searcher) -> None:
        self.searcher = searcher
        self._keys: list[str] = []  # of the trials in the model
        self._num_fitted = self._num_seen = 0  # trials at the last refit, and now

    def best_first(self, candidates: np.ndarray) -> np.ndarray:
        """Candidates `(candidates, decisions)`, ordered by expected improvement.

        Reference:
            Jones et al. 1998, equation 15.
        """
        self._catch_up()
        rewards = self.searcher.rewards
        scores = dict(zip(rewards, normal_scores(rewards.values()), strict=True))
        told = np.array([scores[key] for key in self._keys])
        mean, deviation = self._model(self.searcher.features(candidates), told)
        z = (mean - max(scores.values())) / deviation
        density = np.exp(-(z**2) / 2) / sqrt(2 * pi)
        improvement = deviation * (z * special.ndtr(z) + density)
        return candidates[np.argsort(-improvement, kind="stable")]

    def near_best(self, num_candidates: int, num_parents: int = 20) -> np.ndarray:
        """Candidates `(num_candidates, decisions)`: best trials with 1 to 3 decisions redrawn."""
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
        """Adds new trials one by one, and refits on all when their number has grown enough."""
        keys = list(self.searcher.rewards)
        exponent = int(np.emath.logn(REFIT_GROWTH, len(keys)) + 1e-9)
        num_fitted = round(REFIT_GROWTH**exponent)
        if num_fitted != self._num_fitted:
            self._fit(keys[:num_fitted])
            self._num_fitted = self._num_seen = num_fitted
        for key in keys[self._num_seen :]:
            self._model.add(self._features([key])[0])
            self._keys.append(key)
        self._num_seen = len(keys)

    def _fit(self, keys: list[str]) -> None:
        """Fits the model on the trials so far; if too many, on the best half and the newest."""
        scores = normal_scores([self.searcher.rewards[key] for key in keys])
        kept = np.arange(len(keys))
        if len(keys) > MAX_EXAMPLES:
            best = np.argsort(-scores, kind="stable")[: MAX_EXAMPLES // 2]
            kept = np.union1d(kept[-MAX_EXAMPLES // 2 :], best)
        self._keys = [keys[index] for index in kept]
        features = self._features(self._keys)
        self._model = GaussianProcess(features, *likeliest(features, scores[kept]))

    def _features(self, keys: list[str]) -> np.ndarray:
        return self.searcher.features(np.array([self.searcher.choices[key] for key in keys]))


class PredictorSearcher(Searcher):
    """Tries the candidates that a `Predictor` ranks first.

    Candidates are the best trials with one to three decisions redrawn, and random choices.

    Args:
        decisions, seed, canonical: as in `Searcher`.
        num_starts: int >= 2, initial random trials. Default 20.
        num_candidates: int >= 1. Default 400; a quarter are random.
        num_parents: int >= 1, number of best trials to draw from. Default 20.

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
