"""Networks of cells that others found in the same space, from the same builder."""

import keras

from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.zoo import build_model, names_mistakes


def _network(model: str, name: str, description: str):
    config = MODELS[model]

    def network(
        input_shape=None,
        include_top=True,
        weights=None,
        input_tensor=None,
        pooling=None,
        classes=config.classes,
        classifier_activation="softmax",
        name=name,
        **options,
    ) -> keras.Model:
        return build_model(
            config,
            model,
            input_shape,
            include_top,
            weights,
            input_tensor,
            pooling,
            classes,
            classifier_activation,
            name,
            **options,
        )

    network.__name__ = network.__qualname__ = model
    network.__doc__ = (
        f"{description}\n\n    Arguments and `options` (`dropout_rate`, `drop_path_rate`, "
        "`auxiliary`, ...) as in `NASNet`;\n    `weights` None (default), the path of a file, or "
        "a name on the Hugging Face hub.\n    "
    )
    return names_mistakes(network)


PNASNetMobile = _network(
    "PNASNetMobile",
    "pnasnet_mobile",
    """PNASNet-5 (N = 3, F = 54): 5.1M parameters, 587M multiply-adds, made for 224 x 224.

    Published top-1 on ImageNet 74.2% (Liu et al. 2018, arXiv:1712.00559, table 4).""",
)
PNASNetLarge = _network(
    "PNASNetLarge",
    "pnasnet_large",
    """PNASNet-5 (N = 4, F = 216): 86.2M parameters, 24.9B multiply-adds, made for 331 x 331.

    Published top-1 on ImageNet 82.9% (Liu et al. 2018, arXiv:1712.00559, table 5); timm's
    weights are `"hf://timm/pnasnet5large.tf_in1k"`.""",
)
AmoebaNetA = _network(
    "AmoebaNetA",
    "amoebanet_a",
    """AmoebaNet-A (N = 6, F = 190): 86.9M parameters, 23.1B multiply-adds, made for 331 x 331.

    Published top-1 on ImageNet 82.8% (Real et al. 2019, arXiv:1802.01548, table 2). No weights
    of it are published.""",
)
ENASMicro = _network(
    "ENASMicro",
    "enas_micro",
    """The cell of ENAS's micro search (N = 5, F = 36) between the stem and the head of NASNetCIFAR:
    3.8M parameters, 615M multiply-adds, made for 32 x 32.

    Pham et al. 2018, arXiv:1802.03268: error on CIFAR-10 2.89% with cutout. Their network differs
    around the cell: it projects both inputs of a cell once more, and halves an identity by a
    factorized reduction. No weights of it are published.""",
)
