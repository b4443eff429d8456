"""Batch normalization with the backend's own kernel where that is faster."""

import keras

from keras_nasnet.layers.variable import UnscopedVariables

register = keras.saving.register_keras_serializable("keras_nasnet")


@register
class BatchNormalization(UnscopedVariables, keras.layers.BatchNormalization):
    """`keras.layers.BatchNormalization` over channels last, for inference one operation.

    Keras spells inference out in seven operations under TensorFlow; its fused kernel is one, which
    takes a third off the time to trace NASNetLarge. Training, and the other backends, whose
    compilers fuse, are Keras's.
    """

    def call(self, inputs, training=None, mask=None):
        if (training and self.trainable) or not self._has_fused_kernel():
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        return tf.raw_ops.FusedBatchNormV3(
            x=inputs,
            scale=self.gamma,
            offset=self.beta,
            mean=self.moving_mean,
            variance=self.moving_variance,
            epsilon=self.epsilon,
            is_training=False,
        )[0]

    def _has_fused_kernel(self):
        types = (self.compute_dtype, self.variable_dtype)
        return keras.config.backend() == "tensorflow" and types in (
            ("float32", "float32"),
            ("float16", "float32"),
            ("bfloat16", "float32"),
        )
