"""Type names for tensors, since Keras and its backends are untyped, and the size of large ones."""

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

Tensor: TypeAlias = Any  # of the current backend, including symbolic ones
Size: TypeAlias = tuple[int, int]  # height and width
Shape: TypeAlias = tuple[int | None, ...]  # None is an unknown size
MapShape: TypeAlias = tuple[int | None, int | None, int | None, int]  # feature maps, channels last
Padding: TypeAlias = Literal["same", "valid"]
Activation: TypeAlias = str | Callable[[Tensor], Tensor] | None

# Weights of this size or more are variables in TensorFlow graphs, because copying large
# constants is slow; smaller ones run and load faster as constants.
VARIABLE_BYTES = 2**18
