"""The configuration of a network, and the limits of what may be built."""

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from keras_nasnet.cells.genotype import Genotype
from keras_nasnet.cells.layout import output_width
from keras_nasnet.check import check_integers, check_member, is_number, shown

PoolPadding: TypeAlias = Literal["same", "zeros", "average_zeros"]
POOL_PADDINGS = get_args(PoolPadding)
MIN_INPUT_SIZE = {"imagenet": 32, "cifar": 8}  # pixels a side, by stem: 1 and 2 in the last cell
# Limits far beyond any real network, so that a typo is an error and not a network.
MAX_CELLS = 1_000  # per stage: published networks have 3 to 7
MAX_FILTERS = 100_000  # of the last cell: NASNetLarge has 4,032
MAX_STEM_MULTIPLIER = 100  # published ones are 1 and 3
MAX_INPUT_SIZE = 16_384  # pixels a side: an image of that takes 3 GB before the first cell
MAX_CHANNELS = 4_096  # of an image: hyperspectral ones have a few hundred
MAX_CLASSES = 250_000  # Google Landmarks v2, the largest public set of labels, has 203,094
DROP_PATH_SCHEDULES = {  # factors of the rate
    "linear": ("depth", "step"),  # Zoph et al. 2018, section 4
    "depth": ("depth",),
    "step": ("step",),
    "constant": (),
}


@dataclass(frozen=True, slots=True)
class NASNetConfig:
    """One network, "NASNet-A (6 @ 4032)" in the paper's notation: a row of data.

    Args:
        genotype: the two cells.
        num_cells: int from 1 to 1,000. N, the normal cells of each of the three stages.
        penultimate_filters: int up to 100,000. Channels of the last cell's output; a multiple of
            `filters_multiple`, and with the ImageNet stem at least four times that.
        stem: `"imagenet"` (3x3 convolution with stride 2, two reduction cells) or `"cifar"`
            (3x3 convolution with stride 1).
        stem_multiplier: int from 1 to 100. Filters of the stem's convolution, in multiples of 32
            with the ImageNet stem and of `filters` with the CIFAR stem (slim nasnet.py).
        skip_reduction: bool. Whether the previous state of the first normal cell after a reduction
            cell is the output before the reduction cell's input, rather than that input.
        counts_reduction: bool. Whether the reduction cell before a stage is one of its `num_cells`
            (Liu et al. 2018), rather than one more.
        pool_padding: `"same"` (slim), `"zeros"` (keras.applications) or `"average_zeros"` (timm).
            How pooling with stride 2 treats the border.
        batch_norm_momentum: float in [0, 1).
        batch_norm_epsilon: float > 0.
        input_size: int up to 16,384. Default height and width.
        classes: int up to 250,000. Default number of classes.

    Raises:
        ValueError: if a value is out of range or of the wrong type.
    """

    genotype: Genotype
    num_cells: int
    penultimate_filters: int
    stem: Literal["imagenet", "cifar"] = "imagenet"
    stem_multiplier: int = 1
    skip_reduction: bool = False
    counts_reduction: bool = False
    pool_padding: PoolPadding = "same"
    batch_norm_momentum: float = 0.9  # slim's for CIFAR-10; 0.9997 for ImageNet is in the recipes
    batch_norm_epsilon: float = 1e-3  # slim nasnet.py
    input_size: int = 224
    classes: int = 1000

    def __post_init__(self) -> None:
        check_integers(1, MAX_CELLS, num_cells=self.num_cells)
        check_integers(1, MAX_FILTERS, penultimate_filters=self.penultimate_filters)
        check_integers(1, MAX_STEM_MULTIPLIER, stem_multiplier=self.stem_multiplier)
        check_integers(1, MAX_INPUT_SIZE, input_size=self.input_size)
        check_integers(1, MAX_CLASSES, classes=self.classes)
        check_member("stem", self.stem, ("imagenet", "cifar"))
        check_member("pool_padding", self.pool_padding, POOL_PADDINGS)
        for name in ("skip_reduction", "counts_reduction"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise ValueError(f"{name}: wanted True or False, got {shown(value)}")
        momentum, epsilon = self.batch_norm_momentum, self.batch_norm_epsilon
        if not is_number(momentum) or not 0 <= momentum < 1:
            raise ValueError(f"batch_norm_momentum: wanted [0, 1), got {shown(momentum)}")
        if not is_number(epsilon) or not epsilon > 0:
            raise ValueError(f"batch_norm_epsilon: wanted > 0, got {shown(epsilon)}")
        self._check_filters()

    def _check_filters(self) -> None:
        if self.counts_reduction and self.num_cells < 2:
            raise ValueError(
                "num_cells: wanted at least 2 if the reduction cell is one of them, got 1"
            )
        multiple = self.filters_multiple
        # The first cell of the ImageNet stem has a quarter of the filters.
        least = multiple * (4 if self.stem == "imagenet" else 1)
        if self.penultimate_filters % multiple or self.penultimate_filters < least:
            below = self.penultimate_filters // multiple * multiple
            nearest = dict.fromkeys(str(max(near, least)) for near in (below, below + multiple))
            raise ValueError(
                f"penultimate_filters: wanted a multiple of {multiple} for this normal cell and "
                f"the {self.stem} stem, such as {' or '.join(nearest)}; "
                f"got {self.penultimate_filters}"
            )

    @property
    def title(self) -> str:
        """The network in the paper's notation, such as `"NASNet-A (6 @ 4032)"`."""
        return f"{self.genotype.name or 'NASNet'} ({self.num_cells} @ {self.penultimate_filters})"

    @property
    def filters_multiple(self) -> int:
        """What `penultimate_filters` must be a multiple of."""
        return output_width(self.genotype.normal) * 4  # filters double at both reductions

    @property
    def filters(self) -> int:
        """Filters of the normal cells of the first stage."""
        return self.penultimate_filters // (4 * output_width(self.genotype.normal))

    @property
    def min_input_size(self) -> int:
        """The smallest height and width of an image, in pixels."""
        return MIN_INPUT_SIZE[self.stem]

    @property
    def stem_filters(self) -> int:
        """Filters of the stem's convolution."""
        return self.stem_multiplier * (32 if self.stem == "imagenet" else self.filters)
