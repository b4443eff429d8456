"""Drawings of cells in the paper's style (Zoph et al. 2018, figure 4)."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path
from typing import Any, TypeAlias

from keras_nasnet.atomic import check_place, replace_file
from keras_nasnet.cells.genotype import Block, CellSpec, Edge, Genotype, walk
from keras_nasnet.cells.operation import OPERATIONS, PoolStep
from keras_nasnet.optional import import_optional

FORMATS = (".png", ".svg", ".pdf")
LABELS = {
    "identity": "identity",
    "conv_1x3_3x1": "conv\n1x3, 3x1",
    "conv_1x7_7x1": "conv\n1x7, 7x1",
    "bottleneck_1x7_7x1": "narrow conv\n1x7, 7x1",
    "dilated_conv_3x3": "dilated\nconv 3x3",
    "average_pool_3x3": "average\npool 3x3",
    "max_pool_3x3": "max\npool 3x3",
    "max_pool_5x5": "max\npool 5x5",
    "max_pool_7x7": "max\npool 7x7",
    "conv_1x1": "conv\n1x1",
    "conv_3x3": "conv\n3x3",
    "separable_3x3": "sep\n3x3",
    "separable_5x5": "sep\n5x5",
    "separable_7x7": "sep\n7x7",
    "add": "add",
    "concat": "concat",
    "add_layer_norm": "add,\nlayer norm",
    "add_instance_norm": "add,\ninst. norm",
}
STATE_COLOR, COMBINE_COLOR = "#dce6f2", "#cde8c9"
WIDTH, HEIGHT = 0.76, 0.46  # of a box; boxes are one unit apart
LANE = 1 / 16  # between lines in the same gap
MARGIN = 0.05  # between a line and a box that it passes
ENTRY = 0.12  # maximum between the ends of lines at a box

Point: TypeAlias = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A node of the drawing: an input, an operation, a combination or the output."""

    label: str
    color: str
    level: int  # from the bottom
    x: float


Operand: TypeAlias = tuple[str, Box]  # an operation and its input


def plot_genotype(genotype: Genotype, path: str | os.PathLike[str]) -> None:
    """Draws the normal and the reduction cell side by side.

    Args:
        genotype: `Genotype`.
        path: of the file; ends in .png, .svg or .pdf.

    Raises:
        ValueError: for another ending, or if matplotlib is not installed.
        NotWrittenError: if it cannot be written.
    """
    path = Path(path)
    if path.suffix not in FORMATS:
        raise ValueError(f"{path}: wanted a file ending in {', '.join(FORMATS)}")
    check_place(path)
    figure_module = import_optional("matplotlib.figure", "plot")
    pictures = []
    for spec in (genotype.normal, genotype.reduction):
        boxes, arrows = _picture(spec)
        pictures.append((boxes, _lines(boxes, arrows)))
    widths = [right - left for left, right in (_sides(*picture) for picture in pictures)]
    levels = max(box.level for boxes, _ in pictures for box in boxes) + 1
    size = 1.05 * sum(widths) + 1, 0.85 * levels + 0.6
    figure = figure_module.Figure(size, layout="constrained")
    panels = figure.subplots(1, 2, width_ratios=widths)
    for axes, picture, title in zip(
        panels, pictures, ("normal cell", "reduction cell"), strict=True
    ):
        _draw(axes, *picture)
        axes.set(title=title, xlim=_sides(*picture), ylim=(-0.5, levels - 0.5))
    figure.suptitle(genotype.name)
    replace_file(path, lambda beside: figure.savefig(beside, dpi=150))


def _picture(spec: CellSpec) -> tuple[list[Box], list[tuple[Box, Box]]]:
    """The boxes of a cell and the arrows between them.

    A block is two operations side by side below their combination; it takes the free columns
    of its level that are nearest to its sources.
    """
    boxes: list[Box] = []
    arrows: list[tuple[Box, Box]] = []
    taken: dict[int, set[int]] = {}  # columns of blocks, by the level of their operations

    def add(label: str, color: str, level: int, x: float, sources: Sequence[Box]) -> Box:
        box = Box(label, color, level, x)
        boxes.append(box)
        arrows.extend((source, box) for source in sources)
        return box

    def edge(name: str, edge: Edge, state: Box) -> Operand:
        return edge.op, state

    def combine(name: str, block: Block, left: Operand, right: Operand) -> Box:
        sources = [state for _, state in (left, right)]
        level = max(source.level for source in sources) + 1
        wanted = sum(source.x for source in sources) / 2
        columns = taken.setdefault(level, set())
        # The nearest free column two units wide.
        column = min(
            (c for c in range(-len(spec.blocks), len(spec.blocks) + 1) if c not in columns),
            key=lambda c: (abs(2 * c - wanted), c),
        )
        columns.add(column)
        ordered = sorted([left, right], key=lambda both: both[1].x)
        operations = [
            add(LABELS[op], _color(op), level, 2 * column + side, [source])
            for side, (op, source) in zip((-0.5, 0.5), ordered, strict=True)
        ]
        return add(LABELS[block.combine], COMBINE_COLOR, level + 1, 2 * column, operations)

    def concat(output: tuple[int, ...], states: list[Box]) -> Box:
        level = max(box.level for box in boxes) + 1
        middle = sum(state.x for state in states) / len(states)
        return add("concat", STATE_COLOR, level, middle, states)

    states = (
        add("current", STATE_COLOR, 0, 1.0, []),
        add("previous", STATE_COLOR, 0, -1.0, []),
    )
    walk(spec, states, edge, combine, concat)
    return boxes, arrows


