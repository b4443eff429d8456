"""The models: keras.applications' arguments in keras.applications' order, and more after them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import wraps
from inspect import signature
from os import PathLike
from typing import Literal, ParamSpec, TypeAlias, TypedDict, Unpack

import keras

from keras_nasnet.cells.catalog import MODELS, network_of
from keras_nasnet.cells.config import MAX_CLASSES, NASNetConfig, PoolPadding
from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.check import check_integers, did_you_mean, is_number, shown
from keras_nasnet.layers.network import build, image_of
from keras_nasnet.layers.variable import skip_initialization
from keras_nasnet.tensor import Activation, Tensor
from keras_nasnet.weights.download import fetch
from keras_nasnet.weights.load import load_weights
from keras_nasnet.weights.location import locate
from keras_nasnet.weights.manifest import PUBLISHED

ImageShape: TypeAlias = Sequence[int | None]
Weights: TypeAlias = str | PathLike[str]
Pooling: TypeAlias = Literal["avg", "max"]
Arguments = ParamSpec("Arguments")


class BuildOptions(TypedDict, total=False):
    """Those of `Options` that `build` takes."""

    drop_path_rate: float
    drop_path_steps: int | None
    drop_path_schedule: str
    auxiliary: bool | float
    dropout_rate: float
    remat: bool


class Options(BuildOptions, total=False):
    """What every factory takes in addition, see `NASNet`."""

    pool_padding: PoolPadding
    batch_norm_momentum: float | None


def list_models() -> list[str]:
    """Names of the models that need no genotype: `["NASNetMobile", "NASNetLarge", ...]`."""
    return list(MODELS)


def builds_model(config_of: Callable[Arguments, NASNetConfig]) -> Callable[Arguments, keras.Model]:
    """Makes a factory of what gives a config: it takes the same arguments and returns the model.

    An argument that is none is refused, in the factory's own name and with the nearest.
    """
    config_of.__annotations__["return"] = keras.Model  # which `help` shows of the factory
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


@builds_model
def NASNetMobile(
    input_shape: ImageShape | None = None,
    include_top: bool = True,
    weights: Weights | None = "imagenet",
    input_tensor: Tensor | None = None,
    pooling: Pooling | None = None,
    classes: int = 1000,
    classifier_activation: Activation = "softmax",
    name: str = "nasnet_mobile",
    **options: Unpack[Options],
) -> NASNetConfig:
    """NASNet-A (4 @ 1056): 5.3M parameters, 564M multiply-adds, made for 224 x 224.

    Published top-1 on ImageNet 74.0% (Zoph et al. 2018, table 3). Arguments
    and `options` (`dropout_rate`, `drop_path_rate`, `auxiliary`, ...) as in `NASNet`.
    """
    return MODELS["NASNetMobile"]


@builds_model
def NASNetLarge(
    input_shape: ImageShape | None = None,
    include_top: bool = True,
    weights: Weights | None = "imagenet",
    input_tensor: Tensor | None = None,
    pooling: Pooling | None = None,
    classes: int = 1000,
    classifier_activation: Activation = "softmax",
    name: str = "nasnet_large",
    **options: Unpack[Options],
) -> NASNetConfig:
    """NASNet-A (6 @ 4032): 88.9M parameters, 23.8B multiply-adds, made for 331 x 331.

    Published top-1 on ImageNet 82.7% (Zoph et al. 2018, table 2). Arguments
    and `options` (`dropout_rate`, `drop_path_rate`, `auxiliary`, ...) as in `NASNet`.
    """
    return MODELS["NASNetLarge"]


@builds_model
def NASNetCIFAR(
    input_shape: ImageShape | None = None,
    include_top: bool = True,
    weights: Weights | None = None,
    input_tensor: Tensor | None = None,
    pooling: Pooling | None = None,
    classes: int = 10,
    classifier_activation: Activation = "softmax",
    name: str = "nasnet_cifar",
    **options: Unpack[Options],
) -> NASNetConfig:
    """NASNet-A (6 @ 768) with a stem for small images: 3.4M parameters, 544M multiply-adds,
    made for 32 x 32.

    Published error on CIFAR-10 3.41% (Zoph et al. 2018, table 1). No weights are published.
    Arguments and `options` (`dropout_rate`, `drop_path_rate`, `auxiliary`, ...) as in `NASNet`.
    """
    return MODELS["NASNetCIFAR"]


@builds_model
def NASNet(
    genotype: Genotype,
    num_cells: int,
    penultimate_filters: int | None = None,
    *,
    stem: Literal["imagenet", "cifar"] = "imagenet",
    stem_multiplier: int | None = None,
    skip_reduction: bool = False,
    input_shape: ImageShape | None = None,
    include_top: bool = True,
    weights: Weights | None = None,
    input_tensor: Tensor | None = None,
    pooling: Pooling | None = None,
    classes: int = 1000,
    classifier_activation: Activation = "softmax",
    name: str = "nasnet",
    **options: Unpack[Options],
) -> NASNetConfig:
    """A network of any genotype, "NASNet-A (4 @ 1056)" in the paper's notation.

    Args:
        genotype: `Genotype`, the normal and the reduction cell.
        num_cells: int from 1 to 1,000, normal cells in each of the three stages.
        penultimate_filters: int up to 100,000, channels of the last cell's output; a multiple of 4
            times the states in the normal cell's output, and at least 16 times with the
            `"imagenet"` stem.
            Default: as many filters in the cells as NASNetMobile has, or NASNetCIFAR with the
            `"cifar"` stem.
        stem: `"imagenet"` (default): 3x3 convolution with stride 2, two reduction cells.
            `"cifar"`: 3x3 convolution with stride 1.
        stem_multiplier: int from 1 to 100. That convolution has 32 times as many filters, default
            1; with the `"cifar"` stem as many times those of the first stage, default 3.
        skip_reduction: bool, default False. Whether the first normal cell after a reduction cell
            takes the state before the reduction's input as its previous state.
        input_shape: `(height, width, channels)`; height and width from 32 to 16,384, or None for
            any size; channels from 1 to 4,096. Default: the size the model is made for (224 for
            `NASNet`); without top `(None, None, 3)`.
        include_top: bool, default True. Whether the network ends with the classifier.
        weights: None for random ones; the path of a weight file or its name on the Hugging Face
            hub, see `load_weights`; or, for `NASNetMobile` and `NASNetLarge`, `"imagenet"` (their
            default), which downloads the published file to Keras's cache folder. For images of
            other than three channels the kernel of the stem is summed, or repeated and scaled.
        input_tensor: Keras tensor to build on, in place of a new input.
        pooling: without top, None (default) for the feature map `(batch, height, width,
            penultimate_filters)`, `"avg"` or `"max"` for a vector `(batch, penultimate_filters)`.
        classes: int up to 250,000, outputs of the classifier. If not the default, weights may come
            from a network of other classes: the classifier is then a new one, and one line is
            logged.
        classifier_activation: `"softmax"` (default), or None for logits.
        name: str.
        options: the following, which `NASNetMobile` and the other factories take too.
        drop_path_rate: float in [0, 1), default 0. The rate of `ScheduledDropPath` in the last
            cell at the end of training; 0.4 for CIFAR-10 and 0.3 for NASNetLarge in the authors'
            code. Training steps are counted in the model's weight `training_step/step`, one a
            batch, also where gradients are accumulated.
        drop_path_steps: int > 0, training steps until that rate.
        drop_path_schedule: `"linear"` (default), or for comparison `"depth"`, `"step"` or
            `"constant"`, see `ScheduledDropPath`.
        auxiliary: bool, default False. Whether training adds the loss of an auxiliary head, with
            a weight of 0.4 or the float given; needs a fixed input size and the classifier.
            `predict`, `evaluate` and exports are without it.
        dropout_rate: float in [0, 1), default 0. Before the classifier; 0.5 in the paper.
        remat: bool, default False. Whether training keeps the inputs of each cell alone and
            evaluates it anew for the gradients (gradient checkpointing): the same results, with
            less memory and more time.
        pool_padding: `"same"` (default) as the authors' code, `"zeros"` as keras.applications,
            which counts zeros at the border of pools with stride 2, `"average_zeros"` as timm,
            which counts them in averages alone. Published weights were trained with `"same"`.
        batch_norm_momentum: float in [0, 1), default 0.9: the statistics that `evaluate` and
            `predict` use follow training within some fifty steps. The authors have that for
            CIFAR-10 and 0.9997 for ImageNet, as keras.applications has, which takes thousands
            of steps; the recipes `imagenet-mobile` and `imagenet-large` have it.

    Returns:
        `keras.Model`. Its input is float `(batch, height, width, channels)` from -1 to 1, see
        `preprocess_input`; its output float32 `(batch, classes)` with top.

    Raises:
        ValueError: if an argument is out of range or a weight file does not fit.
        TypeError: if an argument is unknown.
        FileNotFoundError: if `weights` is the path of no file.
        ConnectionError: if weights cannot be downloaded.

    Reference:
        Zoph et al. 2018, arXiv:1707.07012, section 3 and appendix A.
    """
    return network_of(
        genotype,
        stem,
        num_cells=num_cells,
        penultimate_filters=penultimate_filters,
        skip_reduction=skip_reduction,
        classes=1000,
        stem_multiplier=stem_multiplier,
    )


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
        published_as: the name under which its weights are published, or None.
        classes: int; the config's by default.

    The other arguments, what is returned and raised: as in `NASNet`.
    """
    if classes is None:
        classes = config.classes
    other_classes = classes != config.classes
    published = None
    if weights == "imagenet":
        published = PUBLISHED.get((published_as or "", include_top and not other_classes))
        if published is None:
            raise ValueError(
                'weights: "imagenet" is published for NASNetMobile and NASNetLarge only; '
                "allowed here are None, the path of a file and a name such as "
                "hf://timm/pnasnet5large.tf_in1k"
            )
    if pooling not in (None, "avg", "max"):
        raise ValueError(f"pooling: {shown(pooling)} is not known; allowed are None, 'avg', 'max'")
    dropout_rate = options.get("dropout_rate", 0.0)
    if not is_number(dropout_rate) or not 0 <= dropout_rate < 1:
        raise ValueError(f"dropout_rate: wanted [0, 1), got {shown(dropout_rate)}")
    check_integers(1, MAX_CLASSES, classes=classes)
    if options.get("auxiliary") and not include_top:
        raise ValueError("auxiliary: the auxiliary head needs include_top=True")
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
