"""Batch normalization with the backend's own kernel if that is faster."""

import keras

from keras_nasnet.layers.variable import UnscopedVariables
from keras_nasnet.onednn import fuses_normalization
from keras_nasnet.tensor import Tensor

register = keras.saving.register_keras_serializable("keras_nasnet")


@register
class BatchNormalization(UnscopedVariables, keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` for channels last, one operation on TensorFlow.

    Keras writes it out in seven operations and more in training; TensorFlow's fused kernel is one,
    faster to trace and with fewer passes over memory. Batches split across devices, and the other
    backends, whose compilers fuse, are left to Keras.
    """

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor:
        trains = training and self.trainable
        if not self._has_fused_kernel() or (trains and self.synchronized):
            return super().call(inputs, training=training, mask=mask)
        weights = (self.gamma, self.beta, self.moving_mean, self.moving_variance)
        outputs, mean, variance = normalize_batch(inputs, *weights, self.epsilon, bool(trains))
        if trains:
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
        return outputs

    def _move(self, average: keras.Variable, value: Tensor) -> None:
        average.assign(average * self.momentum + value * (1 - self.momentum))

    def _has_fused_kernel(self) -> bool:
        types = (self.compute_dtype, self.variable_dtype)
        return keras.config.backend() == "tensorflow" and types in (
            ("float32", "float32"),
            ("float16", "float32"),
            ("bfloat16", "float32"),
        )


def normalize_batch(
    inputs: Tensor,
    gamma: Tensor,
    beta: Tensor,
    moving_mean: Tensor,
    moving_variance: Tensor,
    epsilon: float,
    training: bool,
) -> tuple[Tensor, Tensor, Tensor]:
    """Batch normalization by TensorFlow's fused kernel.

    Args:
        inputs: float tensor `(batch, height, width, channels)`.
        gamma, beta, moving_mean, moving_variance: float32 tensors `(channels,)`; the last two are
            those to normalize with unless `training`.
        epsilon: float > 0.
        training: bool. Whether to normalize with the batch's own mean and variance.

    Returns:
        The output, mean and variance that the input was normalized with.
    """
    import tensorflow as tf

    if not (training or fuses_normalization()):
        scale = gamma * tf.math.rsqrt(moving_variance + epsilon)
        offset = beta - moving_mean * scale
        scale, offset = (tf.cast(x, inputs.dtype) for x in (scale, offset))
        return tf.nn.bias_add(inputs * scale, offset), moving_mean, moving_variance
    outputs = tf.raw_ops.FusedBatchNormV3(
        x=inputs,
        scale=gamma,
        offset=beta,
        mean=() if training else moving_mean,
        variance=() if training else moving_variance,
        epsilon=epsilon,
        is_training=training,
    )
    if not training:
        return outputs.y, moving_mean, moving_variance
    # The kernel's variance is unbiased, Keras's is not.
    channels = inputs.shape[-1]
    size, greater = inputs.shape.num_elements(), max
    if size is None:
        size, greater = tf.cast(tf.size(inputs), outputs.batch_variance.dtype), tf.maximum
    variance = outputs.batch_variance * (greater(size - channels, channels) / size)
    return outputs.y, outputs.batch_mean, variance
