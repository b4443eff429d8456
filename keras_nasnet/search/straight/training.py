"""Training steps of a straight child: all its weights are one vector, updated at once."""

from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from keras_nasnet.layers.drop_path import drop_rate
from keras_nasnet.search.straight.network import Network, Pass
from keras_nasnet.search.straight.weight import Weight
from keras_nasnet.tensor import Tensor
from keras_nasnet.training.recipes import Recipe

Array = npt.NDArray[np.float32]


class State(NamedTuple):
    """What training steps change: float32 vectors.

    Args:
        weights: those that are trained.
        velocity: of each weight, for momentum.
        averages: moving averages of the weights, empty if there are none.
        statistics: moving averages of the batches' means and variances.
        metrics: sum of losses, right answers and images, since the epoch began.
    """

    weights: Tensor
    velocity: Tensor
    averages: Tensor
    statistics: Tensor
    metrics: Tensor


class Best(NamedTuple):
    """What is evaluated of a state, and kept of the best: weights and statistics."""

    best_weights: Tensor
    best_statistics: Tensor


class Vector:
    """Arrays as one vector, kernels first.

    Args:
        weights: what the arrays are.
    """

    def __init__(self, weights: Iterable[Weight]) -> None:
        self.weights = sorted(weights, key=lambda weight: not weight.is_kernel)
        self._sizes = [weight.size for weight in self.weights]
        self._num_kernel = sum(weight.size for weight in self.weights if weight.is_kernel)

    def join(self, values: Mapping[str, Tensor]) -> Tensor:
        """The vector of arrays by path."""
        return tf.concat(
            [
                values[weight.path]
                if len(weight.shape) == 1
                else tf.reshape(values[weight.path], [-1])
                for weight in self.weights
            ],
            0,
        )

    def split(self, vector: Tensor) -> dict[str, Tensor]:
        """The arrays of a vector by path."""
        parts = tf.split(vector, self._sizes)
        return {
            weight.path: part if len(weight.shape) == 1 else tf.reshape(part, weight.shape)
            for weight, part in zip(self.weights, parts, strict=True)
        }

    def square(self, vector: Tensor) -> Tensor:
        """The squared norm of all kernels."""
        return tf.reduce_sum(tf.square(vector[: self._num_kernel]))


