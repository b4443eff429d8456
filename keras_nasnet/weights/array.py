"""Arrays of weight files, read only when needed, so that shapes are checked first."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike


class Shaped(Protocol):
    """The part of `keras.Variable` that reading a file needs."""

    @property
    def shape(self) -> tuple[int, ...]: ...


Variables: TypeAlias = Mapping[str, Shaped]  # by path, in network order


@dataclass(frozen=True, slots=True)
class Array:
    """A named array; `numpy.asarray` reads it.

    Args:
        name: its name in the file.
        shape: tuple of int.
        read: function that returns the array.
    """

    name: str
    shape: tuple[int, ...]
    read: Callable[[], np.ndarray]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.read(), dtype)

    def transposed(self, axes: tuple[int, ...]) -> "Array":
        """The array with its axes permuted, as `numpy.transpose` does."""
        shape = tuple(self.shape[axis] for axis in axes)
        return replace(self, shape=shape, read=lambda: np.transpose(self.read(), axes))

    def without_first(self) -> "Array":
        """The array without the first entry along the last axis."""
        shape = (*self.shape[:-1], self.shape[-1] - 1)
        return replace(self, shape=shape, read=lambda: self.read()[..., 1:])


@dataclass(slots=True)
class Pairs:
    """Which arrays of a file go where.

    Args:
        found: arrays by the path of our variable; unknown ones by their own name.
        skipped: names of the arrays left out, by reason.
    """

    found: dict[str, Array]
    skipped: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, reason: str, name: str) -> None:
        """Records that an array of the file is left out."""
        self.skipped.setdefault(reason, []).append(name)


@dataclass(frozen=True, slots=True)
class NamedArrays:
    """The arrays of an open file, and where they go.

    Args:
        arrays: by their names in the file.
        pair: function from our variables, whose shapes are used, and whether to use a checkpoint's
            raw weights where it also has moving averages.
        auxiliary: substring of the names of an auxiliary head's arrays; None (default) if the
            format has none.
        has_background: whether a background class comes first, making 1001. Default False.
    """

    arrays: Mapping[str, Array]
    pair: Callable[[Variables, bool], Pairs]
    auxiliary: str | None = None
    has_background: bool = False
