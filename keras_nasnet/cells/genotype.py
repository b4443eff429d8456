"""A cell as data: `Edge`, `Block`, `CellSpec`, `Genotype`, and the one `walk` that evaluates it."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from keras_nasnet.cells.operation import OPERATIONS
from keras_nasnet.check import check_keys, parse_json, shown, within

COMBINERS = {
    "add": None,
    "concat": None,
    "add_layer_norm": "layer_norm",
    "add_instance_norm": "instance_norm",
}
"""How a block combines its edges, with the normalization that follows."""
CURRENT, PREVIOUS = 0, 1  # the two states every cell starts from
MAX_BLOCKS = 64  # per cell: published cells have 5, other searches up to 12
MAX_NAME = 200  # characters, for a picture's title
MAX_JSON = 200_000  # characters; two cells with that many blocks have 28,000

State = TypeVar("State")
Operand = TypeVar("Operand")


@dataclass(frozen=True, slots=True)
class Edge:
    """One operation on one state.

    Args:
        op: str, a key of `keras_nasnet.cells.OPERATIONS`, such as `"separable_5x5"` or
            `"identity"`.
        source: int. 0 is the current state, 1 the previous state, `2 + i` the result of block `i`.
    """

    op: str
    source: int


@dataclass(frozen=True, slots=True)
class Block:
    """Two edges and how their results are combined: by a key of `COMBINERS`, `"add"` by default."""

    left: Edge
    right: Edge
    combine: str = "add"

    @property
    def edges(self) -> tuple[tuple[str, Edge], tuple[str, Edge]]:
        """The two edges with their names."""
        return ("left", self.left), ("right", self.right)


@dataclass(frozen=True, slots=True)
class CellSpec:
    """A cell: blocks in order and the states that are concatenated as its output.

    The output is data, not a rule: published cells list states that blocks also use. A searched
    cell lists its `loose_ends`.

    Args:
        blocks: tuple of `Block`.
        output: tuple of int, states numbered as in `Edge.source`.

    Raises:
        ValueError: naming the wrong block and edge, or if there are more than 64 blocks.
    """

    blocks: tuple[Block, ...]
    output: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_number(self.blocks)
        for index, block in enumerate(self.blocks):
            _check_block(index, block)
        states = range(2 + len(self.blocks))
        for source in self.output:
            if type(source) is not int or source not in states:
                raise ValueError(
                    f"output: {shown(source)} is not a state of this cell; "
                    f"allowed are the integers 0 to {states[-1]}"
                )
        if not self.output or len(set(self.output)) < len(self.output):
            raise ValueError(
                f"output: wanted one or more different states, got {shown(self.output)}"
            )
        unread = set(loose_ends(self.blocks)) - set(self.output)
        if unread:
            raise ValueError(
                f"output: {shown(self.output)} leaves out states {shown(sorted(unread))}, "
                "which no block reads"
            )


def _check_number(blocks: Sequence[Any]) -> None:
    if not blocks:
        raise ValueError("a cell needs at least one block, got none")
    if len(blocks) > MAX_BLOCKS:
        raise ValueError(f"blocks: wanted at most {MAX_BLOCKS} in a cell, got {len(blocks):,}")


def _check_block(index: int, block: Block) -> None:
    for side, edge in block.edges:
        where = f"block {index}, {side} edge"
        if not isinstance(edge.op, str) or edge.op not in OPERATIONS:
            raise ValueError(
                f"{where}: unknown operation {shown(edge.op)}; allowed are {', '.join(OPERATIONS)}"
            )
        if type(edge.source) is not int or not 0 <= edge.source < 2 + index:
            raise ValueError(
                f"{where}: source {shown(edge.source)} is not a state before block {index}; "
                f"allowed are the integers 0 to {1 + index}"
            )
    if not isinstance(block.combine, str) or block.combine not in COMBINERS:
        raise ValueError(
            f"block {index}: unknown combiner {shown(block.combine)}; "
            f"allowed are {', '.join(COMBINERS)}"
        )


def loose_ends(blocks: Sequence[Block]) -> tuple[int, ...]:
    """The states that no block reads, in order: the output of a searched cell (section 3)."""
    read = {edge.source for block in blocks for _, edge in block.edges}
    return tuple(state for state in range(2 + len(blocks)) if state not in read)


def walk(
    spec: CellSpec,
    states: tuple[State, State],
    edge: Callable[[str, Edge, State], Operand],
    combine: Callable[[str, Block, Operand, Operand], State],
    concat: Callable[[tuple[int, ...], list[State]], State],
) -> State:
    """Evaluates a cell in any algebra: tensors, channel counts, drawings.

    Args:
        spec: the cell.
        states: the current and the previous state.
        edge: `(name, edge, state) -> operand`, with names like `"block_0_left"`.
        combine: `(name, block, left, right) -> state`, with names like `"block_0"`.
        concat: `(output, states) -> state`, called once with `spec.output` and those states.

    Returns:
        What `concat` returned.
    """
    known = list(states)
    for index, block in enumerate(spec.blocks):
        name = f"block_{index}"
        left, right = (edge(f"{name}_{side}", e, known[e.source]) for side, e in block.edges)
        known.append(combine(name, block, left, right))
    return concat(spec.output, [known[source] for source in spec.output])


@dataclass(frozen=True, slots=True)
class Genotype:
    """A normal and a reduction cell: everything that the search decides."""

    normal: CellSpec
    reduction: CellSpec
    name: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain dictionaries, lists, strings and integers."""
        return {
            "name": self.name,
            "normal": cell_to_dict(self.normal),
            "reduction": cell_to_dict(self.reduction),
        }

    @classmethod
    def from_dict(cls, config: Any) -> "Genotype":
        """The inverse of `to_dict`. A cell without `output` gets its loose ends.

        Raises:
            ValueError: naming the wrong cell, block and edge.
        """
        check_keys("a genotype", config, ("normal", "reduction"), ("name",))
        name = config.get("name", "")
        if not isinstance(name, str) or len(name) > MAX_NAME:
            raise ValueError(
                f"name: wanted a string of at most {MAX_NAME} characters, got {shown(name)}"
            )
        cells = {}
        for kind in ("normal", "reduction"):
            with within(f"{kind} cell"):
                cells[kind] = cell_from_dict(config[kind])
        return cls(**cells, name=name)

    def to_json(self) -> str:
        """JSON text of `to_dict`."""
        return json.dumps(self.to_dict(), indent=2)

    @classmethod
    def from_json(cls, text: str) -> "Genotype":
        """The inverse of `to_json`.

        Raises:
            ValueError: as `from_dict`, or if it is not JSON or longer than 200,000 characters.
        """
        return cls.from_dict(parse_json(text, MAX_JSON))


