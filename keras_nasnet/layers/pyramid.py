"""Feature maps of a network at each resolution, for detection and segmentation."""

from functools import cached_property

import keras
from keras import layers

from keras_nasnet.layers.cell import Cell
from keras_nasnet.layers.normalization import register

STEM = "stem"


def feature_pyramid(model: keras.Model) -> dict[str, keras.KerasTensor]:
    """The last feature map of each resolution, after ReLU; the stem's without it.

    Args:
        model: `keras.Model`, a NASNet of this package, fused or with other layers after it.

    Returns:
        Keras tensors by name, `"P1"` to `"P5"`, those for `Pn` of shape `(batch, height / 2**n,
        width / 2**n, channels)`, rounded as the network does. With the stem for small images they
        are `P0`, `P1` and `P2`. `keras.Model(model.input, feature_pyramid(model))` shares its
        layers with `model`.

    Raises:
        ValueError: if the model's layers do not include cells of this package.
    """
    states = [
        layer
        for layer in getattr(model, "layers", ())
        if isinstance(layer, Cell) or layer.name == STEM
    ]
    if len(states) < 2:
        raise ValueError(
            f"model: wanted a NASNet of this package, with its stem and cells; got {model!r}"
        )
    level, last = 0, {}
    for layer in states:
        halves = layer.strides in (2, (2, 2))
        level += halves
        last[f"P{level}"] = layer
    return {
        name: layer.output
        if layer.name == STEM  # as in timm's nasnetalarge
        else layers.Activation("relu", dtype=layer.dtype_policy, name=name)(layer.output)
        for name, layer in last.items()
    }


@register
class FeatureModel(keras.Model):
    """A functional model with the attribute that KerasHub expects of an image encoder.

    A class of its own, so that a model has it after saving and loading too.
    """

    @cached_property
    def pyramid_outputs(self) -> dict[str, keras.KerasTensor]:
        """`feature_pyramid` of the model."""
        return feature_pyramid(self)
