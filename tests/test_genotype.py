"""Genotypes as data: JSON, what is refused, loose ends, walk."""

import json
import random
from dataclasses import replace

import pytest

from keras_nasnet.catalog import NASNET_A
from keras_nasnet.genotype import COMBINERS, Block, CellSpec, Edge, Genotype, loose_ends, walk
from keras_nasnet.operation import OPERATIONS


def random_genotype(seed):
    rng = random.Random(seed)

    def cell():
        blocks = tuple(
            Block(
                *(Edge(rng.choice(list(OPERATIONS)), rng.randrange(2 + i)) for _ in range(2)),
                rng.choice(list(COMBINERS)),
            )
            for i in range(rng.randint(1, 5))
        )
        return CellSpec(blocks, loose_ends(blocks))

    return Genotype(cell(), cell(), f"random {seed}")


@pytest.mark.parametrize("genotype", [NASNET_A, *map(random_genotype, range(20))])
def test_json_round_trip(genotype):
    assert Genotype.from_json(genotype.to_json()) == genotype


def test_a_searched_cell_without_output_gets_its_loose_ends():
    config = NASNET_A.to_dict()
    del config["reduction"]["output"]
    assert Genotype.from_dict(config).reduction.output == (4, 5, 6)


MISTAKES = [
    (("normal", "blocks", 2, "left", "op"), "sep_3x3", "normal cell: block 2, left edge.*sep_3x3"),
    (("normal", "blocks", 2, "left", "op"), ["identity"], "block 2, left edge: unknown operation"),
    (("reduction", "blocks", 1, "right", "source"), 3, "reduction cell: block 1, right edge.*3"),
    (("reduction", "blocks", 1, "right", "source"), -1, "block 1, right edge: source -1"),
    (("reduction", "blocks", 1, "right", "source"), True, "block 1, right edge: source True"),
    (("normal", "blocks", 4, "combine"), "mean", "block 4: unknown combiner 'mean'.*add, concat"),
    (("normal", "blocks", 0), [], "normal cell: block 0: wanted an object"),
    (("normal", "blocks", 3, "left"), {"op": "identity"}, "block 3, left edge.*source"),
    (("normal", "blocks"), [], "at least one block"),
    (("normal", "blocks"), "identity", "wanted a list of blocks"),
    (("normal", "output"), [1, 9], "9 is not a state"),
    (("normal", "output"), [2, 3, 4], r"leaves out states \[5, 6\]"),
    (("normal", "output"), [2, 2, 3, 4, 5, 6], "different states"),
    (("normal", "output"), "all", "wanted a list of states"),
    (("normal",), None, "normal cell: a cell: wanted an object"),
]


@pytest.mark.parametrize("path, value, message", MISTAKES)
def test_a_mistake_is_named(path, value, message):
    config = NASNET_A.to_dict()
    *parents, last = path
    target = config
    for key in parents:
        target = target[key]
    target[last] = value
    with pytest.raises(ValueError, match=message):
        Genotype.from_json(json.dumps(config))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"normal": {}}', '{"cells": 3}'])
def test_what_is_no_genotype_is_refused(text):
    with pytest.raises(ValueError, match=r"not JSON|wanted an object"):
        Genotype.from_json(text)


def test_walk_evaluates_in_any_algebra():
    blocks = (
        Block(Edge("identity", 0), Edge("conv_1x1", 1)),
        Block(Edge("max_pool_3x3", 2), Edge("identity", 0), "concat"),
    )
    text = walk(
        CellSpec(blocks, (1, 3)),
        ("h", "p"),
        edge=lambda name, edge, state: f"{edge.op}({state})",
        combine=lambda name, block, left, right: f"{block.combine}[{left} {right}]",
        concat=lambda output, states: list(zip(output, states, strict=True)),
    )
    x = "add[identity(h) conv_1x1(p)]"
    assert text == [(1, "p"), (3, f"concat[max_pool_3x3({x}) identity(h)]")]


def test_a_genotype_is_hashable_and_immutable():
    assert {NASNET_A: 1}[replace(NASNET_A)] == 1
    with pytest.raises(AttributeError):
        NASNET_A.name = "other"
