"""From a configuration to the function that builds its models, with weights."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import wraps
from inspect import signature
from os import PathLike
from typing import Literal, ParamSpec, TypeAlias, TypedDict, Unpack

import keras

from keras_nasnet.cells.config import MAX_CLASSES, NASNetConfig, PoolPadding
from keras_nasnet.check import check_integers, did_you_mean, is_number, shown
from keras_nasnet.layers.network import build, image_of
from keras_nasnet.layers.variable import skip_initialization
from keras_nasnet.tensor import Activation, Tensor
from keras_nasnet.weights.download import fetch
from keras_nasnet.weights.load import load_weights
from keras_nasnet.weights.location import locate
from keras_nasnet.weights.manifest import PUBLISHED, PublishedFile

ImageShape: TypeAlias = Sequence[int | None]
Weights: TypeAlias = str | PathLike[str]
Pooling: TypeAlias = Literal["avg", "max"]
Arguments = ParamSpec("Arguments")


class BuildOptions(TypedDict, total=False):
    """The options that `build` takes."""

    drop_path_rate: float
    drop_path_steps: int | None
    drop_path_schedule: str
    auxiliary: bool | float
    dropout_rate: float
    remat: bool


class Options(BuildOptions, total=False):
    """The options of every factory, see `NASNet`."""

    pool_padding: PoolPadding
    batch_norm_momentum: float | None


def builds_model(config_of: Callable[Arguments, NASNetConfig]) -> Callable[Arguments, keras.Model]:
    """Turns what returns a config into a factory: the same arguments, but it returns the model.

    An unknown argument is a `TypeError` with the factory's name and the nearest known argument.
    """
    config_of.__annotations__["return"] = keras.Model  # what `help` shows of the factory
    form = signature(config_of)
    allowed = [name for name in form.parameters if name != "options"] + [*Options.__annotations__]

    @wraps(config_of)
    def factory(*arguments: Arguments.args, **named: Arguments.kwargs) -> keras.Model:
        for name in named:
            if name not in allowed:
                raise TypeError(
                    f"{factory.__name__}() got an unknown argument {name!r}; "
                    f"{did_you_mean(name, allowed)}allowed are {', '.join(allowed)}"
                )
        config = config_of(*arguments, **named)
        bound = form.bind(*arguments, **named)
        bound.apply_defaults()
        options = bound.arguments.pop("options")
        of_model = bound.arguments.keys() & signature(build_model).parameters.keys()
        given = {name: bound.arguments[name] for name in of_model}
        return build_model(config, factory.__name__, **given, **options)

    return factory


def build_model(
    config: NASNetConfig,
    published_as: str | None = None,
    input_shape: ImageShape | None = None,
    include_top: bool = True,
    weights: Weights | None = None,
    input_tensor: Tensor | None = None,
    pooling: Pooling | None = None,
    classes: int | None = None,
    classifier_activation: Activation = "softmax",
    name: str | None = None,
    *,
    pool_padding: PoolPadding = "same",
    batch_norm_momentum: float | None = None,
    **options: Unpack[BuildOptions],
) -> keras.Model:
    """The model of a config.

    Args:
        config: `NASNetConfig`.
        published_as: the name under which its weights are published, or None (default).
        classes: int, by default the config's.

    The other arguments, what is returned and what is raised are as in `NASNet`.
    """
    if classes is None:
        classes = config.classes
    other_classes = classes != config.classes
    published = None
    if weights == "imagenet":
        published = _published(published_as, include_top and not other_classes)
    _check_head(include_top, pooling, classes, options)
    config = replace(config, pool_padding=pool_padding)
    if batch_norm_momentum is not None:
        config = replace(config, batch_norm_momentum=batch_norm_momentum)

    image = image_of(config, input_shape, include_top, input_tensor)
    file = None
    if published is not None:
        file = fetch(published)
    elif weights is not None:
        file = locate(weights)
    with skip_initialization() if file else nullcontext():
        model = build(
            config,
            image,
            include_top=include_top,
            pooling=pooling,
            classes=classes,
            classifier_activation=classifier_activation,
            name=name,
            **options,
        )
    if file:
        load_weights(model, file, new_classifier=other_classes, adapt_channels=True)
    return model


def _published(name: str | None, include_top: bool) -> PublishedFile:
    file = PUBLISHED.get((name or "", include_top))
    if file is None:
        raise ValueError(
            'weights: "imagenet" is published for NASNetMobile and NASNetLarge only; '
            "allowed here are None, the path of a file and a name such as "
            "hf://timm/pnasnet5large.tf_in1k"
        )
    return file


def _check_head(
    include_top: bool, pooling: Pooling | None, classes: int, options: BuildOptions
) -> None:
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling: {shown(pooling)} is not known; allowed are None, 'avg', 'max'")
    dropout_rate = options.get("dropout_rate", 0.0)
    if not is_number(dropout_rate) or not 0 <= dropout_rate < 1:
        raise ValueError(f"dropout_rate: wanted [0, 1), got {shown(dropout_rate)}")
    check_integers(1, MAX_CLASSES, classes=classes)
    if options.get("auxiliary") and not include_top:
        raise ValueError("auxiliary: the auxiliary head needs include_top=True")
