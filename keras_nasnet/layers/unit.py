"""Units: a convolution with its batch normalization, what every operation with weights is made of.

All are channels last whatever Keras's image data format says.
"""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_nasnet.device import is_mirrored
from keras_nasnet.layers.composite import Composite
from keras_nasnet.layers.convolution import (
    convolve,
    convolve_depthwise,
    pair,
    reduce_factorized,
    strided_shape,
)
from keras_nasnet.layers.normalization import BatchNormalization, register
from keras_nasnet.layers.variable import FanOut, UnscopedVariables
from keras_nasnet.tensor import MapShape, Padding, Tensor


class Unit(Composite, UnscopedVariables):
    """What the layers here share: filters and batch normalization with its settings."""

    def __init__(
        self,
        filters: int,
        *,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.batch_norm_momentum = batch_norm_momentum
        self.batch_norm_epsilon = batch_norm_epsilon

    @property
    def batch_norm_settings(self) -> dict[str, Any]:
        return {
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "dtype": self.dtype_policy,
        }

    def _batch_normalization(self) -> BatchNormalization:
        return BatchNormalization(
            momentum=self.batch_norm_momentum,
            epsilon=self.batch_norm_epsilon,
            dtype=self.dtype_policy,
            synchronized=is_mirrored(),
            name="batch_normalization",
        )

    def _kernel(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        return self.add_weight(name=name, shape=shape, initializer=FanOut())

    def _build_batch_normalization(self, channels: int, filters: int) -> None:
        """Its moving variance starts at what `FanOut`'s kernels make of inputs of mean square 1.

        If it started at 1, the activations of an untrained network would grow from cell to cell,
        to infinity in half precision. Training steps do not use it.
        """
        self.batch_normalization.moving_variance_initializer = keras.initializers.Constant(
            FanOut.SCALE * channels / filters
        )
        self.batch_normalization.build((None, None, None, self.filters))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
        }


@register
class ConvolutionUnit(Unit):
    """ReLU, convolution without bias, batch normalization.

    Args:
        filters: int, output channels.
        kernel_size: int or pair of int.
        strides: int or pair of int, both the same in a separable convolution. Default 1.
        dilation_rate: int, default 1. With strides, one must be a multiple of the other.
        separable: bool, whether the convolution is depthwise-separable, with neither ReLU nor
            batch normalization between its two parts. Default False.
        relu: bool, whether the ReLU comes first. Default True.
        padding: `"same"` (default) or `"valid"`.
        batch_norm_momentum, batch_norm_epsilon: floats, as in `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor `(batch, ceil(height / strides), ceil(width / strides), filters)`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        dilation_rate: int = 1,
        separable: bool = False,
        relu: bool = True,
        padding: Padding = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        self.kernel_size = pair(kernel_size)
        self.strides = pair(strides)
        self.dilation_rate = dilation_rate
        self.separable = separable
        self.relu = relu
        self.padding = padding
        self.batch_normalization = self._batch_normalization()

    def build(self, input_shape: MapShape) -> None:
        channels = input_shape[-1]
        if self.separable:
            self.depthwise_kernel = self._kernel(
                "depthwise_kernel", (*self.kernel_size, channels, 1)
            )
            self.pointwise_kernel = self._kernel("pointwise_kernel", (1, 1, channels, self.filters))
        else:
            self.kernel = self._kernel("kernel", (*self.kernel_size, channels, self.filters))
        self._build_batch_normalization(channels, self.filters)
        self._freeze_parts()

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = ops.relu(inputs) if self.relu else inputs
        return self.batch_normalization.call(self._convolve(x, training), training=training)

    def _convolve(self, x: Tensor, training: bool | None) -> Tensor:
        settings = (self.strides, self.dilation_rate, self.padding)
        if self.separable:
            x = convolve_depthwise(x, self.depthwise_kernel, *settings, training=training)
            return convolve(x, self.pointwise_kernel)
        return convolve(x, self.kernel, *settings)

    def compute_output_shape(self, input_shape: MapShape) -> MapShape:
        if self.padding == "valid":
            batch, *size, channels = input_shape
            height, width = (
                side and side - (taps - 1) * self.dilation_rate
                for side, taps in zip(size, self.kernel_size, strict=True)
            )
            input_shape = batch, height, width, channels
        return strided_shape(input_shape, self.strides, self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "dilation_rate": self.dilation_rate,
            "separable": self.separable,
            "relu": self.relu,
            "padding": self.padding,
        }


@register
class FactorizedReduction(Unit):
    """Halves height and width without losing pixels to the stride.

    ReLU; one 1x1 convolution on the even pixels and one on the odd, each to half the filters;
    concatenation; batch normalization. Past the last row and column the odd pixels are zero
    (slim's `factorized_reduction`: pad right and bottom, then crop left and top).

    Args:
        filters: int >= 2, output channels.
        relu: bool, whether the ReLU comes first. Default True.
        batch_norm_momentum, batch_norm_epsilon: floats, as in `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor `(batch, ceil(height / 2), ceil(width / 2), filters)`.

    Raises:
        ValueError: if `filters` is less than 2.
    """

    def __init__(self, filters: int, relu: bool = True, **kwargs: Any) -> None:
        super().__init__(filters, **kwargs)
        if filters < 2:
            raise ValueError(f"filters: wanted at least 2, one for each path, got {filters}")
        self.relu = relu
        self.batch_normalization = self._batch_normalization()

    def build(self, input_shape: MapShape) -> None:
        channels, half = input_shape[-1], self.filters // 2
        self.path_1_kernel = self._kernel("path_1_kernel", (1, 1, channels, half))
        self.path_2_kernel = self._kernel("path_2_kernel", (1, 1, channels, self.filters - half))
        self._build_batch_normalization(channels, half)
        self._freeze_parts()

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = ops.relu(inputs) if self.relu else inputs
        x = reduce_factorized(x, self.path_1_kernel, self.path_2_kernel)
        return self.batch_normalization.call(x, training=training)

    def compute_output_shape(self, input_shape: MapShape) -> MapShape:
        return strided_shape(input_shape, (2, 2), self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "relu": self.relu}
