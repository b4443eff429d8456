"""The models, with keras.applications' arguments in its order, followed by more."""

from typing import Literal, Unpack

from keras_nasnet.cells.catalog import MODELS, network_of
from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.factory import ImageShape, Options, Pooling, Weights, builds_model
from keras_nasnet.tensor import Activation, Tensor


def list_models() -> list[str]:
    """Names of the models that need no genotype: `["NASNetMobile", "NASNetLarge", ...]`."""
    return list(MODELS)


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
            times the states in the normal cell's output, and with the `"imagenet"` stem at least 16
            times. Default: as many filters in the cells as NASNetMobile has, or NASNetCIFAR with
            the `"cifar"` stem.
        stem: `"imagenet"` (default): 3x3 convolution with stride 2, two reduction cells.
            `"cifar"`: 3x3 convolution with stride 1.
        stem_multiplier: int from 1 to 100. Filters of that convolution, in multiples of 32, default
            1; with the `"cifar"` stem in multiples of the first stage's, default 3.
        skip_reduction: bool, default False. Whether the first normal cell after a reduction cell
            takes the state before the reduction's input as its previous state.
        input_shape: `(height, width, channels)`; height and width from 32 to 16,384, or None for
            any size; channels from 1 to 4,096. Default: the size the model is made for (224 for
            `NASNet`); without top `(None, None, 3)`.
        include_top: bool, default True. Whether the network ends with the classifier.
        weights: None for random ones; the path of a weight file or its name on the Hugging Face
            hub, see `load_weights`; or, for `NASNetMobile` and `NASNetLarge`, `"imagenet"` (their
            default), which downloads the published file to Keras's cache folder. For images
            without three channels the kernel of the stem is summed, or repeated and scaled.
        input_tensor: Keras tensor to build on, instead of a new input.
        pooling: without top, None (default) for the feature map `(batch, height, width,
            penultimate_filters)`, `"avg"` or `"max"` for a vector `(batch, penultimate_filters)`.
        classes: int up to 250,000, outputs of the classifier. If not the default, weights may come
            from a network with other classes: the classifier is then new, and a line is logged.
        classifier_activation: `"softmax"` (default), or None for logits.
        name: str.
        options: the following, which `NASNetMobile` and the other models take too.
        drop_path_rate: float in [0, 1), default 0. The rate of `ScheduledDropPath` in the last
            cell at the end of training; 0.4 for CIFAR-10 and 0.3 for NASNetLarge in the authors'
            code. Training steps are counted in the model's weight `training_step/step`, one for
            each batch, also when gradients are accumulated.
        drop_path_steps: int > 0, training steps until that rate.
        drop_path_schedule: `"linear"` (default), or for comparison `"depth"`, `"step"` or
            `"constant"`, see `ScheduledDropPath`.
        auxiliary: bool or float, default False. Whether training adds the loss of an auxiliary
            head, with a weight of 0.4 or the float given; needs a fixed input size and the
            classifier. `predict`, `evaluate` and exports leave it out.
        dropout_rate: float in [0, 1), default 0. Of dropout before the classifier; 0.5 in the
            paper.
        remat: bool, default False. Whether training keeps only the inputs of each cell and
            evaluates the cell again for the gradients (gradient checkpointing): the same results,
            with less memory but more time.
        pool_padding: `"same"` (default) as in the authors' code, `"zeros"` as in
            keras.applications, which counts padded zeros in pools with stride 2,
            `"average_zeros"` as in timm, which counts them in averages only. Published weights
            were trained with `"same"`.
        batch_norm_momentum: float in [0, 1), default 0.9: the statistics that `evaluate` and
            `predict` use follow training within some fifty steps. The authors use that for
            CIFAR-10; for ImageNet they use 0.9997, as keras.applications does, which takes
            thousands of steps. The recipes `imagenet-mobile` and `imagenet-large` set it.

    Returns:
        `keras.Model`. Its input is float `(batch, height, width, channels)` from -1 to 1, see
        `preprocess_input`; its output float32 `(batch, classes)` with top.

    Raises:
        ValueError: if an argument is out of range or a weight file does not fit.
        TypeError: if an argument is unknown.
        FileNotFoundError: if there is no file at the path `weights`.
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
