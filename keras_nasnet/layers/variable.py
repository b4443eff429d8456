"""How variables are made: their names and their first values."""

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np

from keras_nasnet.tensor import Tensor

_skipped = ContextVar("initialization_skipped", default=False)


@contextmanager
def skip_initialization() -> Iterator[None]:
    """Kernels built in this context start at zero: random numbers for 85 million weights take
    seconds, and are wasted when a weight file is loaded next.
    """
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


class UnscopedVariables(keras.layers.Layer):
    """A layer whose variables TensorFlow names `kernel`, not `cell_07/.../kernel`.

    TensorFlow recompiles the operation that creates a variable for each name: 1 ms for each of
    NASNetLarge's 1546. Keras's own `Variable.path` stays complete.
    """

    def add_weight(self, *args: Any, **kwargs: Any) -> keras.Variable:
        if keras.config.backend() != "tensorflow":
            return super().add_weight(*args, **kwargs)
        import tensorflow as tf

        with tf.name_scope(""):
            return super().add_weight(*args, **kwargs)


@keras.saving.register_keras_serializable("keras_nasnet")
class FanOut(keras.initializers.Initializer):
    """Uniform with variance `2 / fan_out`, as in slim's nasnet.py.

    Drawn by NumPy, which for hundreds of small kernels is faster than a backend's generator;
    and every backend starts from the same kernels.

    Args:
        seed: int; None (default) for one from Python's `random`, which
            `keras.utils.set_random_seed` seeds.
    """

    SCALE = 2

    def __init__(self, seed: int | None = None) -> None:
        self.seed = random.getrandbits(32) if seed is None else seed

    def __call__(self, shape: tuple[int, ...], dtype: str | None = None) -> Tensor:
        if _skipped.get():
            return keras.ops.zeros(shape, dtype)
        *kernel_size, _, filters = shape
        limit = np.sqrt(3 * self.SCALE / (math.prod(kernel_size) * filters), dtype="float32")
        values = np.random.Generator(np.random.SFC64(self.seed)).random(shape, "float32")
        values *= 2 * limit
        values -= limit
        return keras.ops.convert_to_tensor(values, dtype)

    def get_config(self) -> dict[str, Any]:
        return {"seed": self.seed}
