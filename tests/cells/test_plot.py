"""Pictures of cells: every operation and arrow is there, nothing covers anything."""

import itertools
from dataclasses import replace

import pytest
from PIL import Image
from support.networks import random_genotype

from keras_nasnet.atomic import NotWrittenError
from keras_nasnet.cells.catalog import GENOTYPES as PUBLISHED
from keras_nasnet.cells.catalog import NASNET_A
from keras_nasnet.cells.genotype import COMBINERS
from keras_nasnet.cells.operation import OPERATIONS
from keras_nasnet.cells.plot import HEIGHT, LABELS, WIDTH, _lines, _picture, plot_genotype
from keras_nasnet.search import RandomSearcher, SearchSpace


def searched(num_blocks):
    space = SearchSpace(num_blocks)
    return replace(space.decode(RandomSearcher(space, 0).ask("0")), name=f"{num_blocks} blocks")


GENOTYPES = [
    *PUBLISHED.values(),
    *(random_genotype(seed) for seed in range(20)),
    *(searched(num_blocks) for num_blocks in (5, 8, 16, 32)),
]


def test_everything_has_a_label():
    assert set(LABELS) == {*OPERATIONS, *COMBINERS}


@pytest.mark.parametrize("genotype", GENOTYPES, ids=lambda genotype: genotype.name)
def test_a_picture_is_the_cell(genotype):
    for spec in (genotype.normal, genotype.reduction):
        boxes, arrows = _picture(spec)
        labels = [box.label for box in boxes]
        for block in spec.blocks:
            for name in (block.left.op, block.right.op, block.combine):
                labels.remove(LABELS[name])
        assert sorted(labels) == ["concat", "current", "previous"]
        # Two edges into a block, one into each operation, the output.
        assert len(arrows) == 4 * len(spec.blocks) + len(spec.output)
        assert all(source.level < box.level for source, box in arrows), "arrows point up"
        for one, other in itertools.combinations(boxes, 2):
            apart = abs(one.x - other.x) >= WIDTH or abs(one.level - other.level) >= HEIGHT
            assert apart, f"{one} covers {other}"


def covers(box, start, end):
    """Whether a piece of a line, anywhere in the rectangle between its ends, meets a box."""
    return all(
        max(start[axis], end[axis]) > middle - side / 2 + 1e-9
        and min(start[axis], end[axis]) < middle + side / 2 - 1e-9
        for axis, (middle, side) in enumerate(((box.x, WIDTH), (box.level, HEIGHT)))
    )


@pytest.mark.parametrize("genotype", GENOTYPES, ids=lambda genotype: genotype.name)
def test_a_line_meets_no_box_but_its_own(genotype):
    for spec in (genotype.normal, genotype.reduction):
        boxes, arrows = _picture(spec)
        lines = _lines(boxes, arrows)
        passing = {}
        for (source, box), line in zip(arrows, lines, strict=True):
            assert line[0] == (source.x, source.level + HEIGHT / 2)
            assert abs(line[-1][0] - box.x) < WIDTH / 2
            assert line[-1][1] == box.level - HEIGHT / 2
            for start, end in itertools.pairwise(line):
                assert start[1] < end[1], "lines go up"
                assert not [each for each in boxes if covers(each, start, end)]
            for x, y in line[1:-1]:
                assert passing.setdefault((x, y), source) is source, "lines lie on each other"
        assert len({line[-1] for line in lines}) == len(lines), "arrow heads lie on each other"


def test_straight_lines_would_meet_boxes():
    boxes, arrows = _picture(NASNET_A.normal)
    ends = ("previous", "concat")
    [(source, box)] = [each for each in arrows if (each[0].label, each[1].label) == ends]
    straight = (source.x, source.level + HEIGHT / 2), (box.x, box.level - HEIGHT / 2)
    assert [each for each in boxes if covers(each, *straight)]


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_files(tmp_path, suffix):
    path = tmp_path / f"cells{suffix}"
    plot_genotype(NASNET_A, path)
    if suffix == ".png":
        with Image.open(path) as picture:
            assert picture.width > 1500
    else:
        assert "<svg" in path.read_text()
    with pytest.raises(ValueError, match=r"cells.jpg: wanted a file ending in .png, .svg, .pdf"):
        plot_genotype(NASNET_A, tmp_path / "cells.jpg")
    with pytest.raises(NotWrittenError, match="nodir does not exist; create that folder first"):
        plot_genotype(NASNET_A, tmp_path / "nodir" / "cells.svg")
