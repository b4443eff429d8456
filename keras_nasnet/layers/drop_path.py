"""ScheduledDropPath, and the training step counter for its schedule."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from keras_nasnet.cells.config import DROP_PATH_SCHEDULES
from keras_nasnet.check import check_member, is_number, shown
from keras_nasnet.layers.normalization import register
from keras_nasnet.tensor import Shape, Tensor


@register
class TrainingStep(keras.layers.Layer):
    """Counts training steps: one for each call with `training=True`, none at inference.

    Call arguments:
        inputs: any tensor; it only places the counter in the network.

    Returns:
        int32 scalar, the number of training steps before this one.
    """

    def build(self, input_shape: Shape | Sequence[Shape]) -> None:
        self.step = self.add_weight(
            name="step",
            shape=(),
            dtype="int32",
            initializer="zeros",
            trainable=False,
            aggregation="only_first_replica",
        )

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        following = self.step + 1
        if training:
            self.step.assign(following)
        return following - 1

    def compute_output_spec(
        self, inputs: Tensor, training: bool | None = None
    ) -> keras.KerasTensor:
        return keras.KerasTensor((), "int32")


@register
class ScheduledDropPath(keras.layers.Layer):
    """Drops a whole path per example, more often deeper in the network and later in training.

    At training step `t` the drop rate is `rate * depth_ratio * min(1, t / num_steps)`; surviving
    examples are divided by the keep rate, which keeps the expectation. Identity at inference.

    Args:
        rate: float in [0, 1). Drop rate of the last cell once `num_steps` have passed.
        depth_ratio: float in (0, 1], default 1. `(cell + 1) / num_cells`.
        num_steps: int > 0, training steps until the full rate; may be None (default) for the
            schedules that do not depend on the step.
        schedule: `"linear"` (default), as above; for comparison `"depth"` without the last
            factor, `"step"` without the depth, `"constant"` with neither.
        seed: int or None (default).

    Call arguments:
        inputs: float tensor `(batch, ...)`.
        step: int scalar, training steps so far. By default the layer counts its own, one for
            each call with `training=True`; the count is one of its weights.

    Returns:
        Tensor of the same shape and dtype.

    Raises:
        ValueError: if an argument is out of range, or a layer built with a step is called
            for training without one.

    Reference:
        Zoph et al. 2018, arXiv:1707.07012, section 4; the rule is that of slim's nasnet_utils.py.
    """

    def __init__(
        self,
        rate: float,
        depth_ratio: float = 1.0,
        num_steps: int | None = None,
        schedule: str = "linear",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_member("schedule", schedule, DROP_PATH_SCHEDULES)
        if not is_number(rate) or not 0 <= rate < 1:
            raise ValueError(f"rate: wanted [0, 1), got {shown(rate)}")
        if not 0 < depth_ratio <= 1:
            raise ValueError(f"depth_ratio: wanted (0, 1], got {depth_ratio!r}")
        if num_steps is None and "step" in DROP_PATH_SCHEDULES[schedule]:
            raise ValueError(
                f"num_steps: wanted an integer > 0 for schedule {schedule!r}, got None"
            )
        if num_steps is not None and num_steps < 1:
            raise ValueError(f"num_steps: wanted an integer > 0, got {num_steps!r}")
        self.rate = rate
        self.depth_ratio = depth_ratio
        self.num_steps = num_steps
        self.schedule = schedule
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.counter: TrainingStep | None = None

    def build(self, inputs_shape: Shape | Sequence[Shape], step_shape: Shape | None = None) -> None:
        if step_shape is None:
            self.counter = TrainingStep(name="training_step")
            self.counter.build(inputs_shape)

    def call(
        self, inputs: Tensor, step: Tensor | None = None, training: bool | None = None
    ) -> Tensor:
        if not training:
            return inputs
        return self.drop(inputs, self.next_rate(step))

    def next_rate(self, step: Tensor | None = None) -> Tensor:
        """The drop rate of a training call at `step`, by default the layer's own, which it counts.

        Returns:
            float32 scalar.
        """
        if step is None:
            if self.counter is None:
                raise ValueError("step: wanted one, as the layer was built with a step; got None")
            step = self.counter.call(None, training=True)
        settings = (self.rate, self.depth_ratio, self.num_steps, self.schedule)
        return ops.convert_to_tensor(drop_rate(step, *settings), "float32")

    def drop(self, inputs: Tensor, rate: Tensor) -> Tensor:
        """Drops examples of `inputs` at a scalar `rate` in [0, 1), drawn anew in each call."""
        inputs = ops.convert_to_tensor(inputs)
        shape = (ops.shape(inputs)[0], *[1] * (len(inputs.shape) - 1))
        return drop_path(
            inputs, keras.random.uniform(shape, dtype="float32", seed=self.seed_generator), rate
        )

    def compute_output_shape(self, inputs_shape: Shape, step_shape: Shape | None = None) -> Shape:
        return inputs_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "rate": self.rate,
            "depth_ratio": self.depth_ratio,
            "num_steps": self.num_steps,
            "schedule": self.schedule,
            "seed": self.seed,
        }


def drop_rate(
    step: Tensor, rate: float, depth_ratio: float, num_steps: int | None, schedule: str
) -> Tensor:
    """The drop rate of a cell at a training step; arguments as of `ScheduledDropPath`."""
    factors = DROP_PATH_SCHEDULES[schedule]
    if "depth" in factors:
        rate *= depth_ratio
    if "step" in factors:
        return rate * ops.minimum(1.0, ops.cast(step, "float32") / num_steps)
    return rate


def drop_path(inputs: Tensor, draws: Tensor, rate: Tensor) -> Tensor:
    """Drops examples of `inputs` where `draws`, uniform in [0, 1), are below `rate`."""
    keep = ops.cast(draws >= rate, "float32")
    return inputs * ops.stop_gradient(ops.cast(keep / (1.0 - rate), inputs.dtype))
