"""A cell for inference: convolutions with bias, no batch normalization, no repeated work."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
from keras import ops

from keras_nasnet.cells.genotype import Block, Edge, walk
from keras_nasnet.cells.layout import Stage
from keras_nasnet.cells.operation import (
    ConvolutionStep,
    FactorizedReductionStep,
    PoolStep,
    operation_steps,
)
from keras_nasnet.layers.cell import Cell
from keras_nasnet.layers.convolution import convolve, convolve_depthwise, reduce_factorized
from keras_nasnet.layers.normalization import register
from keras_nasnet.layers.operation import Operation
from keras_nasnet.layers.pyramid import FeatureModel
from keras_nasnet.layers.unit import ConvolutionUnit, FactorizedReduction
from keras_nasnet.layers.variable import UnscopedVariables
from keras_nasnet.tensor import VARIABLE_BYTES, MapShape, Shape, Size, Tensor


def fold(unit: ConvolutionUnit | FactorizedReduction) -> dict[str, npt.NDArray[np.float64]]:
    """The kernels of a unit with its batch normalization folded in.

    Args:
        unit: `ConvolutionUnit` or `FactorizedReduction`, built.

    Returns:
        Dictionary of float64 arrays: the unit's kernels by name, and `"bias"`.
    """
    norm = unit.batch_normalization
    gamma, beta, mean, variance = map(
        _array, (norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance)
    )
    scale = gamma / np.sqrt(variance + norm.epsilon)
    arrays = {"bias": beta - mean * scale}
    first = 0
    for weight in unit.weights:
        if weight.name == "depthwise_kernel":
            arrays[weight.name] = _array(weight)
        elif weight.name.endswith("kernel"):
            # Each kernel of a factorized reduction produces part of the channels.
            last = first + weight.shape[-1]
            arrays[weight.name] = _array(weight) * scale[first:last]
            first = last
    return arrays


def _array(weight: keras.Variable) -> npt.NDArray[np.float64]:
    return ops.convert_to_numpy(weight).astype("float64")


@register
class FusedCell(UnscopedVariables, Cell):
    """A `Cell` for inference: the same arguments, inputs and results, with other weights.

    Batch normalization is folded into kernels and biases, and ReLUs and pools that several
    operations share are computed once. No path is dropped.
    """

    def build(
        self, inputs_shape: MapShape | Sequence[MapShape], step_shape: Shape | None = None
    ) -> None:
        layout = self._layout(inputs_shape)
        self._program = _Program(self, {stage.name: stage for stage in layout.stages})
        self._freeze_parts()

    def call(
        self,
        inputs: Tensor | Sequence[Tensor],
        step: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        return self._program.run(inputs if isinstance(inputs, list | tuple) else [inputs])

    def assign(self, cell: Cell) -> None:
        """Sets the weights from a `Cell` with the same arguments, folded in float64."""
        for (name, index), weights in self._program.weights.items():
            arrays = fold(cell.operations[name].steps[index])
            for key, weight in weights.items():
                weight.assign(arrays[key])
        for name, operation in self.operations.items():
            operation.set_weights(cell.operations[name].get_weights())


@register
class FusedModel(FeatureModel):
    """A functional model of `FusedCell`s with the fastest `predict`.

    Under TensorFlow on a CPU `predict` takes all but large weights as constants: convolutions then
    reorder them once, not at every call. The constants are those of the first `predict` until
    `set_weights` or `load_weights` is called; after `compile` they are variables again.
    """

    predict_function: Callable[..., Tensor] | None

    def make_predict_function(self, force: bool = False) -> None:
        if self.predict_function is not None and not force:
            return
        super().make_predict_function(force)
        if not (self.compiled or self.run_eagerly) and _constants_are_faster():
            self.predict_function = _with_constants(self)

    def set_weights(self, weights: Sequence[np.ndarray]) -> None:
        super().set_weights(weights)
        self.predict_function = None

    def load_weights(self, *args: Any, **kwargs: Any) -> None:
        super().load_weights(*args, **kwargs)
        self.predict_function = None


def _constants_are_faster() -> bool:
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return not (tf.distribute.has_strategy() or tf.config.list_logical_devices("GPU"))


def _with_constants(model: FusedModel) -> Callable[[Iterable[Any]], Tensor]:
    """The model's `predict_function` with constants instead of small variables."""
    import tensorflow as tf

    def constant_or_variable(variable: keras.Variable) -> np.ndarray | Tensor:
        array = variable.numpy()
        return array if array.nbytes < VARIABLE_BYTES else variable.value

    parts = (model.trainable_variables, model.non_trainable_variables)
    weights = [list(map(constant_or_variable, part)) for part in parts]

    @tf.function(reduce_retracing=True)
    def predict(x: Tensor) -> Tensor:
        tensors = [list(map(tf.convert_to_tensor, part)) for part in weights]
        return model.stateless_call(*tensors, x, training=False)[0]

    def predict_batch(batches: Iterable[Any]) -> Tensor:
        (batch,) = batches  # more are for compiled models with `steps_per_execution`
        return predict(keras.utils.unpack_x_y_sample_weight(batch)[0])

    return predict_batch


