"""From a `NASNetConfig` to the cells of the network and the operations of each.

Everything that a shape decides is decided here, from cumulative strides and channels, never from
the height and width of a tensor: so one set of weights serves every input size.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Literal

from keras_nasnet.cells.genotype import (
    COMBINERS,
    CURRENT,
    PREVIOUS,
    Block,
    CellSpec,
    Edge,
    Genotype,
    walk,
)
from keras_nasnet.check import check_integers, check_member, is_number, shown

NUM_STAGES = 3  # normal cells at three resolutions, a reduction cell between them
POOL_PADDINGS = ("same", "zeros", "average_zeros")
MIN_INPUT_SIZE = 32
# Limits far beyond use, so that a slip of the keyboard is told and not built.
MAX_CELLS = 1_000  # of a stage: published networks have 3 to 7
MAX_FILTERS = 100_000  # of the last cell: NASNetLarge has 4,032
MAX_STEM_MULTIPLIER = 100  # published ones are 1 and 3
MAX_INPUT_SIZE = 16_384  # pixels of a side: such a square takes 3 GB before the first cell
MAX_CHANNELS = 4_096  # of an image: hyperspectral ones have some hundred
MAX_CLASSES = 250_000  # Google Landmarks v2, the greatest public set of labels, has 203,094
DROP_PATH_SCHEDULES = {  # what each multiplies the rate by
    "linear": ("depth", "step"),  # Zoph et al. 2018, section 4
    "depth": ("depth",),
    "step": ("step",),
    "constant": (),
}

PoolPadding = Literal["same", "zeros", "average_zeros"]


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
        skip_reduction: bool. Whether the first normal cell after a reduction cell takes as its
            previous state the cell before the reduction's input, rather than that input.
        counts_reduction: bool. Whether the reduction cell before a stage is one of its `num_cells`
            (Liu et al. 2018), rather than one more.
        pool_padding: `"same"` (slim), `"zeros"` (keras.applications) or `"average_zeros"` (timm),
            how pooling with stride 2 treats the border.
        batch_norm_momentum: float in [0, 1).
        batch_norm_epsilon: float > 0.
        input_size: int up to 16,384. Default height and width.
        classes: int up to 250,000. Default number of classes.

    Raises:
        ValueError: if a value is out of range or of another type.
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
                "num_cells: wanted at least 2 where the reduction cell is one of them, got 1"
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
    def filters_multiple(self) -> int:
        """What `penultimate_filters` has to be a multiple of."""
        return output_width(self.genotype.normal) * 4  # filters double at both reductions

    @property
    def filters(self) -> int:
        """Filters of the normal cells of the first stage."""
        return self.penultimate_filters // (4 * output_width(self.genotype.normal))

    @property
    def stem_filters(self) -> int:
        """Filters of the stem's convolution."""
        return self.stem_multiplier * (32 if self.stem == "imagenet" else self.filters)


def output_width(spec: CellSpec) -> int:
    """Channels of a cell's output for each filter."""
    return CellLayout(spec, filters=1, channels=1, previous_channels=1).output_channels


@dataclass(frozen=True, slots=True)
class Stage:
    """One operation in its place in a cell: an edge, or what adjusts or normalizes a state.

    Args:
        name: such as `"block_0_left"`, `"block_0"`, `"current"`, `"previous"`, `"output_1"`.
        op: a key of `OPERATIONS` or `NORMALIZATIONS`, or a member of `ADJUSTMENTS`.
        channels: int, channels of its input.
        strides: 1 or 2.
        input_strides: of its input, counted from the cell's current state.
    """

    name: str
    op: str
    channels: int
    strides: int = 1
    input_strides: int = 1


