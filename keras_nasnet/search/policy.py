"""The controller's network: one decision after another by a one-layer LSTM.

In NumPy, so that a search takes the same course under every backend, and in a process that has
none. Gates and weights are laid out as in `keras.layers.LSTM`.
"""

from itertools import accumulate, pairwise
from typing import NamedTuple

import numpy as np

NUM_UNITS = 100  # Zoph et al. 2018, section 4
INITIAL_RANGE = 0.1  # appendix A: weights uniform in +-0.1
# sigmoid(x) = 1/2 + tanh(x / 2) / 2, and the candidate is a tanh as it is.
GATE_SCALE = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], "float32"), NUM_UNITS)
GATE_OFFSET = np.repeat(np.array([0.5, 0.5, 0.0, 0.5], "float32"), NUM_UNITS)


class Moment(NamedTuple):
    """What one decision leaves for the gradient; arrays have a row for each sample."""

    hidden: np.ndarray  # before
    cell: np.ndarray
    gates: np.ndarray  # input, forget, candidate, output
    squashed: np.ndarray  # tanh of the cell after
    hidden_after: np.ndarray
    probabilities: np.ndarray
    chosen: np.ndarray


class Policy:
    """A distribution over choices: each decision is made knowing those before it.

    The choice made is fed in next through an embedding; each decision has a linear layer and a
    softmax of its own.

    Args:
        counts: ints, the number of choices of each decision.
        rng: NumPy's `Generator`, of the initial weights.
        dtype: of all arrays. Default float32.

    Reference:
        Zoph et al. 2018, section 3.1 and appendix A.
    """

    def __init__(self, counts, rng, dtype="float32") -> None:
        self.choice_slices = [slice(*ends) for ends in pairwise(accumulate(counts, initial=0))]
        num_choices = int(sum(counts))
        shapes = {
            "embedding": (1 + num_choices, NUM_UNITS),  # row 0 is the start
            "kernel": (NUM_UNITS, 4 * NUM_UNITS),
            "recurrent_kernel": (NUM_UNITS, 4 * NUM_UNITS),
            "bias": (4 * NUM_UNITS,),
            "head": (NUM_UNITS, num_choices),
        }
        self._shapes = shapes
        size = sum(int(np.prod(shape)) for shape in shapes.values())
        self.weights = rng.uniform(-INITIAL_RANGE, INITIAL_RANGE, size).astype(dtype)

    def named(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Views of a vector such as `weights`, by name."""
        sizes = [int(np.prod(shape)) for shape in self._shapes.values()]
        parts = np.split(vector, np.cumsum(sizes)[:-1])
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def sample(self, rng, num_samples: int) -> np.ndarray:
        """Choices `(samples, decisions)`."""
        uniform = rng.random((num_samples, len(self.choice_slices)))

        def choose(decision, probabilities):
            thresholds = probabilities.cumsum(1)[:, :-1]
            return (uniform[:, decision, None] > thresholds).sum(1)

        moments = self._run(num_samples, choose)
        return np.stack([moment.chosen for moment in moments], 1)

    def log_probabilities(self, choices: np.ndarray) -> tuple[np.ndarray, list[Moment]]:
        """Logarithms of the probabilities of choices, both `(samples, decisions)`.

        Returns:
            Them, and what `gradient` takes.
        """
        moments = self._run(len(choices), lambda decision, _: choices[:, decision])
        return _log_chosen(moments), moments

    def _run(self, num_samples, choose) -> list[Moment]:
        weights = self.named(self.weights)
        token = np.zeros(num_samples, int)
        hidden = cell = np.zeros((num_samples, NUM_UNITS), self.weights.dtype)
        inputs = weights["embedding"] @ weights["kernel"] + weights["bias"]
        moments = []
        for decision, choice_slice in enumerate(self.choice_slices):
            gates = inputs[token] + hidden @ weights["recurrent_kernel"]
            gates = GATE_OFFSET + GATE_SCALE * np.tanh(GATE_SCALE * gates)
            input_gate, forget_gate, candidate, output_gate = _split(gates)
            cell_after = forget_gate * cell + input_gate * candidate
            squashed = np.tanh(cell_after)
            hidden_after = output_gate * squashed
            logits = hidden_after @ weights["head"][:, choice_slice]
            probabilities = np.exp(logits - logits.max(1, keepdims=True))
            probabilities /= probabilities.sum(1, keepdims=True)
            chosen = choose(decision, probabilities)
            moments.append(
                Moment(hidden, cell, gates, squashed, hidden_after, probabilities, chosen)
            )
            token, hidden, cell = 1 + choice_slice.start + chosen, hidden_after, cell_after
        return moments

    def gradient(self, moments: list[Moment], log_gradient, entropy_gradient=0.0) -> np.ndarray:
        """The gradient of a loss by the weights, by backpropagation through the decisions.

        Args:
            moments: from `log_probabilities`.
            log_gradient: the loss's gradient by the logarithms, `(samples, decisions)`.
            entropy_gradient: float, the same by the entropy of each decision of each sample.

        Returns:
            Array of the shape of `weights`.
        """
        weights = self.named(self.weights)
        vector = np.zeros_like(self.weights)
        gradient = self.named(vector)
        hidden = cell = np.zeros_like(moments[0].hidden)  # gradients by the states
        by_inputs = np.zeros((len(weights["embedding"]), 4 * NUM_UNITS), vector.dtype)
        by_gates: list[np.ndarray] = []
        for decision in reversed(range(len(moments))):
            moment, choice_slice = moments[decision], self.choice_slices[decision]
            p = moment.probabilities
            chosen = moment.chosen[:, None] == np.arange(p.shape[1])
            log_p = np.log(p + np.finfo(p.dtype).tiny)
            # d entropy / d logits = -p (log p + entropy)
            by_entropy = -p * (log_p - (p * log_p).sum(1, keepdims=True))
            logits = (chosen - p) * log_gradient[:, decision, None] + entropy_gradient * by_entropy
            gradient["head"][:, choice_slice] = moment.hidden_after.T @ logits
            if by_gates:  # of the next decision, which this choice was fed into
                by_inputs[1:][choice_slice] = chosen.T.astype(vector.dtype) @ by_gates[-1]
            hidden = hidden + logits @ weights["head"][:, choice_slice].T
            i, f, candidate, o = _split(moment.gates)
            cell = cell + hidden * o * (1 - moment.squashed**2)
            by_gate = (cell * candidate, cell * moment.cell, cell * i, hidden * moment.squashed)
            slopes = GATE_SCALE**2 - (moment.gates - GATE_OFFSET) ** 2
            by_gates.append(np.concatenate(by_gate, axis=1) * slopes)
            hidden, cell = by_gates[-1] @ weights["recurrent_kernel"].T, cell * f
        by_inputs[0] = by_gates[-1].sum(0)
        states = np.concatenate([moment.hidden for moment in reversed(moments)])
        gradient["recurrent_kernel"][:] = states.T @ np.concatenate(by_gates)
        gradient["kernel"][:] = weights["embedding"].T @ by_inputs
        gradient["embedding"][:] = by_inputs @ weights["kernel"].T
        gradient["bias"][:] = by_inputs.sum(0)
        return vector


def _split(gates: np.ndarray) -> list[np.ndarray]:
    """Input gate, forget gate, candidate and output gate."""
    return [gates[:, start : start + NUM_UNITS] for start in range(0, 4 * NUM_UNITS, NUM_UNITS)]


def _log_chosen(moments: list[Moment]) -> np.ndarray:
    chosen = [
        np.take_along_axis(moment.probabilities, moment.chosen[:, None], 1)[:, 0]
        for moment in moments
    ]
    return np.log(np.stack(chosen, 1) + np.finfo(chosen[0].dtype).tiny)