def cell_to_dict(spec: CellSpec) -> dict[str, Any]:
    """Plain dictionaries, lists, strings and integers."""
    return {"blocks": [asdict(block) for block in spec.blocks], "output": list(spec.output)}


def cell_from_dict(config: Any) -> CellSpec:
    """The inverse of `cell_to_dict`. Without `output` the cell gets its loose ends.

    Raises:
        ValueError: naming the wrong block and edge.
    """
    check_keys("a cell", config, ("blocks",), ("output",))
    blocks = tuple(_blocks_from(config["blocks"]))
    output = config.get("output")
    if output is None:
        for index, block in enumerate(blocks):
            _check_block(index, block)
        return CellSpec(blocks, loose_ends(blocks))
    if not isinstance(output, list | tuple):
        raise ValueError(f"output: wanted a list of states, got {shown(output)}")
    return CellSpec(blocks, tuple(output))


def _blocks_from(config: Any) -> Iterator[Block]:
    if not isinstance(config, list | tuple):
        raise ValueError(f"blocks: wanted a list of blocks, got {shown(config)}")
    _check_number(config)
    for index, block in enumerate(config):
        where = f"block {index}"
        check_keys(where, block, ("left", "right"), ("combine",))
        edges = {}
        for side in ("left", "right"):
            check_keys(f"{where}, {side} edge", block[side], ("op", "source"))
            edges[side] = Edge(**block[side])
        yield Block(**edges, combine=block.get("combine", "add"))
