"""A child as a function of its weights: the network of `layers/network.py` without Keras's layers.

It reads the same plan, steps and walk.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import keras
from keras import ops

from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.cells.operation import (
    ConvolutionStep,
    FactorizedReductionStep,
    NormalizationStep,
    PoolStep,
    Step,
    operation_steps,
    strided_size,
)
from keras_nasnet.cells.plan import CellPlacement, plan
from keras_nasnet.layers.auxiliary import (
    FULL_MAP_FILTERS,
    POOL_SIZE,
    POOL_STRIDES,
    PROJECTION_FILTERS,
)
from keras_nasnet.layers.cell import evaluate_cell
from keras_nasnet.layers.convolution import (
    convolve,
    convolve_depthwise,
    reduce_factorized,
)
from keras_nasnet.layers.drop_path import drop_path
from keras_nasnet.layers.network import AUXILIARY, CLASSIFIER
from keras_nasnet.layers.normalization import normalize_batch
from keras_nasnet.layers.operation import step_name
from keras_nasnet.layers.pool import pool
from keras_nasnet.layers.pyramid import STEM
from keras_nasnet.search.straight.weight import Weight, dense_weights, weights_of
from keras_nasnet.tensor import Padding, Size, Tensor

STEM_STEP = ConvolutionStep((3, 3), relu=False)  # of the stem for small images
PROJECTION, FULL_MAP = (f"{AUXILIARY}/{name}" for name in ("projection", "full_map"))
GROUP_EPSILON = 1e-3  # the default of keras.layers.GroupNormalization


@dataclass(slots=True)
class Pass:
    """One evaluation of a network: what it reads, and the batch statistics that it leaves.

    Args:
        values: the weights, tensors by path.
        training: bool, default False. Whether batches are normalized by their own statistics, and
            paths and features are dropped.
        drop_rate: `depth_ratio -> rate` of ScheduledDropPath, or None (default) for none.
        dropout_rate: float, before the classifier. Default 0.
        draw: `shape -> tensor`, uniform in [0, 1), others in each call.

    Attributes:
        statistics: means and variances of the batch by the paths of their moving averages.
    """

    values: Mapping[str, Tensor]
    training: bool = False
    drop_rate: Callable[[float], Tensor] | None = None
    dropout_rate: float = 0.0
    draw: Callable[[tuple[int, ...]], Tensor] = keras.random.uniform
    statistics: dict[str, Tensor] = field(default_factory=dict)
    _rectified: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def relu(self, x: Tensor) -> Tensor:
        """ReLU, once for all operations on a state."""
        if id(x) not in self._rectified:
            self._rectified[id(x)] = x, ops.relu(x)  # `x` too, whose id is then no other's
        return self._rectified[id(x)][1]


class Network:
    """The network of a configuration.

    Args:
        config: `NASNetConfig` with the stem for small images.
        size: `(height, width)` of the images.
        classes: int.
        with_head: bool. Whether training has an auxiliary head.

    Attributes:
        weights: list of `Weight`, in the order in which the Keras model makes them.
    """

    def __init__(
        self, config: NASNetConfig, size: Size, classes: int, with_head: bool = False
    ) -> None:
        self.config, self.classes = config, classes
        self.cells = plan(config)
        self._head_input = next(
            cell.current for cell in self.cells if cell.name == "reduction_cell_1"
        )
        self._head_steps = self._steps_of_head(size) if with_head else []
        self._operations = {
            (cell.name, stage.name): operation_steps(
                stage.op, stage.channels, cell.layout.filters, stage.strides
            )
            for cell in self.cells
            for stage in cell.layout.stages
        }
        self.weights = list(self._all_weights())

    def _steps_of_head(self, size: Size) -> list[ConvolutionStep]:
        for cell in self.cells[: self._head_input]:
            size = strided_size(size, (cell.layout.strides, cell.layout.strides))
        height, width = ((side - POOL_SIZE) // POOL_STRIDES + 1 for side in size)
        return [ConvolutionStep((1, 1), relu=False), ConvolutionStep((height, width))]

    def _all_weights(self) -> Iterator[Weight]:
        yield from weights_of(STEM, STEM_STEP, 3, self.config.stem_filters)
        for cell in self.cells:
            filters = cell.layout.filters
            for stage in cell.layout.stages:
                channels = stage.channels
                for path, step in self._steps(cell, stage.name):
                    yield from weights_of(path, step, channels, filters)
                    channels = step.output_channels(channels, filters)
        yield from dense_weights(CLASSIFIER, self.cells[-1].layout.output_channels, self.classes)
        if self._head_steps:
            projection, full_map = self._head_steps
            channels = self.cells[self._head_input - 1].layout.output_channels
            yield from weights_of(PROJECTION, projection, channels, PROJECTION_FILTERS)
            yield from weights_of(FULL_MAP, full_map, PROJECTION_FILTERS, FULL_MAP_FILTERS)
            yield from dense_weights(f"{AUXILIARY}/classifier", FULL_MAP_FILTERS, self.classes)

    def _steps(self, cell: CellPlacement, name: str) -> Iterator[tuple[str, Step]]:
        """The steps of an operation with their paths."""
        for index, step in enumerate(self._operations.get((cell.name, name), ())):
            yield f"{cell.name}/{name}/{step_name(index, step)}", step

    def __call__(self, now: Pass, images: Tensor) -> list[Tensor]:
        """The logits `(batch, classes)`; in training also those of the auxiliary head, if any."""
        states = [self._convolve(now, STEM, STEM_STEP, images)]
        for cell in self.cells:
            inputs = [states[cell.current]]
            if cell.previous is not None:
                inputs.append(states[cell.previous])
            states.append(self._cell(now, cell, inputs))
        x = ops.mean(now.relu(states[-1]), (1, 2))
        if now.training and now.dropout_rate:
            x = drop_path(x, now.draw(tuple(x.shape)), now.dropout_rate)
        logits = [_dense(now, CLASSIFIER, x)]
        if now.training and self._head_steps:
            logits.append(self._head(now, states[self._head_input]))
        return logits

    def _cell(self, now: Pass, cell: CellPlacement, inputs: list[Tensor]) -> Tensor:
        rate = None
        if now.training and now.drop_rate is not None:
            rate = now.drop_rate(cell.depth_ratio)

        def apply(name: str, state: Tensor) -> Tensor:
            for path, step in self._steps(cell, name):
                state = self._step(now, path, step, state)
            return state

        def drop(output: Tensor) -> Tensor:
            if rate is None:
                return output
            return drop_path(output, now.draw((output.shape[0], 1, 1, 1)), rate)

        return evaluate_cell(cell.layout.spec, inputs, apply, drop)

    def _head(self, now: Pass, x: Tensor) -> Tensor:
        projection, full_map = self._head_steps
        x = ops.average_pool(
            now.relu(x), POOL_SIZE, POOL_STRIDES, "valid", data_format="channels_last"
        )
        x = self._convolve(now, PROJECTION, projection, x)
        x = self._convolve(now, FULL_MAP, full_map, x, "valid")
        return _dense(now, f"{AUXILIARY}/classifier", ops.squeeze(ops.relu(x), (1, 2)))

    def _step(self, now: Pass, path: str, step: Step, x: Tensor) -> Tensor:
        if isinstance(step, PoolStep):
            return pool(x, step.kind, step.pool_size, step.strides, self.config.pool_padding)
        if isinstance(step, NormalizationStep):
            return _normalize_examples(now, path, step, x)
        if isinstance(step, FactorizedReductionStep):
            kernels = (now.values[f"{path}/path_{number}_kernel"] for number in (1, 2))
            x = reduce_factorized(now.relu(x) if step.relu else x, *kernels)
            return self._normalize(now, path, x)
        if isinstance(step, ConvolutionStep):
            return self._convolve(now, path, step, x)
        raise TypeError(f"no function for {step!r}")

    def _convolve(
        self,
        now: Pass,
        path: str,
        step: ConvolutionStep,
        x: Tensor,
        padding: Padding = "same",
    ) -> Tensor:
        x = now.relu(x) if step.relu else x
        settings = (step.strides, step.dilation_rate, padding)
        if step.separable:
            kernel = now.values[f"{path}/depthwise_kernel"]
            x = convolve_depthwise(x, kernel, *settings, training=now.training)
            x = convolve(x, now.values[f"{path}/pointwise_kernel"])
        else:
            x = convolve(x, now.values[f"{path}/kernel"], *settings)
        return self._normalize(now, path, x)

    def _normalize(self, now: Pass, path: str, x: Tensor) -> Tensor:
        paths = [
            f"{path}/batch_normalization/{name}"
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        gamma, beta, mean, variance = (now.values[each] for each in paths)
        epsilon = self.config.batch_norm_epsilon
        x, *batch = normalize_batch(x, gamma, beta, mean, variance, epsilon, now.training)
        now.statistics |= zip(paths[2:], batch, strict=True)
        return x


def _dense(now: Pass, path: str, x: Tensor) -> Tensor:
    return ops.matmul(x, now.values[f"{path}/kernel"]) + now.values[f"{path}/bias"]


def _normalize_examples(now: Pass, path: str, step: NormalizationStep, x: Tensor) -> Tensor:
    axes = (1, 2) if step.per_channel else (1, 2, 3)
    mean, variance = ops.moments(x, axes, keepdims=True)
    scale = ops.rsqrt(variance + GROUP_EPSILON) * now.values[f"{path}/gamma"]
    return x * scale + (now.values[f"{path}/beta"] - mean * scale)
