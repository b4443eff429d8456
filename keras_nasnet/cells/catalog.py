"""Published genotypes and networks, each a row of data that cites its source."""

from dataclasses import dataclass, replace
from typing import Any

from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.cells.genotype import Block, CellSpec, Edge, Genotype
from keras_nasnet.cells.layout import output_width

H, P = 0, 1  # the current and the previous state, as the paper's figures draw them


def _cell(*blocks: tuple[tuple[str, int], tuple[str, int]], output: tuple[int, ...]) -> CellSpec:
    return CellSpec(tuple(Block(Edge(*left), Edge(*right)) for left, right in blocks), output)


# Zoph et al. 2018, figure 4; the outputs as in slim's nasnet_utils.py, which also list states
# that a block reads.
NASNET_A = Genotype(
    name="NASNet-A",
    normal=_cell(
        (("separable_5x5", H), ("separable_3x3", P)),
        (("separable_5x5", P), ("separable_3x3", P)),
        (("average_pool_3x3", H), ("identity", P)),
        (("average_pool_3x3", P), ("average_pool_3x3", P)),
        (("separable_3x3", H), ("identity", H)),
        output=(1, 2, 3, 4, 5, 6),
    ),
    reduction=_cell(
        (("separable_5x5", H), ("separable_7x7", P)),
        (("max_pool_3x3", H), ("separable_7x7", P)),
        (("average_pool_3x3", H), ("separable_5x5", P)),
        (("identity", 3), ("average_pool_3x3", 2)),
        (("separable_3x3", 2), ("max_pool_3x3", H)),
        output=(3, 4, 5, 6),
    ),
)

# Liu et al. 2018 (arXiv:1712.00559), figure 1 on the left; as listed in slim's pnasnet.py.
_PNASNET_5 = _cell(
    (("separable_5x5", P), ("max_pool_3x3", P)),
    (("separable_7x7", H), ("max_pool_3x3", H)),
    (("separable_5x5", H), ("separable_3x3", H)),
    (("separable_3x3", 4), ("max_pool_3x3", H)),
    (("separable_3x3", P), ("identity", H)),
    output=(2, 3, 4, 5, 6),
)
PNASNET_5 = Genotype(name="PNASNet-5", normal=_PNASNET_5, reduction=_PNASNET_5)

# Real et al. 2019 (arXiv:1802.01548), figure 5; as listed under `amoeba_net_a` in model_specs.py
# of the authors' code (tensorflow/tpu, models/official/amoeba_net).
AMOEBANET_A = Genotype(
    name="AmoebaNet-A",
    normal=_cell(
        (("average_pool_3x3", H), ("max_pool_3x3", H)),
        (("separable_3x3", P), ("identity", P)),
        (("identity", H), ("average_pool_3x3", P)),
        (("separable_3x3", H), ("separable_5x5", 2)),
        (("average_pool_3x3", 5), ("separable_3x3", H)),
        output=(1, 3, 4, 6),
    ),
    reduction=_cell(
        (("separable_3x3", P), ("average_pool_3x3", H)),
        (("max_pool_3x3", H), ("separable_7x7", 2)),
        (("max_pool_3x3", P), ("max_pool_3x3", H)),
        (("separable_3x3", 4), ("bottleneck_1x7_7x1", H)),
        (("average_pool_3x3", P), ("separable_7x7", H)),
        output=(2, 3, 4, 5, 6),
    ),
)

# Pham et al. 2018 (arXiv:1802.03268), the micro search's cell: `fixed_arc` in
# scripts/cifar10_micro_final.sh of the authors' code (melodyguan/enas), whose state 0 is the
# previous and whose state 1 is the current one.
ENAS = Genotype(
    name="ENAS",
    normal=_cell(
        (("average_pool_3x3", P), ("separable_3x3", P)),
        (("identity", P), ("separable_5x5", P)),
        (("identity", P), ("separable_5x5", H)),
        (("separable_3x3", H), ("separable_5x5", P)),
        (("average_pool_3x3", P), ("separable_5x5", H)),
        output=(2, 3, 4, 5, 6),
    ),
    reduction=_cell(
        (("separable_3x3", H), ("separable_3x3", H)),
        (("max_pool_3x3", P), ("average_pool_3x3", P)),
        (("separable_5x5", H), ("separable_5x5", 3)),
        (("separable_3x3", H), ("identity", P)),
        (("max_pool_3x3", P), ("separable_5x5", H)),
        output=(2, 4, 5, 6),
    ),
)

