"""Pictures of cells: every operation and arrow is there, nothing covers anything."""

import itertools

import pytest
from PIL import Image
from test_genotype import random_genotype

from keras_nasnet.catalog import NASNET_A
from keras_nasnet.genotype import COMBINERS
from keras_nasnet.operation import OPERATIONS
from keras_nasnet.plot import HEIGHT, LABELS, WIDTH, _picture, plot_genotype

GENOTYPES = [NASNET_A, *(random_genotype(seed) for seed in range(20))]


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
