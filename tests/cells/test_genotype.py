"""Genotypes as data: JSON, what is refused, loose ends, walk."""

import json
from dataclasses import replace

import pytest
from support.networks import random_genotype

from keras_nasnet.cells.catalog import NASNET_A
from keras_nasnet.cells.genotype import (
    MAX_BLOCKS,
    MAX_JSON,
    Block,
    CellSpec,
    Edge,
    Genotype,
    walk,
)


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
    (("normal", "blocks", 4, "combine"), [], r"block 4: unknown combiner \[\]"),
    (("normal", "blocks", 0), [], "normal cell: block 0: wanted an object"),
    (("normal", "blocks", 0, "lefd"), {}, "unknown key 'lefd'; did you mean left"),
    (("name",), 5, "name: wanted a string of at most 200 characters, got 5"),
    (("name",), "x" * 201, "name: wanted a string of at most 200 characters, got 'xxx"),
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


BLOCK = {"left": {"op": "identity", "source": 0}, "right": {"op": "identity", "source": 1}}


def test_a_cell_has_so_many_blocks_and_no_more():
    config = NASNET_A.to_dict()
    config["normal"] = {"blocks": [BLOCK] * MAX_BLOCKS}
    genotype = Genotype.from_dict(config)
    assert len(genotype.normal.blocks) == MAX_BLOCKS
    config["reduction"] = config["normal"]
    assert len(Genotype.from_dict(config).to_json()) < MAX_JSON
    for number in (MAX_BLOCKS + 1, 10**6):
        message = f"blocks: wanted at most 64 in a cell, got {number:,}"
        config["reduction"] = {"blocks": [BLOCK] * number}
        with pytest.raises(ValueError, match=f"reduction cell: {message}"):
            Genotype.from_dict(config)
        with pytest.raises(ValueError, match=message):
            CellSpec(genotype.normal.blocks[:1] * number, (1, 2))


@pytest.mark.parametrize(
    "text, message",
    [
        ("[" * 10**6, "at most 200,000 characters of JSON"),
        ("[" * 10**5, "lists or objects nested too deep"),
        ('{"a":' * 30_000, "lists or objects nested too deep"),
        ("9" * 10**5, "not JSON: "),
    ],
    ids=["long", "lists", "objects", "digits"],
)
def test_a_text_made_to_harm_is_refused(text, message):
    with pytest.raises(ValueError, match=message) as caught:
        Genotype.from_json(text)
    assert len(str(caught.value)) < 300


LONG = "x" * 10**6


TOO_LONG = [
    ((), LONG),
    ((LONG,), 1),
    (("normal",), [1] * 10**6),
    (("normal", "blocks"), LONG),
    (("normal", "blocks", 0), [LONG]),
    (("normal", "blocks", 0, "combine"), LONG),
    (("normal", "blocks", 0, "left", "op"), LONG),
    (("normal", "blocks", 0, "left", "source"), 10**5000),
    (("normal", "output"), [0] * 10**6),
    (("normal", "output"), LONG),
    (("normal", "output"), [10**5000]),
]


@pytest.mark.parametrize("index", range(len(TOO_LONG)))
def test_a_value_in_a_message_is_cut(index):
    path, value = TOO_LONG[index]
    config = {"root": NASNET_A.to_dict()}
    *parents, last = ("root", *path)
    target = config
    for key in parents:
        target = target[key]
    target[last] = value
    with pytest.raises(ValueError) as caught:
        Genotype.from_dict(config["root"])
    assert len(str(caught.value)) < 500


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
