"""An array of a weight file that is read when it is asked for, so that shapes are checked first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike


class Shaped(Protocol):
    """What of our variables is used to read a file: a `keras.Variable` has it."""

    @property
    def shape(self) -> tuple[int, ...]: ...


Variables: TypeAlias = Mapping[str, Shaped]  # by path, in the order of the network


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

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
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


@dataclass(frozen=True, slots=True)
class NamedArrays:
    """The arrays of an open file, and where they go.

    Args:
        arrays: by the file's name.
        pair: function from our variables, of which the shapes are used, and whether a checkpoint's
            weights themselves are wanted where it has moving averages of them.
        auxiliary: what the names of an auxiliary head's arrays have in them; None (default) if the
            format has none.
        has_background: whether a class before ImageNet's makes 1001 of them. Default False.
    """

    arrays: Mapping[str, Array]
    pair: Callable[[Variables, bool], Pairs]
    auxiliary: str | None = None
    has_background: bool = False
