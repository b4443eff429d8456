"""The network of a `NASNetConfig`: stem, cells, head."""

from typing import Any, Literal

import keras
from keras import layers

from keras_nasnet.cells.config import (
    MAX_CHANNELS,
    MAX_CLASSES,
    MAX_INPUT_SIZE,
    NASNetConfig,
)
from keras_nasnet.cells.plan import plan
from keras_nasnet.cells.summary import summarize
from keras_nasnet.check import check_integers, shown
from keras_nasnet.layers import (
    AuxiliaryHead,
    Cell,
    ConvolutionUnit,
    ScheduledDropPath,
    TrainingStep,
)
from keras_nasnet.layers.auxiliary import AuxiliaryModel
from keras_nasnet.layers.pyramid import STEM, FeatureModel
from keras_nasnet.tensor import Activation, Tensor

CLASSIFIER, AVERAGE_POOL = "predictions", "average_pool"
AUXILIARY = "auxiliary"
AUXILIARY_WEIGHT = 0.4  # slim nasnet.py
TRAINING_STEP = "training_step"
MAX_PARAMETERS = 10_000_000_000  # 40 GB, a hundred times NASNetLarge


def build(
    config: NASNetConfig,
    image: keras.KerasTensor,
    *,
    include_top: bool = True,
    pooling: Literal["avg", "max"] | None = None,
    classes: int | None = None,
    classifier_activation: Activation = "softmax",
    dropout_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    drop_path_steps: int | None = None,
    drop_path_schedule: str = "linear",
    auxiliary: bool | float = False,
    remat: bool = False,
    name: str | None = None,
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
        drop_path_rate, drop_path_steps, drop_path_schedule: as `rate`, `num_steps` and `schedule`
            in `ScheduledDropPath`; 0 for none.
        auxiliary: bool or float. Whether training adds the loss of an `AuxiliaryHead`, with a
            weight of 0.4 or the float given; only with top.
        remat: bool, for every cell, as in `Cell`.
        name: str or None.

    Returns:
        `keras.Model` from the source of `image` to the classifier, the vector or the feature map.

    Raises:
        ValueError: if the network would have more than 10 billion parameters, or an argument is
            out of range.
    """
    _check_parameters(config, include_top, classes, image.shape[-1])
    classes = classes or config.classes
    head = None
    if auxiliary:
        weight = AUXILIARY_WEIGHT if auxiliary is True else auxiliary
        head = AuxiliaryHead(
            classes, classifier_activation, weight, name=AUXILIARY, **_batch_norm(config)
        )
    x, head_inputs = _cells(
        config, image, (drop_path_rate, drop_path_steps, drop_path_schedule), remat
    )
    x = layers.Activation("relu", name="relu")(x)
    if include_top:
        x = _top(x, classes, classifier_activation, dropout_rate)
    elif pooling == "avg":
        x = layers.GlobalAveragePooling2D(data_format="channels_last", name=AVERAGE_POOL)(x)
    elif pooling == "max":
        x = layers.GlobalMaxPooling2D(data_format="channels_last", name="max_pool")(x)
    sources = keras.utils.get_source_inputs(image)
    sources = sources[0] if len(sources) == 1 else sources
    if not head:
        return FeatureModel(sources, x, name=name)
    return AuxiliaryModel(sources, [x, head(head_inputs)], name=name)


def _batch_norm(config: NASNetConfig) -> dict[str, Any]:
    return {
        "batch_norm_momentum": config.batch_norm_momentum,
        "batch_norm_epsilon": config.batch_norm_epsilon,
    }


def _cells(
    config: NASNetConfig, image: Tensor, drop_path: tuple[float, int | None, str], remat: bool
) -> tuple[Tensor, Tensor]:
    """The outputs of the last cell and of the one that the auxiliary head reads."""
    states = [_stem(config)(image)]
    rate, num_steps, schedule = drop_path
    step = TrainingStep(name=TRAINING_STEP)(image) if rate else None
    head_inputs = None
    for placement in plan(config):
        layout = placement.layout
        cell = Cell(
            layout.spec,
            layout.filters,
            layout.strides,
            layout.previous_strides,
            pool_padding=config.pool_padding,
            drop_path=ScheduledDropPath(rate, placement.depth_ratio, num_steps, schedule)
            if rate
            else None,
            remat=remat,
            name=placement.name,
            **_batch_norm(config),
        )
        inputs = states[placement.current]
        if placement.previous is not None:
            inputs = [inputs, states[placement.previous]]
        if placement.name == "reduction_cell_1":
            head_inputs = states[placement.current]
        states.append(cell(inputs, step=step) if rate else cell(inputs))
    return states[-1], head_inputs


def _stem(config: NASNetConfig) -> ConvolutionUnit:
    imagenet = config.stem == "imagenet"
    return ConvolutionUnit(
        config.stem_filters,
        3,
        strides=2 if imagenet else 1,
        padding="valid" if imagenet else "same",
        relu=False,
        name=STEM,
        **_batch_norm(config),
    )


def _top(x: Tensor, classes: int, activation: Activation, dropout_rate: float) -> Tensor:
    x = layers.GlobalAveragePooling2D(data_format="channels_last", name=AVERAGE_POOL)(x)
    if dropout_rate:
        # Under PyTorch Keras draws from the layer's own generator, whose state is saved with the
        # model, only if there is a noise shape.
        x = layers.Dropout(dropout_rate, (None, None), name="dropout")(x)
    # In float32 also in mixed precision: a half-precision softmax loses the tail.
    return layers.Dense(classes, activation=activation, dtype="float32", name=CLASSIFIER)(x)


def _check_parameters(
    config: NASNetConfig, include_top: bool, classes: int | None, channels: int
) -> None:
    rows = summarize(config, None, include_top, classes, channels)
    parameters = sum(row.params for row in rows)
    if parameters > MAX_PARAMETERS:
        raise ValueError(
            f"num_cells, penultimate_filters: wanted a network of at most {MAX_PARAMETERS:,} "
            f"parameters, got one of {parameters:,}"
        )


def image_of(
    config: NASNetConfig,
    input_shape: Any = None,
    include_top: bool = True,
    input_tensor: Tensor | None = None,
) -> Tensor:
    """The image tensor to build on; arguments, and `ValueError`, as in `NASNet`."""
    least = config.min_input_size
    if input_tensor is not None:
        if not keras.utils.is_keras_tensor(input_tensor):
            input_tensor = keras.Input(tensor=input_tensor)
        shape: tuple[Any, ...] = tuple(input_tensor.shape[1:])
    elif input_shape is not None:
        shape = _tuple(input_shape, least)
    else:
        size = config.input_size if include_top else None
        shape = (size, size, 3)
    valid = len(shape) == 3 and type(shape[2]) is int and 1 <= shape[2] <= MAX_CHANNELS
    if not valid or any(
        size is not None and (type(size) is not int or not least <= size <= MAX_INPUT_SIZE)
        for size in shape[:2]
    ):
        raise ValueError(_wanted(shape, least))
    return keras.Input(shape) if input_tensor is None else input_tensor


def _tuple(input_shape: Any, least: int) -> tuple[Any, ...]:
    try:
        return tuple(input_shape)
    except TypeError:
        raise ValueError(_wanted(input_shape, least)) from None


def _wanted(input_shape: Any, least: int) -> str:
    return (
        "input_shape: wanted (height, width, channels), such as (224, 224, 3), of up to "
        f"{MAX_CHANNELS:,} channels, height and width None or up to {MAX_INPUT_SIZE:,} and at "
        f"least {least}; got {shown(input_shape)}"
    )


def reset_classifier(model: keras.Model, classes: int) -> keras.Model:
    """The same network with a new classifier, for training on other classes.

    All other layers are the model's own, with their weights. An auxiliary head also gets a new
    classifier and keeps its other weights.

    Args:
        model: `keras.Model`, a network of this package with its classifier.
        classes: int from 1 to 250,000.

    Returns:
        `keras.Model` that shares its layers with `model`.

    Raises:
        ValueError: if `classes` is out of range, or the model has no classifier.
    """
    check_integers(1, MAX_CLASSES, classes=classes)
    layers_by_name = {layer.name: layer for layer in model.layers}
    if CLASSIFIER not in layers_by_name:
        raise ValueError(f"{model.name} has no classifier, a layer named {CLASSIFIER}")
    old = layers_by_name[CLASSIFIER]
    x = layers.Dense.from_config(old.get_config() | {"units": classes})(old.input)
    if AUXILIARY not in layers_by_name:
        return FeatureModel(model.input, x, name=model.name)
    old = layers_by_name[AUXILIARY]
    head = AuxiliaryHead.from_config(old.get_config() | {"classes": classes})
    outputs = [x, head(old.input)]
    for part in ("projection", "full_map"):
        getattr(head, part).set_weights(getattr(old, part).get_weights())
    return AuxiliaryModel(model.input, outputs, name=model.name)


def unfreeze(
    model: keras.Model, from_layer: str | None = None, *, normalization: bool = False
) -> None:
    """Makes a network trainable from a given layer on, and freezes everything before it.

    For fine-tuning: train a new classifier with the network frozen first (`model.trainable =
    False`), then train from a cell on, compiled again with a small learning rate.

    Args:
        model: `keras.Model`, a network of this package; where your model contains one, that
            layer.
        from_layer: str, the name of the first layer to train, such as `"cell_08"` (see
            `model.summary()`); None (default) for all. The classifier and the auxiliary head are
            trained in any case.
        normalization: bool, default False. Whether batch normalization is trained too. If not, it
            stays in inference mode, with the statistics of the data it was trained on, as Keras
            advises for fine-tuning: statistics of few images are noisy.

    Raises:
        ValueError: if `model` has no such layer, or no cells of this package.
    """
    if not any(isinstance(layer, Cell) for layer in getattr(model, "layers", ())):
        raise ValueError(
            "model: wanted a network of this package (where a model contains one, that layer), "
            f"got {model!r}"
        )
    names = [layer.name for layer in model.layers]
    if from_layer is not None and from_layer not in names:
        raise ValueError(
            f"from_layer: {model.name} has no layer {from_layer!r}; it has {', '.join(names)}"
        )
    model.trainable = True
    first = 0 if from_layer is None else names.index(from_layer)
    for index, layer in enumerate(model.layers):
        trains = index >= first or layer.name in (CLASSIFIER, AUXILIARY)
        for part in layer._flatten_layers():  # each: TensorFlow skips what is set already
            part.trainable = trains and (
                normalization or not isinstance(part, layers.BatchNormalization)
            )