def _lines(boxes: list[Box], arrows: list[tuple[Box, Box]]) -> list[list[Point]]:
    """Corners of the line of each arrow, from the top of a box to the bottom of another.

    A line passes the levels between its boxes vertically, in the gaps beside the boxes; lines
    from different sources keep apart. So no line touches a box that it does not connect.
    """
    columns: dict[int, list[float]] = {}
    for box in boxes:
        columns.setdefault(box.level, []).append(box.x)
    taken: dict[tuple[int, float], Box] = {}

    def is_free(x: float, level: int, source: Box) -> bool:
        return taken.get((level, x), source) is source and all(
            abs(x - column) >= WIDTH / 2 + MARGIN for column in columns[level]
        )

    lines = []
    for source, box in arrows:
        x = source.x
        line = [(x, source.level + HEIGHT / 2)]
        for level in range(source.level + 1, box.level):
            straight = x + (box.x - x) / (box.level - level + 1)
            near = (round(straight / LANE) + way * step for step in count() for way in (1, -1))
            x = next(lane * LANE for lane in near if is_free(lane * LANE, level, source))
            taken[level, x] = source
            line += [(x, level - HEIGHT / 2), (x, level + HEIGHT / 2)]
        lines.append(line)
    return _ended(arrows, lines)


def _ended(arrows: list[tuple[Box, Box]], lines: list[list[Point]]) -> list[list[Point]]:
    """The lines with their ends spread along the bottom of a box."""
    ending: dict[int, list[int]] = {}
    for index, (_, box) in enumerate(arrows):
        ending.setdefault(id(box), []).append(index)
    ended = list(lines)
    for indices in ending.values():
        _, box = arrows[indices[0]]
        apart = min(ENTRY, 0.8 * WIDTH / len(indices))
        for place, index in enumerate(sorted(indices, key=lambda index: lines[index][-1])):
            x = box.x + (place - (len(indices) - 1) / 2) * apart
            ended[index] = [*lines[index], (x, box.level - HEIGHT / 2)]
    return ended


def _sides(boxes: list[Box], lines: list[list[Point]]) -> tuple[float, float]:
    """Left and right edge of a drawing."""
    columns = [box.x for box in boxes] + [x for line in lines for x, _ in line]
    return min(columns) - 0.6, max(columns) + 0.6


def _color(op: str) -> str:
    operation = OPERATIONS[op]
    if isinstance(operation, PoolStep):
        return "#f6d5c3"
    if not operation:
        return "#eeeeee"
    return "#fbefb5" if operation[0].separable else "#e3d3ee"


def _draw(axes: Any, boxes: list[Box], lines: list[list[Point]]) -> None:
    patches = import_optional("matplotlib.patches", "plot")
    path = import_optional("matplotlib.path", "plot").Path
    for line in lines:
        style = {"arrowstyle": "-|>", "mutation_scale": 8, "color": "#888888", "fill": True}
        arrow = patches.FancyArrowPatch(path=path(*_curve(line, path)), zorder=1, **style)
        axes.add_patch(arrow)
    for box in boxes:
        corner = box.x - WIDTH / 2, box.level - HEIGHT / 2
        style = {"facecolor": box.color, "edgecolor": "#555555", "linewidth": 0.8, "zorder": 2}
        rounded = "round,pad=0,rounding_size=0.1"
        axes.add_patch(patches.FancyBboxPatch(corner, WIDTH, HEIGHT, rounded, **style))
        axes.text(box.x, box.level, box.label, ha="center", va="center", fontsize=8, zorder=3)
    axes.axis("off")


def _curve(line: list[Point], path: Any) -> tuple[list[Point], list[int]]:
    """A line with rounded corners: vertices and codes of a matplotlib path."""
    if len(line) == 2:
        return line, [path.MOVETO, path.LINETO]
    vertices, codes = line[:1], [path.MOVETO]
    for (x, y), (to_x, to_y) in pairwise(line):
        middle = (y + to_y) / 2
        vertices += [(x, middle), (to_x, middle), (to_x, to_y)]
        codes += [path.CURVE4] * 3
    return vertices, codes
