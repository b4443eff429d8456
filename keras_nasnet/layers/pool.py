"""Average and max pooling, with the borders of slim, keras.applications and timm."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers, ops

from keras_nasnet.cells.config import PoolPadding
from keras_nasnet.layers.convolution import pair, pool_average, strided_shape
from keras_nasnet.layers.normalization import register
from keras_nasnet.tensor import MapShape, Padding, Size, Tensor


@register
class Pool(layers.Layer):
    """Average or max pooling to `ceil(size / strides)`, no ReLU, no normalization.

    Args:
        kind: `"average"` or `"max"`.
        pool_size: odd int.
        strides: int or pair of int, default 1.
        pool_padding: what lies beyond the border when strides are not 1. `"same"` (default):
            nothing, so averages are taken over fewer pixels (slim). `"zeros"`: zeros, which
            count in averages and maxima (keras.applications). `"average_zeros"`: zeros in
            averages, nothing in maxima (timm).

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Tensor `(batch, ceil(height / strides), ceil(width / strides), channels)`.
    """

    def __init__(
        self,
        kind: Literal["average", "max"],
        pool_size: int,
        strides: int | Sequence[int] = 1,
        pool_padding: PoolPadding = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind = kind
        self.pool_size = pool_size
        self.strides = pair(strides)
        self.pool_padding = pool_padding

    def call(self, inputs: Tensor) -> Tensor:
        return pool(inputs, self.kind, self.pool_size, self.strides, self.pool_padding)

    def compute_output_shape(self, input_shape: MapShape) -> MapShape:
        return strided_shape(input_shape, self.strides, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kind": self.kind,
            "pool_size": self.pool_size,
            "strides": self.strides,
            "pool_padding": self.pool_padding,
        }


def pool(
    x: Tensor, kind: str, pool_size: int, strides: Size, pool_padding: PoolPadding = "same"
) -> Tensor:
    """What `Pool` does, with its arguments."""
    if strides == (1, 1):
        return _pool(x, kind, pool_size, strides, "same")
    if pool_padding in ("zeros", f"{kind}_zeros"):
        return _pool(_pad_zeros(x, pool_size), kind, pool_size, strides, "valid")
    if kind == "average" and keras.config.backend() == "torch":
        # Keras's "same" there repeats border pixels: divide by the number of real ones.
        total, real = (
            pool_average(_pad_zeros(pixels, pool_size), pool_size, strides, "valid")
            for pixels in (x, ops.ones_like(x[:1, :, :, :1]))
        )
        return total / real
    return _pool(x, kind, pool_size, strides, "same")


def _pool(x: Tensor, kind: str, pool_size: int, strides: Size, padding: Padding) -> Tensor:
    if kind == "average":
        return pool_average(x, pool_size, strides, padding)
    return ops.max_pool(x, pool_size, strides, padding, data_format="channels_last")


def _pad_zeros(x: Tensor, pool_size: int) -> Tensor:
    """The "same" padding for a stride of 2: one less on top and left for an even size."""
    _, height, width, _ = ops.shape(x)
    border = pool_size // 2
    padded = ops.pad(x, ((0, 0), (border, border), (border, border), (0, 0)))
    return padded[:, (height + 1) % 2 :, (width + 1) % 2 :, :]
