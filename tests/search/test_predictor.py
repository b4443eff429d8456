"""The predictor is scikit-learn's Gaussian process."""

from itertools import product

import numpy as np
import pytest

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
    counts = [3, 4, 2]
    choices = rng.integers(counts, size=(40, 3))
    scores = rng.normal(size=40)
    others = rng.integers(counts, size=(20, 3))
    model = GaussianProcess(choices[:30], 4, 2.0, 0.1)
    for added in choices[30:]:
        model.add(added)

    def one_hot(choices):
        # Squared distances are twice the number of decisions that differ.
        return np.concatenate(
            [np.eye(n)[column] for n, column in zip(counts, choices.T, strict=True)], 1
        )

    # exp(-2 d / 3) = exp(-2 d / (2 length^2))
    theirs = GaussianProcessRegressor(RBF(np.sqrt(3 / 2)), alpha=0.1, optimizer=None)
    theirs.fit(one_hot(choices), scores)
    mean, deviation = theirs.predict(one_hot(others), return_std=True)
    ours_mean, ours_deviation = model(others, scores)
    np.testing.assert_allclose(ours_mean, mean, atol=1e-9)
    np.testing.assert_allclose(ours_deviation, deviation, atol=1e-9)

    def log_likelihood(settings):
        decay, noise = settings
        kernel = RBF(np.sqrt(3 / (2 * decay)))
        return (
            GaussianProcessRegressor(kernel, alpha=noise, optimizer=None)
            .fit(one_hot(choices), scores)
            .log_marginal_likelihood_value_
        )

    assert likeliest(choices, scores, 4) == max(product(DECAYS, NOISES), key=log_likelihood)


def test_normal_scores_are_ranks():
    scores = normal_scores([3.0, None, 5.0, 3.0])
    assert scores[1] < scores[0] == scores[3] < scores[2]
    assert [-scores[1], scores[2]] == pytest.approx([0.8416] * 2, abs=1e-4)
