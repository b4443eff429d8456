"""From a `NASNetConfig` to the cells of the network and the operations of each.

Everything that a shape decides is decided here and in `layout.py`, from cumulative strides and
channels, never from the height and width of a tensor: so one set of weights serves every input
size.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Literal

from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.cells.layout import CellLayout

NUM_STAGES = 3  # normal cells at three resolutions, a reduction cell between them


@dataclass(frozen=True, slots=True)
class CellPlacement:
    """A cell at its place in the network.

    States are numbered in order: 0 is the stem's convolution, `1 + i` the output of cell i.
    """

    name: str
    kind: Literal["normal", "reduction"]
    layout: CellLayout
    current: int
    previous: int | None
    depth_ratio: float  # (cell + 1) / cells, including the stem's cells


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
