"""An array of a weight file that is read when it is asked for, so that shapes are checked first."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np


@dataclass(frozen=True, slots=True)
class Array:
    """A named array; `numpy.asarray` reads it.

    Args:
        name: the file's.
        shape: tuple of int.
        read: function that returns it.
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.read(), dtype)

    def transposed(self, axes: tuple[int, ...]) -> "Array":
        """With its axes in another order, as in `numpy.transpose`."""
        shape = tuple(self.shape[axis] for axis in axes)
        return replace(self, shape=shape, read=lambda: np.transpose(self.read(), axes))

    def without_first(self) -> "Array":
        """Without the first entry along the last axis."""
        shape = (*self.shape[:-1], self.shape[-1] - 1)
        return replace(self, shape=shape, read=lambda: self.read()[..., 1:])


@dataclass(slots=True)
class Pairs:
    """What of a file goes where.

    Args:
        found: arrays by the path of our variable; what is unknown by its own name.
        skipped: names of what is left out, by the reason.
    """

    found: dict[str, Array]
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, reason: str, name: str) -> None:
        """Notes that an array of the file is left out."""
        self.skipped.setdefault(reason, []).append(name)
