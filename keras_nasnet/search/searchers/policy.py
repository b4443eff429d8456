"""The controller's network: a one-layer LSTM that makes one decision after another.

In NumPy, so that a search runs identically with every backend, and in a process without
one. Gates and weights are laid out as in `keras.layers.LSTM`.
"""

from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import NamedTuple

import numpy as np

NUM_UNITS = 100  # Zoph et al. 2018, section 4
INITIAL_RANGE = 0.1  # appendix A: weights uniform in +-0.1
# sigmoid(x) = 1/2 + tanh(x / 2) / 2, and the candidate is a tanh as it is.
GATE_SCALE = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], "float32"), NUM_UNITS)
GATE_OFFSET = np.repeat(np.array([0.5, 0.5, 0.0, 0.5], "float32"), NUM_UNITS)


class Pass(NamedTuple):
    """What a forward pass saves for the gradient.

    LSTM arrays have the axes decisions, samples, units.
    """

    hidden: np.ndarray  # before each decision, and after the last
    cell: np.ndarray  # likewise
    gates: np.ndarray  # input, forget, candidate, output
    squashed: np.ndarray  # tanh of the cell after
    probabilities: np.ndarray  # (samples, choices of all decisions)
    choices: np.ndarray  # (samples, decisions)


class Policy:
    """An autoregressive distribution over choices.

    The choice made is fed in next through an embedding; each decision has a linear layer and a
    softmax.

    Args:
        counts: ints, the number of choices of each decision.
        rng: NumPy `Generator`, for the initial weights.
        dtype: of all arrays. Default float32.

    Reference:
        Zoph et al. 2018, section 3.1 and appendix A.
    """

    def __init__(
        self, counts: Sequence[int] | np.ndarray, rng: np.random.Generator, dtype: str = "float32"
    ) -> None:
        self.choice_slices = [slice(*ends) for ends in pairwise(accumulate(counts, initial=0))]
        num_choices = int(sum(counts))
        self._shapes: dict[str, tuple[int, ...]] = {
            "embedding": (1 + num_choices, NUM_UNITS),  # row 0 is the start
            "kernel": (NUM_UNITS, 4 * NUM_UNITS),
            "recurrent_kernel": (NUM_UNITS, 4 * NUM_UNITS),
            "bias": (4 * NUM_UNITS,),
            "head": (NUM_UNITS, num_choices),
        }
        size = sum(prod(shape) for shape in self._shapes.values())
        self.weights = rng.uniform(-INITIAL_RANGE, INITIAL_RANGE, size).astype(dtype)

    def named(self, vector: np.ndarray) -> dict[str, np.ndarray]:
        """Views of a vector such as `weights`, by name."""
        sizes = [prod(shape) for shape in self._shapes.values()]
        parts = np.split(vector, np.cumsum(sizes)[:-1])
        return {
            name: part.reshape(shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }

    def sample(self, rng: np.random.Generator, num_samples: int) -> np.ndarray:
        """Choices `(samples, decisions)`."""
        uniform = rng.random((num_samples, len(self.choice_slices)))

        def choose(decision: int, probabilities: np.ndarray) -> np.ndarray:
            thresholds = probabilities.cumsum(1)[:, :-1]
            return (uniform[:, decision, None] > thresholds).sum(1)

        return self._run(num_samples, choose).choices

    def log_probabilities(self, choices: np.ndarray) -> tuple[np.ndarray, Pass]:
        """Log-probabilities of choices, both `(samples, decisions)`.

        Returns:
            The log-probabilities, and the argument for `gradient`.
        """
        run = self._run(len(choices), lambda decision, _: choices[:, decision])
        chosen = np.take_along_axis(run.probabilities, self._places(choices), 1)
        return np.log(chosen + np.finfo(chosen.dtype).tiny), run

    def _places(self, choices: np.ndarray) -> np.ndarray:
        """Indices of choices among the choices of all decisions."""
        return choices + np.array([choice_slice.start for choice_slice in self.choice_slices])

    def _run(self, num_samples: int, choose: Callable[[int, np.ndarray], np.ndarray]) -> Pass:
        weights, num_decisions = self.named(self.weights), len(self.choice_slices)

        def empty(*shape: int) -> np.ndarray:
            return np.empty(shape, self.weights.dtype)

        run = Pass(
            hidden=empty(num_decisions + 1, num_samples, NUM_UNITS),
            cell=empty(num_decisions + 1, num_samples, NUM_UNITS),
            gates=empty(num_decisions, num_samples, 4 * NUM_UNITS),
            squashed=empty(num_decisions, num_samples, NUM_UNITS),
            probabilities=empty(num_samples, weights["head"].shape[1]),
            choices=np.empty((num_samples, num_decisions), int),
        )
        run.hidden[0] = run.cell[0] = 0
        inputs = GATE_SCALE * (weights["embedding"] @ weights["kernel"] + weights["bias"])
        recurrent_kernel = GATE_SCALE * weights["recurrent_kernel"]
        token = np.zeros(num_samples, int)
        for decision, choice_slice in enumerate(self.choice_slices):
            gates = run.gates[decision]
            np.tanh(inputs[token] + run.hidden[decision] @ recurrent_kernel, out=gates)
            gates *= GATE_SCALE
            gates += GATE_OFFSET
            input_gate, forget_gate, candidate, output_gate = _split(gates)
            run.cell[decision + 1] = forget_gate * run.cell[decision] + input_gate * candidate
            np.tanh(run.cell[decision + 1], out=run.squashed[decision])
            np.multiply(output_gate, run.squashed[decision], out=run.hidden[decision + 1])
            logits = run.hidden[decision + 1] @ weights["head"][:, choice_slice]
            probabilities = np.exp(logits - logits.max(1, keepdims=True))
            probabilities /= probabilities.sum(1, keepdims=True)
            run.probabilities[:, choice_slice] = probabilities
            run.choices[:, decision] = choose(decision, probabilities)
            token = 1 + choice_slice.start + run.choices[:, decision]
        return run

    def gradient(
        self, run: Pass, log_gradient: np.ndarray, entropy_gradient: float = 0.0
    ) -> np.ndarray:
        """The gradient of a loss for the weights, by backpropagation through the decisions.

        Args:
            run: from `log_probabilities`.
            log_gradient: the loss's gradient for the log-probabilities, `(samples, decisions)`.
            entropy_gradient: float, the same for the entropy of each decision of each sample.

        Returns:
            Array of the shape of `weights`.
        """
        weights = self.named(self.weights)
        vector = np.zeros_like(self.weights)
        gradient = self.named(vector)

        p, places = run.probabilities, self._places(run.choices)
        starts = [choice_slice.start for choice_slice in self.choice_slices]
        sizes = np.diff([*starts, p.shape[1]])
        chosen = np.zeros_like(p)
        np.put_along_axis(chosen, places, 1, 1)
        log_p = np.log(p + np.finfo(p.dtype).tiny)
        entropy = -np.add.reduceat(p * log_p, starts, axis=1)
        # d entropy / d logits = -p (log p + entropy)
        logits = (chosen - p) * np.repeat(log_gradient, sizes, axis=1)
        logits -= entropy_gradient * p * (log_p + np.repeat(entropy, sizes, axis=1))

        slopes = GATE_SCALE**2 - (run.gates - GATE_OFFSET) ** 2
        by_gates = np.empty_like(run.gates)
        by_inputs = np.zeros((len(weights["embedding"]), 4 * NUM_UNITS), vector.dtype)
        by_hidden = by_cell = np.zeros_like(run.hidden[0])
        recurrent_kernel, head = weights["recurrent_kernel"].T.copy(), weights["head"].T.copy()
        for decision in reversed(range(len(starts))):
            choice_slice = self.choice_slices[decision]
            by_logits = logits[:, choice_slice]
            gradient["head"][:, choice_slice] = run.hidden[decision + 1].T @ by_logits
            by_hidden = by_hidden + by_logits @ head[choice_slice]
            i, f, candidate, o = _split(run.gates[decision])
            squashed = run.squashed[decision]
            by_cell = by_cell + by_hidden * o * (1 - squashed**2)
            parts = (by_cell * candidate, by_cell * run.cell[decision], by_cell * i)
            by_gate = by_gates[decision]
            for place, part in zip(_split(by_gate), (*parts, by_hidden * squashed), strict=True):
                place[:] = part
            by_gate *= slopes[decision]
            by_hidden, by_cell = by_gate @ recurrent_kernel, by_cell * f
            if decision:  # the previous choice was the input
                fed = self.choice_slices[decision - 1]
                by_inputs[1:][fed] = chosen[:, fed].T @ by_gate
        by_inputs[0] = by_gates[0].sum(0)
        flat = by_gates.reshape(-1, 4 * NUM_UNITS)
        gradient["recurrent_kernel"][:] = run.hidden[:-1].reshape(-1, NUM_UNITS).T @ flat
        gradient["kernel"][:] = weights["embedding"].T @ by_inputs
        gradient["embedding"][:] = by_inputs @ weights["kernel"].T
        gradient["bias"][:] = by_inputs.sum(0)
        return vector


def _split(gates: np.ndarray) -> list[np.ndarray]:
    """Input gate, forget gate, candidate and output gate."""
    return [gates[:, start : start + NUM_UNITS] for start in range(0, 4 * NUM_UNITS, NUM_UNITS)]