class Trainer:
    """Trains a network by a recipe, with SGD.

    Args:
        network: `Network`.
        recipe: `Recipe`.
        total_steps: int, for ScheduledDropPath.
        seed: int, of what is dropped: a function of it and the step alone.
    """

    def __init__(self, network: Network, recipe: Recipe, total_steps: int, seed: int) -> None:
        self.network, self.recipe = network, recipe
        self.total_steps, self.seed = total_steps, seed
        self._trained = Vector(each for each in network.weights if not each.is_statistic)
        self._statistics = Vector(each for each in network.weights if each.is_statistic)
        self.step = tf.function(self._step, autograph=False)
        shapes = ([None], [None], [None, None, None, 3], [None, network.classes])
        signature = [tf.TensorSpec(shape, tf.float32) for shape in shapes]  # for any batch
        self.test = tf.function(self._test, signature, autograph=False)

    def begin(self) -> State:
        """The state before the first step; draws as the Keras model does when it is built."""
        return self.state({weight.path: weight.first_value() for weight in self.network.weights})

    def state(self, values: Mapping[str, Array]) -> State:
        """The state before the first step with given weights."""
        weights = self._trained.join(values)
        return State(
            weights,
            velocity=tf.zeros_like(weights),
            averages=weights if self.recipe.ema_momentum else weights[:0],
            statistics=self._statistics.join(values),
            metrics=tf.zeros(3),
        )

    def evaluated(self, state: State) -> Best:
        """The statistics, and the weights or their moving averages if there are any."""
        weights = state.averages if self.recipe.ema_momentum else state.weights
        return Best(weights, state.statistics)

    def values(self, weights: Tensor, statistics: Tensor) -> dict[str, Tensor]:
        """Tensors by path."""
        return self._trained.split(weights) | self._statistics.split(statistics)

    @property
    def layout(self) -> list[str]:
        """What the vectors are made of: paths and shapes in order."""
        weights = self._trained.weights + self._statistics.weights
        return [f"{weight.path} {weight.shape}" for weight in weights]

    def _step(
        self, state: State, images: Tensor, labels: Tensor, number: Tensor, rate: Tensor
    ) -> State:
        """The state after training step `number` at a learning rate."""
        recipe = self.recipe
        with tf.GradientTape() as tape:
            tape.watch(state.weights)
            loss, logits, statistics = self.loss(state, images, labels, number)
        gradient = tape.gradient(loss, state.weights)
        norm = tf.norm(gradient)
        gradient *= recipe.clip_norm * tf.minimum(1 / norm, 1 / recipe.clip_norm)
        velocity = recipe.momentum * state.velocity - rate * gradient
        weights = state.weights + velocity
        averages = state.averages
        if recipe.ema_momentum:
            kept = tf.where(number > 0, recipe.ema_momentum, 0.0)
            averages = kept * averages + (1 - kept) * weights
        kept = recipe.batch_norm_momentum
        statistics = kept * state.statistics + (1 - kept) * self._statistics.join(statistics)
        metrics = state.metrics + _metrics(loss, logits, labels)
        return State(weights, velocity, averages, statistics, metrics)

    def loss(
        self, state: State, images: Tensor, labels: Tensor, number: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Loss, logits and batch statistics of a training batch."""
        values = self.values(state.weights, state.statistics)
        now = Pass(values, training=True, draw=self._draw(number))
        now.dropout_rate = self.recipe.dropout_rate
        if self.recipe.drop_path_rate:
            now.drop_rate = lambda depth_ratio: self._drop_rate(number, depth_ratio)
        logits, *others = self.network(now, images)
        loss = self._loss(logits, labels, state.weights)
        for other in others:
            loss += self.recipe.auxiliary_weight * self._cross_entropy(other, labels)
        return loss, logits, now.statistics

    def _test(self, weights: Tensor, statistics: Tensor, images: Tensor, labels: Tensor) -> Tensor:
        """The metrics of a validation batch."""
        (logits,) = self.network(Pass(self.values(weights, statistics)), images)
        return _metrics(self._loss(logits, labels, weights), logits, labels)

    def _loss(self, logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
        loss = self._cross_entropy(logits, labels)
        if self.recipe.l2:
            loss += self.recipe.l2 / 2 * self._trained.square(weights)
        return loss

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        smoothing = self.recipe.label_smoothing
        if smoothing:
            labels = labels * (1.0 - smoothing) + smoothing / labels.shape[-1]
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(labels, logits))

    def _drop_rate(self, number: Tensor, depth_ratio: float) -> Tensor:
        recipe = self.recipe
        return drop_rate(
            number, recipe.drop_path_rate, depth_ratio, self.total_steps, recipe.drop_path_schedule
        )

    def _draw(self, number: Tensor) -> Callable[[tuple[int, ...]], Tensor]:
        """Uniform numbers, others in each call."""
        calls = count()

        def draw(shape: tuple[int, ...]) -> Tensor:
            stream = tf.constant(self.seed + (next(calls) << 32), tf.int64)
            return tf.random.stateless_uniform(shape, tf.stack([stream, tf.cast(number, tf.int64)]))

        return draw


def _metrics(loss: Tensor, logits: Tensor, labels: Tensor) -> Tensor:
    is_right = tf.argmax(logits, -1) == tf.argmax(labels, -1)
    images = tf.cast(tf.shape(labels)[0], tf.float32)
    return tf.stack([loss * images, tf.reduce_sum(tf.cast(is_right, tf.float32)), images])
