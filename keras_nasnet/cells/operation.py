"""The operations of the NASNet search space, as data (Zoph et al. 2018, section 3).

An operation is a name in `OPERATIONS`; what it does to a given input is the list of `Step`s that
`operation_steps` returns. The layers are built from these steps and the counts are taken from
them, so that both share one definition.
"""

from dataclasses import dataclass, replace
from math import prod
from typing import Literal, Protocol

from keras_nasnet.tensor import Size


def strided_size(size: Size, strides: Size) -> Size:
    """Height and width after an operation with "same" padding."""
    return -(-size[0] // strides[0]), -(-size[1] // strides[1])


class Step(Protocol):
    """One stage of an operation: knows its weights and its cost, never a tensor."""

    @property
    def strides(self) -> Size: ...

    def output_channels(self, channels: int, filters: int) -> int: ...

    def num_params(self, channels: int, filters: int) -> int:
        """Number of weights, including batch normalization's moving statistics."""

    def mult_adds(self, channels: int, filters: int, size: Size) -> int:
        """Multiply-adds of the convolutions for an output of height and width `size`."""


@dataclass(frozen=True, slots=True)
class ConvolutionStep:
    """ReLU, convolution, batch normalization: the unit of every operation with weights."""

    kernel_size: Size
    strides: Size = (1, 1)
    dilation_rate: int = 1
    separable: bool = False
    relu: bool = True
    divisor: int = 1  # of the operation's filters, if the convolution has fewer

    def output_channels(self, channels: int, filters: int) -> int:
        return max(filters // self.divisor, 1)

    def num_params(self, channels: int, filters: int) -> int:
        return self._kernel_params(channels, filters) + 4 * self.output_channels(channels, filters)

    def mult_adds(self, channels: int, filters: int, size: Size) -> int:
        return self._kernel_params(channels, filters) * prod(size)

    def _kernel_params(self, channels: int, filters: int) -> int:
        filters = self.output_channels(channels, filters)
        if self.separable:
            return prod(self.kernel_size) * channels + channels * filters
        return prod(self.kernel_size) * channels * filters


@dataclass(frozen=True, slots=True)
class PoolStep:
    """Pooling without ReLU, batch normalization or weights."""

    kind: Literal["average", "max"]
    pool_size: int
    strides: Size = (1, 1)

    def output_channels(self, channels: int, filters: int) -> int:
        return channels

    def num_params(self, channels: int, filters: int) -> int:
        return 0

    def mult_adds(self, channels: int, filters: int, size: Size) -> int:
        return 0


@dataclass(frozen=True, slots=True)
class FactorizedReductionStep:
    """Halves height and width with two 1x1 convolutions, on the even and the odd pixels."""

    relu: bool = True
    strides: Size = (2, 2)

    def output_channels(self, channels: int, filters: int) -> int:
        return filters

    def num_params(self, channels: int, filters: int) -> int:
        return channels * filters + 4 * filters

    def mult_adds(self, channels: int, filters: int, size: Size) -> int:
        return channels * filters * prod(size)


@dataclass(frozen=True, slots=True)
class NormalizationStep:
    """Normalization of each example on its own, with a scale and an offset per channel."""

    per_channel: bool
    strides: Size = (1, 1)

    def output_channels(self, channels: int, filters: int) -> int:
        return channels

    def num_params(self, channels: int, filters: int) -> int:
        return 2 * channels

    def mult_adds(self, channels: int, filters: int, size: Size) -> int:
        return 0


def _separable(size: int) -> tuple[ConvolutionStep, ...]:
    return (ConvolutionStep((size, size), separable=True),) * 2  # applied twice, appendix A.4


def _convolutions(*kernel_sizes: Size) -> tuple[ConvolutionStep, ...]:
    return tuple(ConvolutionStep(kernel_size) for kernel_size in kernel_sizes)


NASNET_OPERATIONS: dict[str, tuple[ConvolutionStep, ...] | PoolStep] = {
    "identity": (),
    "conv_1x3_3x1": _convolutions((1, 3), (3, 1)),
    "conv_1x7_7x1": _convolutions((1, 7), (7, 1)),
    "dilated_conv_3x3": (ConvolutionStep((3, 3), dilation_rate=2),),
    "average_pool_3x3": PoolStep("average", 3),
    "max_pool_3x3": PoolStep("max", 3),
    "max_pool_5x5": PoolStep("max", 5),
    "max_pool_7x7": PoolStep("max", 7),
    "conv_1x1": _convolutions((1, 1)),
    "conv_3x3": _convolutions((3, 3)),
    "separable_3x3": _separable(3),
    "separable_5x5": _separable(5),
    "separable_7x7": _separable(7),
}
"""The paper's 13 operations in its order: stacks of convolutions, or pools."""

OPERATIONS = NASNET_OPERATIONS | {
    "bottleneck_1x7_7x1": tuple(
        ConvolutionStep(kernel_size, divisor=divisor)
        for kernel_size, divisor in (((1, 1), 4), ((1, 7), 4), ((7, 1), 4), ((1, 1), 1))
    ),
}
"""The above, and AmoebaNet's 1x7 then 7x1 with a quarter of the filters (network_utils.py in the
authors' code, tensorflow/tpu, models/official/amoeba_net)."""

NORMALIZATIONS = {
    "layer_norm": NormalizationStep(per_channel=False),
    "instance_norm": NormalizationStep(per_channel=True),
}
"""What may follow a block's sum in the search spaces of NASNet-B and -C (section 3)."""

ADJUSTMENTS = ("adjust_previous", "adjust_output")
"""What a cell does to a state whose size or channels do not fit: first to its
previous state, and to one of its inputs if that is part of the output. Both
are identities with a factorized reduction; no ReLU precedes the second (slim's
`_reduce_prev_layer` and `_combine_unused_states`)."""


def operation_steps(op: str, channels: int, filters: int, strides: int) -> tuple[Step, ...]:
    """The steps of operation `op` from `channels` to `filters` at `strides`.

    The first convolution changes channels and stride; those of a factorized pair
    each stride along their own axis. An identity that has to change either becomes ReLU, 1x1
    convolution, batch normalization, and a pool that has to change the channels is followed by a
    1x1 convolution and batch normalization with no ReLU (slim's nasnet_utils.py).

    Args:
        op: a key of `OPERATIONS` or `NORMALIZATIONS`, or a member of `ADJUSTMENTS`.
        channels: int, channels of the input.
        filters: int, channels of the output.
        strides: 1 or 2.

    Returns:
        Tuple of steps, empty for an identity with nothing to change.
    """
    if op in NORMALIZATIONS:
        return (NORMALIZATIONS[op],)
    if op in ADJUSTMENTS and strides > 1:
        return (FactorizedReductionStep(relu=op == "adjust_previous"),)
    if op == "adjust_output":
        return () if channels == filters else (ConvolutionStep((1, 1), relu=False),)

    both = (strides, strides)
    operation = () if op == "adjust_previous" else OPERATIONS[op]
    if isinstance(operation, PoolStep):
        pool = replace(operation, strides=both)
        return (pool, *operation_steps("adjust_output", channels, filters, 1))
    if not operation:
        return () if (channels, strides) == (filters, 1) else (ConvolutionStep((1, 1), both),)
    first, *rest = operation
    if all(step.kernel_size[0] == step.kernel_size[1] for step in operation):
        return replace(first, strides=both), *rest
    return tuple(
        replace(step, strides=(strides if height > 1 else 1, strides if width > 1 else 1))
        for step in operation
        for height, width in (step.kernel_size,)
    )
