"""The NASNet search space as a list of decisions (Zoph et al. 2018, section 3)."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from itertools import permutations, product
from typing import overload

import numpy as np

from keras_nasnet.cells.genotype import (
    COMBINERS,
    MAX_BLOCKS,
    Block,
    CellSpec,
    Edge,
    Genotype,
    loose_ends,
)
from keras_nasnet.cells.operation import NASNET_OPERATIONS, OPERATIONS
from keras_nasnet.check import check_integers, cut, shown
from keras_nasnet.search.features import cell_features
from keras_nasnet.search.limits import Limits

Decision = tuple[str, int]
Choices = tuple[int, ...]

CELLS = ("normal", "reduction")
PARTS = ("left_source", "right_source", "left_op", "right_op", "combine")
NUM_FOR_SCALES = 1_000  # random genotypes


class SearchSpace(Sequence[Decision]):
    """All genotypes with a given number of blocks, as decisions `(name, number of choices)`.

    Each block takes five decisions, in the paper's order: the two states, the two
    operations, how they are combined; the blocks of the normal cell come first. States that no
    block reads are concatenated as the output.

    Args:
        num_blocks: int from 1 to 64, blocks per cell. Default 5.
        operations: sequence of unique names. Default: the paper's 13 in its order.
        combiners: sequence of unique names. Default `("add", "concat")`;
            `"add_layer_norm"` and `"add_instance_norm"` are those of the spaces of NASNet-B
            and -C.
        limits: `Limits`; searchers propose no choices beyond them. Default: none.

    Raises:
        ValueError: if `num_blocks` is out of range, or a name unknown, repeated or missing; if
            not even the smallest of the cells is within the limits.

    Reference:
        Zoph et al. 2018, arXiv:1707.07012, section 3, figures 2 and 3.
    """

    def __init__(
        self,
        num_blocks: int = 5,
        operations: Sequence[str] = tuple(NASNET_OPERATIONS),
        combiners: Sequence[str] = ("add", "concat"),
        limits: Limits = Limits(),  # noqa: B008  immutable
    ) -> None:
        check_integers(1, MAX_BLOCKS, num_blocks=num_blocks)
        self.num_blocks = num_blocks
        self.operations = _names("operations", operations, OPERATIONS)
        self.combiners = _names("combiners", combiners, COMBINERS)
        self.decisions: tuple[Decision, ...] = tuple(
            (f"{cell}_block_{block}_{part}", count)
            for cell in CELLS
            for block in range(num_blocks)
            for part, count in zip(PARTS, self._counts(block), strict=True)
        )
        self.limits = limits
        self._check_limits()

    def _check_limits(self) -> None:
        """Raises `ValueError` unless cells with one operation throughout are within the limits."""
        if not self.limits:
            return
        cells = [self.decode(self._alike(each)) for each in range(len(self.operations))]
        if not any(map(self.limits.allow, cells)):
            least = min(
                (self.limits.size_of(cell) for cell in cells), key=lambda each: [*each.values()]
            )
            sizes = " and ".join(f"{count:,} {name}" for name, count in least.items())
            raise ValueError(
                f"limits: the smallest cells of this space make {self.limits.model} a network of "
                f"{sizes}; got {self.limits}"
            )

    def _alike(self, operation: int) -> list[int]:
        """Choices of the first states and combiner, and one operation."""
        return [operation if name.endswith("_op") else 0 for name, _ in self.decisions]

    def allows(self, choices: Mapping[str, int] | Sequence[int]) -> bool:
        """Whether the cells are within the limits."""
        return not self.limits or self.limits.allow(self.decode(choices))

    def _counts(self, block: int) -> tuple[int, ...]:
        sources, operations = 2 + block, len(self.operations)
        return sources, sources, operations, operations, len(self.combiners)

    def __len__(self) -> int:
        return len(self.decisions)

    @overload
    def __getitem__(self, index: int) -> Decision: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Decision]: ...
    def __getitem__(self, index: int | slice) -> Decision | Sequence[Decision]:
        return self.decisions[index]

    def decode(self, choices: Mapping[str, int] | Sequence[int]) -> Genotype:
        """The genotype for these choices.

        Args:
            choices: an index per decision, by name or in order.

        Raises:
            ValueError: naming the missing, unknown or out-of-range decision.
        """
        values = iter(checked(self.decisions, choices))
        return Genotype(normal=self._decode_cell(values), reduction=self._decode_cell(values))

    def _decode_cell(self, values: Iterator[int]) -> CellSpec:
        blocks = []
        for _ in range(self.num_blocks):
            left_source, right_source, left, right, combine = (next(values) for _ in PARTS)
            blocks.append(
                Block(
                    Edge(self.operations[left], left_source),
                    Edge(self.operations[right], right_source),
                    self.combiners[combine],
                )
            )
        return CellSpec(tuple(blocks), loose_ends(blocks))

    def encode(self, genotype: Genotype) -> dict[str, int]:
        """The choices that `decode` turns into this genotype, name aside.

        Raises:
            ValueError: if the genotype is not in this space, saying why.
        """
        values: list[int] = []
        for kind in CELLS:
            spec: CellSpec = getattr(genotype, kind)
            if len(spec.blocks) != self.num_blocks:
                raise ValueError(
                    f"{kind} cell: wanted {self.num_blocks} blocks, got {len(spec.blocks)}"
                )
            if set(spec.output) != set(loose_ends(spec.blocks)):
                raise ValueError(
                    f"{kind} cell: its output {spec.output} is not the states that no block reads, "
                    f"{loose_ends(spec.blocks)}"
                )
            for index, block in enumerate(spec.blocks):
                where = f"{kind} cell, block {index}"
                left, right = (
                    _index(where, edge.op, self.operations) for edge in (block.left, block.right)
                )
                combine = _index(where, block.combine, self.combiners)
                values += [block.left.source, block.right.source, left, right, combine]
        return {name: value for (name, _), value in zip(self.decisions, values, strict=True)}

    def canonical(self, choices: Mapping[str, int] | Sequence[int]) -> Choices:
        """The representative of all choices that mean the same network.

        Networks are the same if they differ only in the order of the two edges of a block and
        the order of the blocks.

        Args:
            choices: as in `decode`.

        Returns:
            Tuple with an index per decision, which decodes to the same network.
        """
        values = checked(self.decisions, choices)
        half = len(values) // 2
        return _canonical_cell(values[:half]) + _canonical_cell(values[half:])

    def features(self, choices: np.ndarray) -> np.ndarray:
        """Numbers in which cells that train alike are close, for predictors of rewards.

        They are those of `search/features.py`, scaled so that the squared distance of two random
        choices is 1 in the mean.

        Args:
            choices: int array `(genotypes, decisions)`.

        Returns:
            Float array `(genotypes, features)`.
        """
        return self._features(choices) * self._scales

    def _features(self, choices: np.ndarray) -> np.ndarray:
        cells = choices.reshape(-1, len(CELLS), self.num_blocks, len(PARTS))
        return cell_features(cells, len(self.operations), len(self.combiners))

    @cached_property
    def _scales(self) -> np.ndarray:
        """Of each feature, from random choices that are always the same."""
        counts = [count for _, count in self.decisions]
        random = np.random.default_rng(0).integers(counts, size=(NUM_FOR_SCALES, len(counts)))
        deviations = self._features(random).std(0)
        varies = deviations > 0
        return varies / np.where(varies, deviations, 1) / np.sqrt(2 * max(varies.sum(), 1))


@lru_cache(10_000)  # searchers ask repeatedly about neighbours of their best
def _canonical_cell(values: Choices) -> Choices:
    """The smallest choices over all orders of blocks that are sorted by what they compute.

    Blocks that compute the same are tried in every order: their readers can differ.
    """
    blocks = [values[start : start + len(PARTS)] for start in range(0, len(values), len(PARTS))]
    computed: list[tuple[int, str]] = [(0, "current"), (0, "previous")]
    for block in blocks:
        sources = [computed[source] for source in block[:2]]
        edges = sorted(zip(block[2:4], sources, strict=True))
        depth = 1 + max(depth for depth, _ in sources)
        computed.append((depth, f"({block[4]}{edges})"))
    alike: dict[tuple[int, str], list[int]] = {}
    for index, expression in sorted(enumerate(computed[2:]), key=lambda item: item[1]):
        alike.setdefault(expression, []).append(index)
    orders = product(*(permutations(indices) for indices in alike.values()))
    return min(_reordered(blocks, [index for part in order for index in part]) for order in orders)


def _reordered(blocks: list[Choices], order: list[int]) -> Choices:
    place = {0: 0, 1: 1} | {2 + old: 2 + new for new, old in enumerate(order)}
    values: list[int] = []
    for old in order:
        left_source, right_source, left_op, right_op, combine = blocks[old]
        left, right = sorted([(place[left_source], left_op), (place[right_source], right_op)])
        values += [left[0], right[0], left[1], right[1], combine]
    return tuple(values)


def checked(decisions: Sequence[Decision], choices: Mapping[str, int] | Sequence[int]) -> Choices:
    """Choices in the order of the decisions.

    Args:
        decisions: `(name, number of choices)` each.
        choices: an index per decision, by name or in order.

    Raises:
        ValueError: naming the missing, unknown or out-of-range decision.
    """
    names = [name for name, _ in decisions]
    if isinstance(choices, Mapping):
        if set(choices) != set(names):
            different = sorted(set(choices) ^ set(names))
            raise ValueError(f"choices: missing or unknown are {cut(', '.join(different))}")
        choices = [choices[name] for name in names]
    if len(choices) != len(names):
        raise ValueError(f"choices: wanted {len(names)}, got {len(choices)}")
    for (name, count), value in zip(decisions, choices, strict=True):
        if isinstance(value, bool) or int(value) != value or not 0 <= value < count:
            raise ValueError(f"{name}: wanted an integer from 0 to {count - 1}, got {shown(value)}")
    return tuple(int(value) for value in choices)


def _names(argument: str, names: Sequence[str], allowed: Mapping[str, object]) -> tuple[str, ...]:
    names = tuple(names)
    unknown = [name for name in names if name not in allowed]
    if unknown or not names or len(set(names)) < len(names):
        raise ValueError(
            f"{argument}: wanted one or more unique names from {', '.join(allowed)}; "
            f"got {cut(', '.join(map(str, names))) or 'none'}"
        )
    return names


def _index(where: str, name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise ValueError(f"{where}: {name} is not in the space; allowed are {', '.join(names)}")
    return names.index(name)
