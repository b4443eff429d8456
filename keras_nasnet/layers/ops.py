"""The operations of the search space as layers, built from the steps of `operation.py`.

All are channels last whatever Keras's image data format says. Convolutions pad with "same".
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import keras
from keras import layers, ops

from keras_nasnet.cells import operation
from keras_nasnet.cells.config import PoolPadding
from keras_nasnet.cells.operation import Size
from keras_nasnet.check import shown
from keras_nasnet.device import is_mirrored
from keras_nasnet.layers.composite import Composite
from keras_nasnet.layers.convolution import (
    Padding,
    convolve,
    convolve_depthwise,
    pool_average,
    reduce_factorized,
)
from keras_nasnet.layers.normalization import BatchNormalization, register
from keras_nasnet.layers.variable import FanOut, UnscopedVariables
from keras_nasnet.tensor import MapShape, Tensor


def _pair(value: int | Sequence[int]) -> Size:
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


class _Unit(Composite, UnscopedVariables):
    """What the layers here share: filters and the settings of batch normalization."""

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
        """Its variance starts as what kernels by `FanOut` to so many filters make of inputs of 1.

        From ones, activations of an untrained network would grow from cell to cell, to infinity
        in half precision. Training steps do not read it.
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
class ConvolutionUnit(_Unit):
    """ReLU, convolution without bias, batch normalization.

    Args:
        filters: int, output channels.
        kernel_size: int or pair of int.
        strides: int or pair of int; of a separable convolution both alike. Default 1.
        dilation_rate: int, default 1. With strides, one has to be a multiple of the other.
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
        self.kernel_size = _pair(kernel_size)
        self.strides = _pair(strides)
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
        return self.batch_normalization.call(self._convolve(x), training=training)

    def _convolve(self, x: Tensor) -> Tensor:
        settings = (self.strides, self.dilation_rate, self.padding)
        if self.separable:
            x = convolve_depthwise(x, self.depthwise_kernel, *settings)
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
        return _strided_shape(input_shape, self.strides, self.filters)

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
class FactorizedReduction(_Unit):
    """Halves height and width without losing pixels to the stride.

    ReLU; one 1x1 convolution of the even pixels and one of the odd, each to half the filters;
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
        return _strided_shape(input_shape, (2, 2), self.filters)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "relu": self.relu}


@register
class Pool(layers.Layer):
    """Average or max pooling to `ceil(size / strides)`, no ReLU, no normalization.

    Args:
        kind: `"average"` or `"max"`.
        pool_size: odd int.
        strides: int or pair of int, default 1.
        pool_padding: what lies beyond the border where strides are not 1. `"same"` (default):
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
        self.strides = _pair(strides)
        self.pool_padding = pool_padding

    def call(self, inputs: Tensor) -> Tensor:
        if self.strides == (1, 1):
            return self._pool(inputs, "same")
        zeros = ("zeros", f"{self.kind}_zeros")
        if self.pool_padding in zeros:
            return self._pool(self._pad_zeros(inputs), "valid")
        if self.kind == "average" and keras.config.backend() == "torch":
            # Keras's "same" there repeats the pixels of the border: divide by how many are real.
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
        """What "same" pads for a stride of 2: one less on top and left of an even size."""
        _, height, width, _ = ops.shape(inputs)
        border = self.pool_size // 2
        padded = ops.pad(inputs, ((0, 0), (border, border), (border, border), (0, 0)))
        return padded[:, (height + 1) % 2 :, (width + 1) % 2 :, :]

    def compute_output_shape(self, input_shape: MapShape) -> MapShape:
        return _strided_shape(input_shape, self.strides, input_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "kind": self.kind,
            "pool_size": self.pool_size,
            "strides": self.strides,
            "pool_padding": self.pool_padding,
        }


@register
class Operation(_Unit):
    """One of `keras_nasnet.cells.operation`'s, with whatever its input makes necessary.

    Args:
        op: str, a key of `keras_nasnet.cells.operation.OPERATIONS` such as `"separable_5x5"` or of
            `NORMALIZATIONS`, or a member of `ADJUSTMENTS`.
        filters: int, output channels.
        strides: 1 (default) or 2.
        pool_padding: `"same"` (default), `"zeros"` or `"average_zeros"`, see `Pool`.
        batch_norm_momentum, batch_norm_epsilon: floats, as in `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`.

    Returns:
        Float tensor `(batch, ceil(height / strides), ceil(width / strides), filters)`.

    Raises:
        ValueError: if `op` is unknown.

    Reference:
        Zoph et al. 2018, arXiv:1707.07012, section 3 and appendix A.4.
    """

    def __init__(
        self,
        op: str,
        filters: int,
        strides: int = 1,
        pool_padding: PoolPadding = "same",
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        allowed = (*operation.OPERATIONS, *operation.NORMALIZATIONS, *operation.ADJUSTMENTS)
        if op not in allowed:
            raise ValueError(f"unknown operation {shown(op)}; allowed are {', '.join(allowed)}")
        self.op = op
        self.strides = strides
        self.pool_padding = pool_padding
        self.steps: list[layers.Layer] = []

    def build(self, input_shape: MapShape) -> None:
        steps = operation.operation_steps(self.op, input_shape[-1], self.filters, self.strides)
        self.steps = [self.layer(index, step) for index, step in enumerate(steps)]
        for step in self.steps:
            step.build(input_shape)
            input_shape = step.compute_output_shape(input_shape)
        self._freeze_parts()

    def layer(self, index: int, step: operation.Step) -> layers.Layer:
        """The layer of one of the operation's steps."""
        if isinstance(step, operation.PoolStep):
            return Pool(
                **asdict(step),
                pool_padding=self.pool_padding,
                dtype=self.dtype_policy,
                name=f"pool_{index}",
            )
        if isinstance(step, operation.NormalizationStep):
            groups = -1 if step.per_channel else 1
            name = f"normalization_{index}"
            return layers.GroupNormalization(groups, -1, dtype=self.dtype_policy, name=name)
        if isinstance(step, operation.FactorizedReductionStep):
            return FactorizedReduction(
                self.filters,
                relu=step.relu,
                name=f"factorized_reduction_{index}",
                **self.batch_norm_settings,
            )
        if isinstance(step, operation.ConvolutionStep):
            kind = "separable" if step.separable else "convolution"
            settings = asdict(step)
            filters = step.output_channels(self.filters, self.filters)  # whatever comes in
            del settings["divisor"]
            return ConvolutionUnit(
                filters, **settings, name=f"{kind}_{index}", **self.batch_norm_settings
            )
        raise TypeError(f"no layer does {step!r}")

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = inputs
        for step in self.steps:
            x = step.call(x, training=training) if isinstance(step, _Unit) else step.call(x)
        return x

    def compute_output_shape(self, input_shape: MapShape) -> MapShape:
        return _strided_shape(input_shape, _pair(self.strides), self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "op": self.op,
            "strides": self.strides,
            "pool_padding": self.pool_padding,
        }


def _strided_shape(shape: MapShape, strides: Size, channels: int) -> MapShape:
    """Shape after "same" padding; unknown sizes stay unknown."""
    height, width = (
        None if size is None else -(-size // stride)
        for size, stride in zip(shape[1:3], strides, strict=True)
    )
    return shape[0], height, width, channels