@dataclass(slots=True)
class CellLayout:
    """All operations of a cell, for the channels and strides it meets.

    Args:
        spec: the cell.
        filters: int, output channels of every operation.
        channels: int, channels of the current state.
        previous_channels: int, channels of the previous state; None if there is none, and the
            current state stands in, unadjusted.
        strides: 1 for a normal, 2 for a reduction cell.
        previous_strides: 2 if the previous state has twice the current one's height and width.

    Attributes:
        stages: list of `Stage`, in the order they are evaluated.
        output_channels: int, channels of the cell's output.
    """

    spec: CellSpec
    filters: int
    channels: int
    previous_channels: int | None
    strides: int = 1
    previous_strides: int = 1
    stages: list[Stage] = field(default_factory=list, init=False)
    output_channels: int = field(init=False)

    def __post_init__(self) -> None:
        self.stages.append(Stage("current", "conv_1x1", self.channels))
        current = _State(self.filters, 1)
        previous = _State(self.channels, 1)
        if self.previous_channels is not None:
            self.stages.append(
                Stage("previous", "adjust_previous", self.previous_channels, self.previous_strides)
            )
            previous = _State(self.filters, 1)
        output = walk(self.spec, (current, previous), self._edge, self._combine, self._concat)
        self.output_channels = output.channels

    def _edge(self, name: str, edge: Edge, state: "_State") -> "_State":
        strides = self.strides // state.strides
        self.stages.append(Stage(name, edge.op, state.channels, strides, state.strides))
        return _State(self.filters, self.strides)

    def _combine(self, name: str, block: Block, left: "_State", right: "_State") -> "_State":
        channels = left.channels + right.channels if block.combine == "concat" else left.channels
        normalization = COMBINERS[block.combine]
        if normalization:
            self.stages.append(Stage(name, normalization, channels, input_strides=self.strides))
        return _State(channels, self.strides)

    def _concat(self, output: tuple[int, ...], states: list["_State"]) -> "_State":
        channels = 0
        for source, state in zip(output, states, strict=True):
            if source in (CURRENT, PREVIOUS):
                state = self._edge(f"output_{source}", Edge("adjust_output", source), state)
            channels += state.channels
        return _State(channels, self.strides)


@dataclass(frozen=True, slots=True)
class _State:
    """A state in a layout: its channels, and its strides counted from the cell's current state."""

    channels: int
    strides: int


@dataclass(frozen=True, slots=True)
class CellPlacement:
    """A cell in its place in the network.

    States are numbered as they appear: 0 is the stem's convolution, `1 + i` the output of cell i.
    """

    name: str
    kind: Literal["normal", "reduction"]
    layout: CellLayout
    current: int
    previous: int | None
    depth_ratio: float  # (cell + 1) / cells, the stem's cells counted


def plan(config: NASNetConfig) -> list[CellPlacement]:
    """The cells of the network in order."""
    kinds = list(_cell_kinds(config))
    channels, strides = [config.stem_filters], [1]  # of the states; strides from the stem on
    placements = []
    for index, (name, kind, filters) in enumerate(kinds):
        previous = index - 1
        after_reduction = index > 0 and kinds[index - 1][0].startswith("reduction_cell")
        if config.skip_reduction and after_reduction:
            previous -= 1
        layout = CellLayout(
            spec=getattr(config.genotype, kind),
            filters=filters,
            channels=channels[index],
            previous_channels=channels[previous] if index else None,
            strides=2 if kind == "reduction" else 1,
            previous_strides=strides[index] // strides[previous] if index else 1,
        )
        placements.append(
            CellPlacement(
                name=name,
                kind=kind,
                layout=layout,
                current=index,
                previous=previous if index else None,
                depth_ratio=(index + 1) / len(kinds),
            )
        )
        channels.append(layout.output_channels)
        strides.append(strides[index] * layout.strides)
    return placements


def _cell_kinds(
    config: NASNetConfig,
) -> Iterator[tuple[str, Literal["normal", "reduction"], int]]:
    """Name, kind and filters of every cell."""
    if config.stem == "imagenet":
        yield "stem_cell_0", "reduction", config.filters // 4
        yield "stem_cell_1", "reduction", config.filters // 2
    numbers = count()
    for stage in range(NUM_STAGES):
        filters = config.filters * 2**stage
        if stage:
            yield f"reduction_cell_{stage - 1}", "reduction", filters
        for _ in range(config.num_cells - (config.counts_reduction and stage > 0)):
            yield f"cell_{next(numbers):02d}", "normal", filters