class _Program:
    """The computation of a `FusedCell` as a list of functions of values.

    Values are numbered: 0 is the current state, 1 the previous one, the others are results.

    Attributes:
        weights: dictionary from a unit, `(operation's name, index of the step)`, to the
            variables of what `fold` makes of it, by name.
    """

    def __init__(self, cell: FusedCell, stages: dict[str, Stage]) -> None:
        self.cell = cell
        self.stages = stages
        # Values by their function and its inputs.
        self.numbers: dict[tuple[Hashable, tuple[int, ...]], int] = {}
        self.functions: list[tuple[Callable[..., Tensor], tuple[int, ...]]] = []
        self.weights: dict[tuple[str, int], dict[str, keras.Variable]] = {}
        current = self._apply("current", 0)
        previous = self._apply("previous", 1) if "previous" in stages else 0
        self.output = walk(cell.spec, (current, previous), self._edge, self._combine, self._concat)

    def run(self, inputs: Sequence[Tensor]) -> Tensor:
        """The output for a list of the current and, optionally, the previous state."""
        values = [inputs[0], inputs[-1]]
        for function, numbers in self.functions:
            values.append(function(*(values[number] for number in numbers)))
        return values[self.output]

    def _edge(self, name: str, edge: Edge, value: int) -> int:
        return self._apply(name, value)

    def _combine(self, name: str, block: Block, left: int, right: int) -> int:
        if block.combine == "concat":
            return self._value("concat", _concatenate, left, right)
        value = self._value("add", ops.add, *sorted((left, right)))
        return self._apply(name, value) if name in self.stages else value

    def _concat(self, output: tuple[int, ...], values: list[int]) -> int:
        values = [
            self._apply(f"output_{source}", value) if source < 2 else value
            for source, value in zip(output, values, strict=True)
        ]
        return values[0] if len(values) == 1 else self._value("concat", _concatenate, *values)

    def _apply(self, name: str, value: int) -> int:
        """The operation of a stage."""
        stage, filters = self.stages[name], self.cell.filters
        operation = Operation(
            stage.op,
            filters,
            stage.strides,
            self.cell.pool_padding,
            dtype=self.cell.dtype_policy,
            name=name,
        )
        channels = stage.channels
        for index, step in enumerate(operation_steps(stage.op, channels, filters, stage.strides)):
            if isinstance(step, PoolStep):
                value = self._value(step, operation.layer(index, step).call, value)
            elif isinstance(step, ConvolutionStep | FactorizedReductionStep):
                value = self._unit((name, index), step, value, channels)
            else:  # a normalization, which cannot be folded
                operation.build((None, None, None, channels))
                self.cell.operations[name] = operation
                value = self._value(name, operation.call, value)
            channels = step.output_channels(channels, filters)
        return value

    def _unit(
        self,
        unit: tuple[str, int],
        step: ConvolutionStep | FactorizedReductionStep,
        value: int,
        channels: int,
    ) -> int:
        """A convolution unit or a factorized reduction."""
        if step.relu:
            value = self._rectify(value)
        filters = step.output_channels(channels, self.cell.filters)
        function: Callable[..., Tensor]
        shapes: dict[str, tuple[int, ...]] = {"bias": (filters,)}
        if isinstance(step, FactorizedReductionStep):
            function, half = reduce_factorized, filters // 2
            shapes["path_1_kernel"] = (1, 1, channels, half)
            shapes["path_2_kernel"] = (1, 1, channels, filters - half)
        else:
            settings: dict[str, Any] = {
                "strides": step.strides,
                "dilation_rate": step.dilation_rate,
            }
            if step.separable:
                function = partial(_convolve_separable, **settings)
                shapes["depthwise_kernel"] = (*step.kernel_size, channels, 1)
                shapes["pointwise_kernel"] = (1, 1, channels, filters)
            else:
                function = partial(convolve, **settings)
                shapes["kernel"] = (*step.kernel_size, channels, filters)
        weights = {}
        for key, shape in shapes.items():
            name = "_".join(map(str, (*unit, key)))
            weights[key] = self.cell.add_weight(name=name, shape=shape, initializer="zeros")
        self.weights[unit] = weights
        return self._value(unit, partial(function, **weights), value)

    def _rectify(self, value: int) -> int:
        # TensorFlow's remapper fuses a ReLU with the sum before it without asking who else reads
        # the sum, then fails and leaves the whole graph as it was; a maximum it leaves alone.
        is_sum = value >= 2 and self.functions[value - 2][0] is ops.add
        return self._value("relu", _maximum_with_zero if is_sum else ops.relu, value)

    def _value(self, key: Hashable, function: Callable[..., Tensor], *numbers: int) -> int:
        """The number of a function's result, computed once per key and values."""
        computed = key, numbers
        if computed not in self.numbers:
            self.numbers[computed] = 2 + len(self.functions)
            self.functions.append((function, numbers))
        return self.numbers[computed]


def _maximum_with_zero(x: Tensor) -> Tensor:
    return ops.maximum(x, 0)


def _concatenate(*values: Tensor) -> Tensor:
    return ops.concatenate(values, axis=-1)


def _convolve_separable(
    x: Tensor,
    depthwise_kernel: Tensor,
    pointwise_kernel: Tensor,
    bias: Tensor,
    strides: Size,
    dilation_rate: int,
) -> Tensor:
    x = convolve_depthwise(x, depthwise_kernel, strides, dilation_rate)
    return convolve(x, pointwise_kernel, bias=bias)
