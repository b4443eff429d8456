"""A cell for inference: convolutions with a bias, no batch normalization, nothing done twice."""

from functools import partial
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from keras_nasnet.genotype import walk
from keras_nasnet.layers.cell import Cell
from keras_nasnet.layers.convolution import convolve, convolve_depthwise, reduce_factorized
from keras_nasnet.layers.normalization import register
from keras_nasnet.layers.ops import ConvolutionUnit, FactorizedReduction, Operation
from keras_nasnet.layers.pyramid import FeatureModel
from keras_nasnet.layers.variable import UnscopedVariables
from keras_nasnet.operation import FactorizedReduction as FactorizedReductionStep
from keras_nasnet.operation import Normalization, Pool, operation_steps


def fold(unit):
    """The kernels of a unit with its batch normalization in them.

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
            # Each kernel of a factorized reduction makes a part of the channels.
            last = first + weight.shape[-1]
            arrays[weight.name] = _array(weight) * scale[first:last]
            first = last
    return arrays


def _array(weight):
    return ops.convert_to_numpy(weight).astype("float64")


@register
class FusedCell(UnscopedVariables, Cell):
    """A `Cell` for inference: the same arguments, inputs and results, with other weights.

    Batch normalization is in kernels and biases, ReLUs and pools that several operations share
    are done once, and the last convolutions of both sides of a sum are one. No path is dropped.

    Args:
        rectified: sequence of bool, whether the current and the previous state come with their
            ReLU done. Default `(False, False)`.
        rectifies: bool, default False. Whether the output's ReLU is done here, for all who read it.
        args, kwargs: of `Cell`.
    """

    def __init__(self, *args, rectified=(False, False), rectifies=False, **kwargs):
        super().__init__(*args, **kwargs)
        self.rectified, self.rectifies = tuple(rectified), rectifies

    def get_config(self):
        return {**super().get_config(), "rectified": self.rectified, "rectifies": self.rectifies}

    def build(self, inputs_shape, step_shape=None):
        layout = self._layout(inputs_shape)
        self._program = _Program(self, {stage.name: stage for stage in layout.stages})

    def call(self, inputs, step=None, training=None):
        return self._program.run(inputs if isinstance(inputs, list | tuple) else [inputs])

    def assign(self, cell):
        """Takes over the weights of a `Cell` of the same arguments, computed in float64."""
        folded = {
            (name, index): fold(step)
            for name, operation in cell.operations.items()
            for index, step in enumerate(operation.steps)
            if isinstance(step, ConvolutionUnit | FactorizedReduction)
        }
        for weight, sources in self._program.sources:
            arrays = [folded[unit][name] for unit, name in sources]
            weight.assign(sum(arrays) if arrays[0].ndim == 1 else np.concatenate(arrays, -2))
        for name, operation in self.operations.items():
            operation.set_weights(cell.operations[name].get_weights())


@register
class FusedModel(FeatureModel):
    """A functional model of `FusedCell`s whose `predict` takes the fastest way.

    Under TensorFlow on a CPU that is XLA for single images of a fixed size in float32, and
    TensorFlow's own kernels else. XLA compiles once, for many seconds, and so not before a second
    single image follows a first. `compile(jit_compile=False)` or `True` takes one way for all.
    """

    def make_predict_function(self, force=False):
        if self.predict_function is not None and not force:
            return
        super().make_predict_function(force)
        if not (self.compiled or self.run_eagerly) and _xla_is_faster_for_one(self):
            self.predict_function = self._by_batch_size(self.predict_function)

    def _by_batch_size(self, predict):
        import tensorflow as tf

        predict_one = tf.function(lambda x: self(x, training=False), jit_compile=True)
        follows_one = False

        def predict_by_batch_size(batches):
            nonlocal follows_one
            x, _, _ = keras.utils.unpack_x_y_sample_weight(batches[0])
            is_one = len(batches) == 1 and keras.tree.flatten(x)[0].shape[0] == 1
            compiled, follows_one = is_one and follows_one, is_one
            return predict_one(x) if compiled else predict(batches)

        return predict_by_batch_size


def _xla_is_faster_for_one(model):
    if keras.config.backend() != "tensorflow" or len(model.inputs) > 1:
        return False
    if any(layer.compute_dtype != "float32" for layer in model.layers):
        return False  # XLA is slow in half precision on a CPU
    import tensorflow as tf

    elsewhere = tf.distribute.has_strategy() or tf.config.list_logical_devices("GPU")
    return None not in model.inputs[0].shape[1:] and not elsewhere


class _Product(NamedTuple):
    """A 1x1 convolution that is still to be done."""

    value: int
    channels: int
    filters: int
    unit: tuple[str, int]
    kernel: str


class _Program:
    """What a `FusedCell` does, as a list of functions of values.

    Values are numbered: 0 is the current state, 1 the previous one, the others are results. The
    algebra for `walk` has as its states numbers, and `_Product`s for what a sum can merge.

    Attributes:
        sources: list of each weight with what it is made of, pairs of a unit `(operation's name,
            index of the step)` and the name of one of the arrays of `fold`.
    """

    def __init__(self, cell, stages):
        self.cell = cell
        self.stages = stages
        self.numbers = {}  # of values, by what computes them and from which
        self.functions = []
        self.sources = []
        for state, rectified in enumerate(cell.rectified):
            if rectified:
                self.numbers["relu", (state,)] = state
        current = self._done(self._apply("current", 0))
        previous = self._done(self._apply("previous", 1)) if "previous" in stages else 0
        self.output = walk(cell.spec, (current, previous), self._edge, self._combine, self._concat)
        if cell.rectifies:
            self.output = self._value("relu", ops.relu, self.output)

    def run(self, inputs):
        """The output for a list of the current and perhaps the previous state."""
        values = [inputs[0], inputs[-1]]
        for function, numbers in self.functions:
            values.append(function(*(values[number] for number in numbers)))
        return values[self.output]

    def _edge(self, name, edge, value):
        return self._apply(name, value)

    def _combine(self, name, block, left, right):
        if block.combine == "concat":
            return self._value("concat", _concatenate, self._done(left), self._done(right))
        if isinstance(left, _Product) and isinstance(right, _Product):
            value = self._pointwise(left, right)
        else:
            value = self._value("add", ops.add, *sorted((self._done(left), self._done(right))))
        return self._apply(name, value) if name in self.stages else value

    def _concat(self, output, values):
        values = [
            self._done(self._apply(f"output_{source}", value)) if source < 2 else value
            for source, value in zip(output, values, strict=True)
        ]
        return values[0] if len(values) == 1 else self._value("concat", _concatenate, *values)

    def _apply(self, name, value):
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
            value = self._done(value)
            if isinstance(step, Pool):
                value = self._value(step, operation.layer(index, step).call, value)
            elif isinstance(step, Normalization):
                operation.build((None, None, None, channels))
                self.cell.operations[name] = operation
                value = self._value(name, operation.call, value)
            else:
                value = self._unit((name, index), step, value, channels)
            channels = step.output_channels(channels, filters)
        return value

    def _unit(self, unit, step, value, channels):
        if step.relu:
            value = self._value("relu", ops.relu, value)
        filters = step.output_channels(channels, self.cell.filters)
        if isinstance(step, FactorizedReductionStep):
            half = filters // 2
            function = partial(
                reduce_factorized,
                path_1_kernel=self._weight((1, 1, channels, half), (unit, "path_1_kernel")),
                path_2_kernel=self._weight(
                    (1, 1, channels, filters - half), (unit, "path_2_kernel")
                ),
                bias=self._weight((filters,), (unit, "bias")),
            )
            return self._value(unit, function, value)
        if step.separable:
            kernel = self._weight((*step.kernel_size, channels, 1), (unit, "depthwise_kernel"))
            function = partial(
                convolve_depthwise,
                kernel=kernel,
                strides=step.strides,
                dilation_rate=step.dilation_rate,
            )
            value = self._value(unit, function, value)
            return _Product(value, channels, filters, unit, "pointwise_kernel")
        if step.kernel_size == step.strides == (1, 1):
            return _Product(value, channels, filters, unit, "kernel")
        kernel = self._weight((*step.kernel_size, channels, filters), (unit, "kernel"))
        function = partial(
            convolve,
            kernel=kernel,
            bias=self._weight((filters,), (unit, "bias")),
            strides=step.strides,
            dilation_rate=step.dilation_rate,
        )
        return self._value(unit, function, value)

    def _done(self, value):
        return self._pointwise(value) if isinstance(value, _Product) else value

    def _pointwise(self, *products):
        """The sum of 1x1 convolutions as one, of their concatenated inputs."""
        filters = products[0].filters
        channels = sum(product.channels for product in products)
        kernel_sources = [(product.unit, product.kernel) for product in products]
        bias_sources = [(product.unit, "bias") for product in products]
        function = partial(
            _convolve_concatenated,
            kernel=self._weight((1, 1, channels, filters), *kernel_sources),
            bias=self._weight((filters,), *bias_sources),
        )
        units = tuple(product.unit for product in products)
        return self._value(units, function, *(product.value for product in products))

    def _weight(self, shape, *sources):
        names = [f"{name}_{index}_{weight}" for (name, index), weight in sources]
        weight = self.cell.add_weight(name="_and_".join(names), shape=shape, initializer="zeros")
        self.sources.append((weight, sources))
        return weight

    def _value(self, key, function, *numbers):
        """The number of the result of a function, computed once for each key and values."""
        key = key, numbers
        if key not in self.numbers:
            self.numbers[key] = 2 + len(self.functions)
            self.functions.append((function, numbers))
        return self.numbers[key]


def _concatenate(*values):
    return ops.concatenate(values, axis=-1)


def _convolve_concatenated(*values, kernel, bias):
    return convolve(values[0] if len(values) == 1 else _concatenate(*values), kernel, bias=bias)
