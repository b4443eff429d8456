"""Average and max pooling, with the borders of slim, keras.applications and timm."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
from keras import layers, ops

from keras_nasnet.cells.config import PoolPadding
from keras_nasnet.layers.convolution import Padding, pair, pool_average, strided_shape
from keras_nasnet.layers.normalization import register
from keras_nasnet.tensor import MapShape, Tensor


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
        if self.strides == (1, 1):
            return self._pool(inputs, "same")
        zeros = ("zeros", f"{self.kind}_zeros")
        if self.pool_padding in zeros:
            return self._pool(self._pad_zeros(inputs), "valid")
        if self.kind == "average" and keras.config.backend() == "torch":
            # Keras's "same" there repeats border pixels: divide by the number of real ones.
            real = self._pad_zeros(ops.ones_like(inputs[:1, :, :, :1]))
            return self._pool(self._pad_zeros(inputs), "valid") / self._pool(real, "valid")
        return self._pool(inputs, "same")

    def _pool(self, inputs: Tensor, padding: Padding) -> Tensor:
        if self.kind == "average":
            return pool_average(inputs, self.pool_size, self.strides, padding)
        return ops.max_pool(
            inputs, self.pool_size, self.strides, padding, data_format="channels_last"
        )

    def _pad_zeros(self, inputs: Tensor) -> Tensor:
        """The "same" padding for a stride of 2: one less on top and left for an even size."""
        _, height, width, _ = ops.shape(inputs)
        border = self.pool_size // 2
        padded = ops.pad(inputs, ((0, 0), (border, border), (border, border), (0, 0)))
        return padded[:, (height + 1) % 2 :, (width + 1) % 2 :, :]

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
