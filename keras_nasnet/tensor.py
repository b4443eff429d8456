"""Tensors: names in annotations, for Keras and its backends give no types; which are large."""

from collections.abc import Callable
from typing import Any, TypeAlias

Tensor: TypeAlias = Any  # of the backend that Keras runs on, its symbolic ones among them
Size: TypeAlias = tuple[int, int]  # height and width
Shape: TypeAlias = tuple[int | None, ...]  # None is a size that is not known yet
MapShape: TypeAlias = tuple[int | None, int | None, int | None, int]  # of maps, channels last
Activation: TypeAlias = str | Callable[[Tensor], Tensor] | None

# Weights of this size and more are variables in what TensorFlow runs, which takes long to copy
# large constants; it runs and loads smaller ones faster as constants.
VARIABLE_BYTES = 2**18
