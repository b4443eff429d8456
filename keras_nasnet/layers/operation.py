"""An operation of the search space as a layer, from the steps of `cells/operation.py`."""

from dataclasses import asdict
from typing import Any

from keras import layers

from keras_nasnet.cells import operation
from keras_nasnet.cells.config import PoolPadding
from keras_nasnet.check import shown
from keras_nasnet.layers.convolution import pair, strided_shape
from keras_nasnet.layers.normalization import register
from keras_nasnet.layers.pool import Pool
from keras_nasnet.layers.unit import ConvolutionUnit, FactorizedReduction, Unit
from keras_nasnet.tensor import MapShape, Tensor

STEP_NAMES = {
    operation.PoolStep: "pool",
    operation.NormalizationStep: "normalization",
    operation.FactorizedReductionStep: "factorized_reduction",
}


def step_name(index: int, step: operation.Step) -> str:
    """The name of a step's layer, as in the paths of its weights."""
    if isinstance(step, operation.ConvolutionStep):
        return f"separable_{index}" if step.separable else f"convolution_{index}"
    return f"{STEP_NAMES.get(type(step), 'unknown')}_{index}"


@register
class Operation(Unit):
    """An operation of the search space, with what it needs to change size and channels.

    Args:
        op: str, a key of `keras_nasnet.cells.OPERATIONS` such as `"separable_5x5"` or of
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
        """The layer for one of the operation's steps."""
        name = step_name(index, step)
        if isinstance(step, operation.PoolStep):
            return Pool(
                **asdict(step),
                pool_padding=self.pool_padding,
                dtype=self.dtype_policy,
                name=name,
            )
        if isinstance(step, operation.NormalizationStep):
            groups = -1 if step.per_channel else 1
            return layers.GroupNormalization(groups, -1, dtype=self.dtype_policy, name=name)
        if isinstance(step, operation.FactorizedReductionStep):
            return FactorizedReduction(
                self.filters, relu=step.relu, name=name, **self.batch_norm_settings
            )
        if isinstance(step, operation.ConvolutionStep):
            settings = asdict(step)
            filters = step.output_channels(self.filters, self.filters)  # for any input
            del settings["divisor"]
            return ConvolutionUnit(filters, **settings, name=name, **self.batch_norm_settings)
        raise TypeError(f"no layer for {step!r}")

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = inputs
        for step in self.steps:
            x = step.call(x, training=training) if isinstance(step, Unit) else step.call(x)
        return x

    def compute_output_shape(self, input_shape: MapShape) -> MapShape:
        return strided_shape(input_shape, pair(self.strides), self.filters)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "op": self.op,
            "strides": self.strides,
            "pool_padding": self.pool_padding,
        }
