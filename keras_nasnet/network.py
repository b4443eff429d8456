"""The network of a `NASNetConfig`: stem, cells, head."""

import keras
from keras import layers

from keras_nasnet.layers import Cell, ConvolutionUnit
from keras_nasnet.plan import NASNetConfig, plan

CLASSIFIER = "predictions"


def build(
    config: NASNetConfig,
    image,
    *,
    include_top=True,
    pooling=None,
    classes=None,
    classifier_activation="softmax",
    dropout_rate=0.0,
    name=None,
) -> keras.Model:
    """Builds the network on an image tensor.

    Args:
        config: `NASNetConfig`.
        image: Keras tensor `(batch, height, width, channels)`, values from -1 to 1.
        include_top: bool. Whether global average pooling and the classifier follow the last cell.
        pooling: without top, `None` for the feature map, `"avg"` or `"max"` for one vector.
        classes: int, outputs of the classifier; the config's by default.
        classifier_activation: as in `keras.layers.Dense`; `None` for logits.
        dropout_rate: float in [0, 1), before the classifier.
        name: str or None.

    Returns:
        `keras.Model` from the source of `image` to the classifier, the vector or the feature map.
    """
    batch_norm = {
        "batch_norm_momentum": config.batch_norm_momentum,
        "batch_norm_epsilon": config.batch_norm_epsilon,
    }
    imagenet = config.stem == "imagenet"
    stem = ConvolutionUnit(
        config.stem_filters,
        3,
        strides=2 if imagenet else 1,
        padding="valid" if imagenet else "same",
        relu=False,
        name="stem",
        **batch_norm,
    )
    states = [stem(image)]
    for placement in plan(config):
        layout = placement.layout
        cell = Cell(
            layout.spec,
            layout.filters,
            layout.strides,
            layout.previous_strides,
            pool_padding=config.pool_padding,
            name=placement.name,
            **batch_norm,
        )
        inputs = states[placement.current]
        if placement.previous is not None:
            inputs = [inputs, states[placement.previous]]
        states.append(cell(inputs))

    x = layers.Activation("relu", name="relu")(states[-1])
    if include_top:
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name="average_pool")(x)
        if dropout_rate:
            x = layers.Dropout(dropout_rate, name="dropout")(x)
        # In float32 under mixed precision too: a softmax in half precision loses the tail.
        x = layers.Dense(
            classes or config.classes,
            activation=classifier_activation,
            dtype="float32",
            name=CLASSIFIER,
        )(x)
    elif pooling == "avg":
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name="average_pool")(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(data_format="channels_last", name="max_pool")(x)
    sources = keras.utils.get_source_inputs(image)
    return keras.Model(sources[0] if len(sources) == 1 else sources, x, name=name)
