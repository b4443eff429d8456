"""The weights of a child, with their paths and first values in the Keras model."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

import keras
from keras import ops

from keras_nasnet.cells.operation import (
    ConvolutionStep,
    FactorizedReductionStep,
    NormalizationStep,
    Step,
)
from keras_nasnet.layers.variable import FanOut
from keras_nasnet.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Weight:
    """A weight of a child.

    Args:
        path: str, as in the Keras model.
        shape: tuple of int.
        initial: float, its first value, or the initializer that draws it.
    """

    path: str
    shape: tuple[int, ...]
    initial: float | keras.initializers.Initializer

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def is_kernel(self) -> bool:
        return self.path.endswith("kernel")

    @property
    def is_statistic(self) -> bool:
        """Whether batches move it, not gradients."""
        return self.path.rpartition("/")[2].startswith("moving_")

    def first_value(self) -> Tensor:
        if isinstance(self.initial, float):
            return ops.full(self.shape, self.initial, "float32")
        return self.initial(self.shape, "float32")


def weights_of(path: str, step: Step, channels: int, filters: int) -> Iterator[Weight]:
    """The weights of a step, as its layer makes them."""
    if isinstance(step, NormalizationStep):
        yield from _scale_and_offset(path, channels)
    elif isinstance(step, FactorizedReductionStep):
        half = filters // 2
        yield Weight(f"{path}/path_1_kernel", (1, 1, channels, half), FanOut())
        yield Weight(f"{path}/path_2_kernel", (1, 1, channels, filters - half), FanOut())
        yield from _batch_normalization(path, filters, channels / half)
    elif isinstance(step, ConvolutionStep):
        filters = step.output_channels(channels, filters)
        if step.separable:
            yield Weight(f"{path}/depthwise_kernel", (*step.kernel_size, channels, 1), FanOut())
            yield Weight(f"{path}/pointwise_kernel", (1, 1, channels, filters), FanOut())
        else:
            yield Weight(f"{path}/kernel", (*step.kernel_size, channels, filters), FanOut())
        yield from _batch_normalization(path, filters, channels / filters)


def _batch_normalization(path: str, filters: int, ratio: float) -> Iterator[Weight]:
    path = f"{path}/batch_normalization"
    yield from _scale_and_offset(path, filters)
    yield Weight(f"{path}/moving_mean", (filters,), 0.0)
    yield Weight(f"{path}/moving_variance", (filters,), FanOut.SCALE * ratio)


def _scale_and_offset(path: str, filters: int) -> Iterator[Weight]:
    yield Weight(f"{path}/gamma", (filters,), 1.0)
    yield Weight(f"{path}/beta", (filters,), 0.0)


def dense_weights(path: str, channels: int, classes: int) -> Iterator[Weight]:
    """The weights of a dense layer."""
    yield Weight(f"{path}/kernel", (channels, classes), keras.initializers.GlorotUniform())
    yield Weight(f"{path}/bias", (classes,), 0.0)
