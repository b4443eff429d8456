"""Networks with cells that others found in the same space, from the same builder."""

from typing import Unpack

from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.factory import ImageShape, Options, Pooling, Weights, builds_model
from keras_nasnet.tensor import Activation, Tensor


@builds_model
def PNASNetMobile(
    input_shape: ImageShape | None = None,
    include_top: bool = True,
    weights: Weights | None = None,
    input_tensor: Tensor | None = None,
    pooling: Pooling | None = None,
    classes: int = 1000,
    classifier_activation: Activation = "softmax",
    name: str = "pnasnet_mobile",
    **options: Unpack[Options],
) -> NASNetConfig:
    """PNASNet-5 (N = 3, F = 54): 5.1M parameters, 587M multiply-adds, made for 224 x 224.

    Published top-1 on ImageNet 74.2% (Liu et al. 2018, arXiv:1712.00559, table 4).

    Arguments and `options` (`dropout_rate`, `drop_path_rate`, `auxiliary`, ...) as in `NASNet`;
    `weights` None (default), the path of a file, or a name on the Hugging Face hub.
    """
    return MODELS["PNASNetMobile"]


@builds_model
def PNASNetLarge(
    input_shape: ImageShape | None = None,
    include_top: bool = True,
    weights: Weights | None = None,
    input_tensor: Tensor | None = None,
    pooling: Pooling | None = None,
    classes: int = 1000,
    classifier_activation: Activation = "softmax",
    name: str = "pnasnet_large",
    **options: Unpack[Options],
) -> NASNetConfig:
    """PNASNet-5 (N = 4, F = 216): 86.2M parameters, 24.9B multiply-adds, made for 331 x 331.

    Published top-1 on ImageNet 82.9% (Liu et al. 2018, arXiv:1712.00559, table 5); timm's
    weights are `"hf://timm/pnasnet5large.tf_in1k"`.

    Arguments and `options` (`dropout_rate`, `drop_path_rate`, `auxiliary`, ...) as in `NASNet`;
    `weights` None (default), the path of a file, or a name on the Hugging Face hub.
    """
    return MODELS["PNASNetLarge"]


@builds_model
def AmoebaNetA(
    input_shape: ImageShape | None = None,
    include_top: bool = True,
    weights: Weights | None = None,
    input_tensor: Tensor | None = None,
    pooling: Pooling | None = None,
    classes: int = 1000,
    classifier_activation: Activation = "softmax",
    name: str = "amoebanet_a",
    **options: Unpack[Options],
) -> NASNetConfig:
    """AmoebaNet-A (N = 6, F = 190): 86.9M parameters, 23.1B multiply-adds, made for 331 x 331.

    Published top-1 on ImageNet 82.8% (Real et al. 2019, arXiv:1802.01548, table 2). No weights
    of it are published.

    Arguments and `options` (`dropout_rate`, `drop_path_rate`, `auxiliary`, ...) as in `NASNet`;
    `weights` None (default), the path of a file, or a name on the Hugging Face hub.
    """
    return MODELS["AmoebaNetA"]


@builds_model
def ENASMicro(
    input_shape: ImageShape | None = None,
    include_top: bool = True,
    weights: Weights | None = None,
    input_tensor: Tensor | None = None,
    pooling: Pooling | None = None,
    classes: int = 10,
    classifier_activation: Activation = "softmax",
    name: str = "enas_micro",
    **options: Unpack[Options],
) -> NASNetConfig:
    """The cell of ENAS's micro search (N = 5, F = 36) between the stem and the head of NASNetCIFAR:
    3.8M parameters, 615M multiply-adds, made for 32 x 32.

    Pham et al. 2018, arXiv:1802.03268: error on CIFAR-10 2.89% with cutout. Their network differs
    around the cell: it projects both inputs of a cell again, and downsamples an identity by a
    factorized reduction. No weights of it are published.

    Arguments and `options` (`dropout_rate`, `drop_path_rate`, `auxiliary`, ...) as in `NASNet`;
    `weights` None (default), the path of a file, or a name on the Hugging Face hub.
    """
    return MODELS["ENASMicro"]
