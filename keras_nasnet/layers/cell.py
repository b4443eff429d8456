"""A cell of the network as one layer."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_nasnet.cells.config import PoolPadding
from keras_nasnet.cells.genotype import Block, CellSpec, Edge, cell_from_dict, cell_to_dict, walk
from keras_nasnet.cells.layout import CellLayout
from keras_nasnet.cells.operation import operation_steps
from keras_nasnet.layers.composite import Composite
from keras_nasnet.layers.drop_path import ScheduledDropPath
from keras_nasnet.layers.normalization import register
from keras_nasnet.layers.operation import Operation
from keras_nasnet.tensor import MapShape, Shape, Tensor


def evaluate_cell(
    spec: CellSpec,
    inputs: Sequence[Tensor],
    apply: Callable[[str, Tensor], Tensor],
    drop: Callable[[Tensor], Tensor],
) -> Tensor:
    """A cell's output, from tensors.

    Args:
        spec: the cell.
        inputs: the current and, if there is one, the previous state, both
            `(batch, height, width, channels)`.
        apply: `(name, state) -> state`, the operation with the name of a `Stage`; for an identity
            with nothing to change, the state itself.
        drop: what ScheduledDropPath does to the output of every operation but the identity.

    Returns:
        Float tensor `(batch, height, width, channels)`.
    """

    def edge(name: str, edge: Edge, state: Tensor) -> Tensor:
        output = apply(name, state)
        return output if edge.op == "identity" else drop(output)

    def combine(name: str, block: Block, left: Tensor, right: Tensor) -> Tensor:
        if block.combine == "concat":
            return ops.concatenate([left, right], axis=-1)
        return apply(name, left + right)

    def concat(output: tuple[int, ...], states: list[Tensor]) -> Tensor:
        return ops.concatenate(
            [
                apply(f"output_{source}", state) if source < 2 else state
                for source, state in zip(output, states, strict=True)
            ],
            axis=-1,
        )

    current, *previous = inputs
    states = apply("current", current), apply("previous", *previous) if previous else current
    return walk(spec, states, edge, combine, concat)


@register
class Cell(Composite):
    """A normal or reduction cell (Zoph et al. 2018, section 3, figures 3 and 4).

    The current state goes through ReLU, 1x1 convolution and batch normalization, the previous
    state through whatever adjusts it to the same size and channels; then the blocks; then the
    concatenation of the states that `spec.output` lists.

    Args:
        spec: `CellSpec`, or the dictionary that `get_config` writes.
        filters: int, output channels of every operation.
        strides: 1 (default) for a normal cell, 2 for a reduction cell, where only operations on
            the current and previous state have the stride.
        previous_strides: 2 if the previous state has twice the height and width of the current
            one, 1 (default) if it has the same.
        pool_padding: `"same"` (default), `"zeros"` or `"average_zeros"`, see `Pool`.
        batch_norm_momentum: float, default 0.9.
        batch_norm_epsilon: float, default 1e-3.
        drop_path: `ScheduledDropPath` for the output of every operation but the identity, or None
            (default).
        remat: bool, default False. Whether training keeps only the cell's inputs and evaluates the
            cell again for the gradients: the same results, with less memory but more time.

    Call arguments:
        inputs: `[current, previous]`, float tensors `(batch, height, width, channels)`, or the
            current state alone, which then stands in for the previous one.
        step: int scalar, training steps so far, for `drop_path`; by default it counts its own.

    Returns:
        Float tensor `(batch, ceil(height / strides), ceil(width / strides), channels)`.

    Raises:
        ValueError: if `spec` is invalid, or the previous state has the wrong size.
    """

    def __init__(
        self,
        spec: CellSpec | dict[str, Any],
        filters: int,
        strides: int = 1,
        previous_strides: int = 1,
        *,
        pool_padding: PoolPadding = "same",
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-3,
        drop_path: ScheduledDropPath | dict[str, Any] | None = None,
        remat: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.spec = spec if isinstance(spec, CellSpec) else cell_from_dict(spec)
        self.filters = filters
        self.strides = strides
        self.previous_strides = previous_strides
        self.pool_padding = pool_padding
        self.batch_norm_momentum = batch_norm_momentum
        self.batch_norm_epsilon = batch_norm_epsilon
        self.drop_path: ScheduledDropPath | None = (
            keras.saving.deserialize_keras_object(drop_path)
            if isinstance(drop_path, dict)
            else drop_path
        )
        self.remat = remat
        self.operations: dict[str, Operation] = {}

    def build(
        self, inputs_shape: MapShape | Sequence[MapShape], step_shape: Shape | None = None
    ) -> None:
        self._check_sizes(*_shapes(inputs_shape))
        if self.drop_path is not None:
            self.drop_path.build(inputs_shape, step_shape)
        for stage in self._layout(inputs_shape).stages:
            if not operation_steps(stage.op, stage.channels, self.filters, stage.strides):
                continue  # an identity with nothing to change has no layer
            operation = Operation(
                stage.op,
                self.filters,
                stage.strides,
                pool_padding=self.pool_padding,
                batch_norm_momentum=self.batch_norm_momentum,
                batch_norm_epsilon=self.batch_norm_epsilon,
                dtype=self.dtype_policy,
                name=stage.name,
            )
            operation.build((None, None, None, stage.channels))
            self.operations[stage.name] = operation
        self._freeze_parts()

    def call(
        self,
        inputs: Tensor | Sequence[Tensor],
        step: Tensor | None = None,
        training: bool | None = None,
    ) -> Tensor:
        if not (self.remat and training and self.trainable and _recomputes()):
            return self._evaluate(inputs, step, training)
        trained, updated = self.trainable_variables, self.non_trainable_variables
        # Their current values, so that recomputing drops the same paths.
        state = [ops.copy(variable) for variable in updated]

        def evaluate(
            inputs: Tensor | Sequence[Tensor], weights: list[Tensor]
        ) -> tuple[Tensor, list[Tensor]]:
            values = zip([*trained, *updated], [*weights, *state], strict=True)
            with keras.StatelessScope(values) as scope:
                outputs = self._evaluate(inputs, step, training)
            return outputs, [scope.get_current_value(variable) for variable in updated]

        weights = [ops.convert_to_tensor(variable) for variable in trained]
        outputs, state_after = keras.remat(evaluate)(inputs, weights)
        # Here, not inside, where recomputing would update them again.
        for variable, value in zip(updated, state_after, strict=True):
            variable.assign(value)
        return outputs

    def _evaluate(
        self, inputs: Tensor | Sequence[Tensor], step: Tensor | None, training: bool | None
    ) -> Tensor:
        current, *previous = inputs if isinstance(inputs, list | tuple) else [inputs]
        drop_path = self.drop_path if training else None
        drop_rate = None if drop_path is None else drop_path.next_rate(step)

        def apply(name: str, state: Tensor) -> Tensor:
            if name not in self.operations:
                return state
            # Not `__call__`, here and below: Keras already did its work around the cell's call.
            return self.operations[name].call(state, training=training)

        def drop(output: Tensor) -> Tensor:
            return output if drop_path is None else drop_path.drop(output, drop_rate)

        return evaluate_cell(self.spec, [current, *previous], apply, drop)

    def compute_output_shape(
        self, inputs_shape: MapShape | Sequence[MapShape], step_shape: Shape | None = None
    ) -> MapShape:
        shape = _shapes(inputs_shape)[0]
        height, width = (None if size is None else -(-size // self.strides) for size in shape[1:3])
        return shape[0], height, width, self._layout(inputs_shape).output_channels

    def _check_sizes(self, current: MapShape, previous: MapShape | None = None) -> None:
        if previous is None:
            return
        for size, other in zip(current[1:3], previous[1:3], strict=True):
            if size and other and -(-other // self.previous_strides) != size:
                raise ValueError(
                    f"{self.name}: the previous state is {previous[1]} x {previous[2]}; wanted "
                    f"{self.previous_strides} times the {current[1]} x {current[2]} of the current "
                    "state"
                )

    def _layout(self, input_shape: MapShape | Sequence[MapShape]) -> CellLayout:
        current, *previous = _shapes(input_shape)
        return CellLayout(
            self.spec,
            self.filters,
            channels=current[-1],
            previous_channels=previous[0][-1] if previous else None,
            strides=self.strides,
            previous_strides=self.previous_strides,
        )

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "spec": cell_to_dict(self.spec),
            "filters": self.filters,
            "strides": self.strides,
            "previous_strides": self.previous_strides,
            "pool_padding": self.pool_padding,
            "batch_norm_momentum": self.batch_norm_momentum,
            "batch_norm_epsilon": self.batch_norm_epsilon,
            "drop_path": self.drop_path and keras.saving.serialize_keras_object(self.drop_path),
            "remat": self.remat,
        }


def _recomputes() -> bool:
    """Whether `keras.remat` may be used: outside of a graph TensorFlow's gives other gradients."""
    if keras.config.backend() != "tensorflow":
        return True
    import tensorflow as tf

    return not tf.executing_eagerly()


def _shapes(input_shape: Any) -> list[MapShape]:
    """The shapes of one or two inputs as a list."""
    return list(input_shape) if isinstance(input_shape[0], list | tuple) else [input_shape]
