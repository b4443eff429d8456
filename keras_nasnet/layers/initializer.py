"""How kernels start: slim's variance scaling, or nothing where a file fills them next."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import keras
import numpy as np

_skipped = ContextVar("initialization_skipped", default=False)


@contextmanager
def skip_initialization() -> Iterator[None]:
    """Kernels built in this context start as zeros: random numbers for 85 million weights take
    seconds, and are wasted where a weight file is loaded next.
    """
    token = _skipped.set(True)
    try:
        yield
    finally:
        _skipped.reset(token)


@keras.saving.register_keras_serializable("keras_nasnet")
class FanOut(keras.initializers.VarianceScaling):
    """Uniform of variance `2 / fan_out`.

    The variance is that of slim's nasnet.py; drawing its truncated normal instead takes three
    times as long, about 1 s more for NASNetLarge.

    Args:
        seed: int or None, as in `keras.initializers.VarianceScaling`.
    """

    def __init__(self, seed=None):
        super().__init__(2.0, "fan_out", "uniform", seed)

    def __call__(self, shape, dtype=None):
        if _skipped.get():
            return np.zeros(shape, dtype or "float32")
        return super().__call__(shape, dtype)

    def get_config(self):
        return {"seed": super().get_config()["seed"]}
