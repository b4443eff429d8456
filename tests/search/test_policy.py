"""The controller's network: Keras's LSTM, its gradient and its samples."""

import keras
import numpy as np
import pytest

from keras_nasnet.search.searchers.policy import NUM_UNITS, Policy


@pytest.mark.every_backend
def test_the_policy_is_keras_lstm():
    counts = [3, 1, 4]
    rng = np.random.default_rng(2)
    policy = Policy(counts, rng)
    policy.weights[:] = rng.normal(0, 0.3, policy.weights.shape)
    choices = np.array([[2, 0, 1], [0, 0, 3]])
    weights = policy.named(policy.weights)
    tokens = np.stack([[0, 0], 1 + choices[:, 0], 4 + choices[:, 1]], 1)
    lstm = keras.layers.LSTM(NUM_UNITS, return_sequences=True)
    lstm.build((None, None, NUM_UNITS))
    lstm.set_weights([weights[name] for name in ("kernel", "recurrent_kernel", "bias")])
    hidden = keras.ops.convert_to_numpy(lstm(weights["embedding"][tokens]))
    logits = hidden @ weights["head"]
    logs, _ = policy.log_probabilities(choices)
    for decision, choice_slice in enumerate(policy.choice_slices):
        part = logits[:, decision, choice_slice]
        wanted = part[[0, 1], choices[:, decision]] - np.log(np.exp(part).sum(1))
        np.testing.assert_allclose(logs[:, decision], wanted, atol=1e-5)


def test_the_gradient_is_that_of_differences():
    rng = np.random.default_rng(3)
    policy = Policy([3, 1, 4, 2], rng, "float64")
    policy.weights[:] = rng.normal(0, 0.3, policy.weights.shape)
    choices = np.array([[2, 0, 1, 0], [0, 0, 3, 1], [2, 0, 3, 1]])
    factors = rng.normal(size=choices.shape)

    def loss():
        logs, (*_, probabilities, _) = policy.log_probabilities(choices)
        entropies = -probabilities * np.log(probabilities)
        return (factors * logs).sum() + 0.7 * entropies.sum()

    gradient = policy.gradient(policy.log_probabilities(choices)[1], factors, 0.7)
    for index in rng.choice(len(gradient), 300):
        before = policy.weights[index]
        policy.weights[index] = before + 1e-6
        above = loss()
        policy.weights[index] = before - 1e-6
        difference = (above - loss()) / 2e-6
        policy.weights[index] = before
        assert gradient[index] == pytest.approx(difference, abs=1e-7)


def test_samples_have_the_probabilities_they_are_given():
    rng = np.random.default_rng(4)
    policy = Policy([3, 2], rng)
    policy.weights[:] = rng.normal(0, 1, policy.weights.shape)
    samples = policy.sample(rng, 20_000)
    logs, _ = policy.log_probabilities(samples)
    for choices in np.ndindex(3, 2):
        share = (samples == choices).all(1)
        if share.any():
            probability = np.exp(logs[share][0].sum())
            spread = np.sqrt(probability * (1 - probability) / len(samples))
            assert abs(share.mean() - probability) < 5 * spread
