"""The operations of a cell, for the channels and strides it meets."""

from dataclasses import dataclass, field

from keras_nasnet.cells.genotype import COMBINERS, CURRENT, PREVIOUS, Block, CellSpec, Edge, walk


@dataclass(frozen=True, slots=True)
class Stage:
    """One operation at its place in a cell: an edge, or one that adjusts or normalizes a state.

    Args:
        name: str like `"block_0_left"`, `"block_0"`, `"current"`, `"previous"`, `"output_1"`.
        op: a key of `OPERATIONS` or `NORMALIZATIONS`, or a member of `ADJUSTMENTS`.
        channels: int, channels of its input.
        strides: 1 or 2.
        input_strides: of its input, relative to the cell's current state.
    """

    name: str
    op: str
    channels: int
    strides: int = 1
    input_strides: int = 1


@dataclass(slots=True)
class CellLayout:
    """All operations of a cell for given channels and strides.

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
    """A state in a layout: its channels, and its strides relative to the cell's current state."""

    channels: int
    strides: int


def output_width(spec: CellSpec) -> int:
    """Channels of a cell's output per filter."""
    return CellLayout(spec, filters=1, channels=1, previous_channels=1).output_channels
