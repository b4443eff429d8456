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
        import tensorflow as tf

        if not (trains or fuses_normalization()):
            scale = self.gamma * tf.math.rsqrt(self.moving_variance + self.epsilon)
            offset = self.beta - self.moving_mean * scale
            scale, offset = (tf.cast(x, inputs.dtype) for x in (scale, offset))
            return tf.nn.bias_add(inputs * scale, offset)
        outputs = tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=() if trains else self.moving_mean,
            variance=() if trains else self.moving_variance,
            epsilon=self.epsilon,
            is_training=bool(trains),
        )
        if trains:
            count = tf.cast(tf.size(inputs) // inputs.shape[-1], self.variable_dtype)
            # The kernel's variance is unbiased, Keras's is not.
            variance = outputs.batch_variance * (tf.maximum(count - 1, 1) / count)
            self._move(self.moving_mean, outputs.batch_mean)
            self._move(self.moving_variance, variance)
        return outputs.y

    def _move(self, average: keras.Variable, value: Tensor) -> None:
        average.assign(average * self.momentum + value * (1 - self.momentum))

    def _has_fused_kernel(self) -> bool:
        types = (self.compute_dtype, self.variable_dtype)
        return keras.config.backend() == "tensorflow" and types in (
            ("float32", "float32"),
            ("float16", "float32"),
            ("bfloat16", "float32"),
        )
