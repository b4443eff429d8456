"""The predictor is scikit-learn's Gaussian process, of what cells have in common."""

from itertools import product

import numpy as np
import pytest

from keras_nasnet.search import PredictorSearcher, SearchSpace
from keras_nasnet.search.searchers.predictor import (
    DECAYS,
    NOISES,
    GaussianProcess,
    likeliest,
    normal_scores,
)


def test_the_predictor_is_scikit_learns_gaussian_process():
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF

    rng = np.random.default_rng(5)
    features, others = rng.normal(size=(40, 3)), rng.normal(size=(20, 3))
    scores = rng.normal(size=40)
    model = GaussianProcess(features[:30], 2.0, 0.1)
    for added in features[30:]:
        model.add(added)
    # exp(-2 d^2) = exp(-d^2 / (2 length^2))
    theirs = GaussianProcessRegressor(RBF(np.sqrt(1 / 4)), alpha=0.1, optimizer=None)
    mean, deviation = theirs.fit(features, scores).predict(others, return_std=True)
    ours_mean, ours_deviation = model(others, scores)
    np.testing.assert_allclose(ours_mean, mean, atol=1e-9)
    np.testing.assert_allclose(ours_deviation, deviation, atol=1e-9)

    def log_likelihood(settings):
        decay, noise = settings
        kernel = RBF(np.sqrt(1 / (2 * decay)))
        return (
            GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
            .fit(features, scores)
            .log_marginal_likelihood_value_
        )

    assert likeliest(features, scores) == max(product(DECAYS, NOISES), key=log_likelihood)


def test_decisions_without_meaning_are_as_far_apart_as_many_differ():
    searcher = PredictorSearcher([("one", 3), ("two", 4), ("three", 2), ("four", 2)])
    one, other = searcher.features(np.array([[2, 3, 0, 1], [0, 3, 1, 0]]))
    assert ((one - other) ** 2).sum() == pytest.approx(3 / 4)


def test_cells_are_known_by_what_they_have_in_common():
    """A reward of the number of identities, wherever they are, is soon predicted."""
    space = SearchSpace()
    identity = space.operations.index("identity")
    operations = [place for place, (name, _) in enumerate(space) if name.endswith("_op")]

    def most_identities(decisions, seed):
        searcher = PredictorSearcher(decisions, seed)
        for trial in map(str, range(40)):
            choices = list(searcher.ask(trial).values())
            searcher.tell(trial, sum(choices[place] == identity for place in operations))
        return max(searcher.rewards.values())

    seeds = range(3)
    of_cells = np.mean([most_identities(space, seed) for seed in seeds])
    assert of_cells > np.mean([most_identities(list(space), seed) for seed in seeds]) + 1


def test_normal_scores_are_ranks():
    scores = normal_scores([3.0, None, 5.0, 3.0])
    assert scores[1] < scores[0] == scores[3] < scores[2]
    assert [-scores[1], scores[2]] == pytest.approx([0.8416] * 2, abs=1e-4)