GENOTYPES = {
    "NASNET_A": NASNET_A,
    "PNASNET_5": PNASNET_5,
    "AMOEBANET_A": AMOEBANET_A,
    "ENAS": ENAS,
}

# Settings of slim's nasnet.py and pnasnet.py, but for the momentum of batch normalization, which
# matters only in training.
MODELS = {
    "NASNetMobile": NASNetConfig(NASNET_A, num_cells=4, penultimate_filters=1056, input_size=224),
    "NASNetLarge": NASNetConfig(
        NASNET_A,
        num_cells=6,
        penultimate_filters=4032,
        stem_multiplier=3,
        skip_reduction=True,
        input_size=331,
    ),
    "NASNetCIFAR": NASNetConfig(
        NASNET_A,
        num_cells=6,
        penultimate_filters=768,
        stem="cifar",
        stem_multiplier=3,
        batch_norm_epsilon=1e-5,
        input_size=32,
        classes=10,
    ),
    "PNASNetMobile": NASNetConfig(
        PNASNET_5, num_cells=3, penultimate_filters=1080, counts_reduction=True, input_size=224
    ),
    "PNASNetLarge": NASNetConfig(
        PNASNET_5,
        num_cells=4,
        penultimate_filters=4320,
        stem_multiplier=3,
        counts_reduction=True,
        input_size=331,
    ),
    # N = 6 and F = 190 in table 2 of Real et al. 2019; the rest as in amoeba_net_model.py.
    "AmoebaNetA": NASNetConfig(AMOEBANET_A, num_cells=6, penultimate_filters=3040, input_size=331),
    # The settings of cifar10_micro_final.sh.
    "ENASMicro": NASNetConfig(
        ENAS,
        num_cells=5,
        penultimate_filters=720,
        stem="cifar",
        stem_multiplier=3,
        input_size=32,
        classes=10,
    ),
}


@dataclass(frozen=True, slots=True)
class Publication:
    """What was published about a network.

    Args:
        notation: its name in the paper.
        accuracy: in percent: top-1 / top-5 on ImageNet, or the error on CIFAR-10.
        source: the paper, with the table.
    """

    notation: str
    accuracy: str
    source: str


PUBLICATIONS = {
    "NASNetMobile": Publication("NASNet-A (4 @ 1056)", "74.0 / 91.6", "Zoph et al. 2018, table 3"),
    "NASNetLarge": Publication("NASNet-A (6 @ 4032)", "82.7 / 96.2", "Zoph et al. 2018, table 2"),
    "NASNetCIFAR": Publication(
        "NASNet-A (6 @ 768)", "CIFAR-10: error 3.41", "Zoph et al. 2018, table 1"
    ),
    "PNASNetMobile": Publication(
        "PNASNet-5 (N = 3, F = 54)", "74.2 / 91.9", "Liu et al. 2018, arXiv:1712.00559, table 4"
    ),
    "PNASNetLarge": Publication(
        "PNASNet-5 (N = 4, F = 216)", "82.9 / 96.2", "Liu et al. 2018, arXiv:1712.00559, table 5"
    ),
    "AmoebaNetA": Publication(
        "AmoebaNet-A (N = 6, F = 190)", "82.8 / 96.1", "Real et al. 2019, arXiv:1802.01548, table 2"
    ),
    "ENASMicro": Publication(
        "ENAS's cell (N = 5, F = 36)",
        "CIFAR-10: error 2.89 with cutout",
        "Pham et al. 2018, arXiv:1802.03268",
    ),
}


def network_of(genotype: Genotype, stem: str = "imagenet", **settings: Any) -> NASNetConfig:
    """A network of any genotype: NASNetMobile's settings, NASNetCIFAR's with the `"cifar"` stem.

    Args:
        genotype: the two cells.
        stem: `"imagenet"` or `"cifar"`.
        settings: other fields of `NASNetConfig`; None for the published network's. The default
            `penultimate_filters` gives the cells as many filters as in the published network.

    Raises:
        ValueError: as `NASNetConfig` does.
    """
    base = MODELS["NASNetCIFAR" if stem == "cifar" else "NASNetMobile"]
    settings = {name: value for name, value in settings.items() if value is not None}
    settings.setdefault("penultimate_filters", 4 * base.filters * output_width(genotype.normal))
    return replace(base, genotype=genotype, **{"stem": stem} | settings)
