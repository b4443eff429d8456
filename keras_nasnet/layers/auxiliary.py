"""The auxiliary head for training, and the model that trains with it."""

from typing import Any

import keras
from keras import layers, ops

from keras_nasnet.layers.composite import Composite
from keras_nasnet.layers.normalization import register
from keras_nasnet.layers.pyramid import FeatureModel
from keras_nasnet.layers.unit import ConvolutionUnit
from keras_nasnet.tensor import Activation, MapShape, Shape, Tensor

POOL_SIZE, POOL_STRIDES = 5, 3
PROJECTION_FILTERS, FULL_MAP_FILTERS = 128, 768  # slim nasnet.py, _build_aux_head


@register
class AuxiliaryHead(Composite):
    """A second classifier on a feature map in the middle of the network, for training.

    ReLU, 5x5 average pool with stride 3, 1x1 convolution to 128 channels, a convolution over the
    whole map to 768, dense; batch normalization after both convolutions.

    Args:
        classes: int, number of classes.
        activation: as in `keras.layers.Dense`; the main classifier's. Default softmax.
        loss_weight: float > 0, default 0.4: weight of its loss relative to the main one.
        batch_norm_momentum, batch_norm_epsilon: floats, as in `keras.layers.BatchNormalization`.

    Call arguments:
        inputs: float tensor `(batch, height, width, channels)`, height and width known and at
            least 5.

    Returns:
        float32 tensor `(batch, classes)`.

    Raises:
        ValueError: if the map is smaller than the pool or of unknown size.

    Reference:
        slim nasnet.py, `_build_aux_head`.
    """

    def __init__(
        self,
        classes: int,
        activation: Activation = "softmax",
        loss_weight: float = 0.4,
        *,
        batch_norm_momentum: float = 0.9,
        batch_norm_epsilon: float = 1e-3,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not loss_weight > 0:
            raise ValueError(f"auxiliary: wanted a loss weight > 0, got {loss_weight!r}")
        self.classes = classes
        self.activation = keras.activations.get(activation)
        self.loss_weight = loss_weight
        self.batch_norm = {
            "batch_norm_momentum": batch_norm_momentum,
            "batch_norm_epsilon": batch_norm_epsilon,
        }

    def build(self, input_shape: MapShape) -> None:
        _, height, width, channels = input_shape
        if height is None or width is None or min(height, width) < POOL_SIZE:
            raise ValueError(
                f"auxiliary: needs a feature map of fixed size, at least {POOL_SIZE} x "
                f"{POOL_SIZE} after the second stage; with this input_shape the map is "
                f"{height} x {width}"
            )
        settings: dict[str, Any] = {**self.batch_norm, "dtype": self.dtype_policy}
        self.projection = ConvolutionUnit(
            PROJECTION_FILTERS, 1, relu=False, name="projection", **settings
        )
        pooled = [(side - POOL_SIZE) // POOL_STRIDES + 1 for side in (height, width)]
        self.full_map = ConvolutionUnit(
            FULL_MAP_FILTERS, pooled, padding="valid", name="full_map", **settings
        )
        self.classifier = layers.Dense(
            self.classes, self.activation, dtype="float32", name="classifier"
        )
        self.projection.build((None, None, None, channels))
        self.full_map.build((None, None, None, PROJECTION_FILTERS))
        self.classifier.build((None, FULL_MAP_FILTERS))
        self._freeze_parts()

    def call(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        x = ops.average_pool(
            ops.relu(inputs), POOL_SIZE, POOL_STRIDES, "valid", data_format="channels_last"
        )
        x = self.projection(x, training=training)
        x = ops.relu(self.full_map(x, training=training))
        return self.classifier(ops.squeeze(x, (1, 2)))

    def compute_output_shape(self, input_shape: MapShape) -> Shape:
        return (input_shape[0], self.classes)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "classes": self.classes,
            "activation": keras.activations.serialize(self.activation),
            "loss_weight": self.loss_weight,
            **self.batch_norm,
        }


@register
class AuxiliaryModel(FeatureModel):
    """A functional model that has an auxiliary head in training only.

    It is built from two outputs, the classifier's and an `AuxiliaryHead`'s, and exposes only the
    first. In a training step of `fit` or `train_on_batch` the loss of the second on the same labels
    is added with the head's weight; metrics are those of the first. As a part of another model it
    is not compiled itself, and trains without the head.
    """

    output_names: list[str]

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None, **kwargs: Any) -> None:
        super().__init__(inputs, outputs, name=name, **kwargs)
        self.output_names = self.output_names[:1]

    @property
    def output(self) -> keras.KerasTensor:
        return self.outputs[0]

    @property
    def output_shape(self) -> Shape:
        return self.output.shape

    def call(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        predictions, auxiliary = super().call(inputs, training=training, mask=mask)
        return (predictions, auxiliary) if training and self.compiled else predictions

    def compute_output_spec(
        self, inputs: Tensor, training: bool | None = None, mask: Tensor | None = None
    ) -> keras.KerasTensor:
        return super().compute_output_spec(inputs, training=training, mask=mask)[0]

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return super().compute_output_shape(input_shape)[0]

    def compute_loss(
        self,
        x: Tensor | None = None,
        y: Tensor | None = None,
        y_pred: Tensor | None = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        if not isinstance(y_pred, tuple):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        predictions, auxiliary = y_pred
        loss = super().compute_loss(x, y, predictions, sample_weight, training)
        # Not `super().compute_loss` again, so that regularization counts once.
        return loss + self._head.loss_weight * self._compile_loss(y, auxiliary, sample_weight)

    def compute_metrics(
        self, x: Tensor, y: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        predictions = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        return super().compute_metrics(x, y, predictions, sample_weight)

    @property
    def _head(self) -> AuxiliaryHead:
        return next(layer for layer in self.layers if isinstance(layer, AuxiliaryHead))
