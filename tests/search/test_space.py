"""The space of cells, and the forms that are the same network."""

import numpy as np
import pytest
from support.networks import random_genotype

from keras_nasnet.cells.catalog import NASNET_A
from keras_nasnet.cells.genotype import COMBINERS
from keras_nasnet.cells.operation import OPERATIONS
from keras_nasnet.search import SearchSpace
from keras_nasnet.search.features import cell_features


def test_the_space_is_the_papers():
    space = SearchSpace()
    assert len(space) == 50
    assert space[:5] == (
        ("normal_block_0_left_source", 2),
        ("normal_block_0_right_source", 2),
        ("normal_block_0_left_op", 13),
        ("normal_block_0_right_op", 13),
        ("normal_block_0_combine", 2),
    )
    assert space[45] == ("reduction_block_4_left_source", 6)
    assert SearchSpace(2, ["identity"], ["add"])[:5][2:] == (
        ("normal_block_0_left_op", 1),
        ("normal_block_0_right_op", 1),
        ("normal_block_0_combine", 1),
    )


def test_choices_and_genotypes_are_each_others():
    space = SearchSpace(combiners=list(COMBINERS))
    rng = np.random.default_rng(0)
    for _ in range(200):
        choices = [int(rng.integers(count)) for _, count in space]
        genotype = space.decode(choices)
        assert list(space.encode(genotype).values()) == choices
    for seed in range(50):
        genotype = random_genotype(seed)
        size = len(genotype.normal.blocks)
        if len(genotype.reduction.blocks) == size:
            space = SearchSpace(size, list(OPERATIONS), list(COMBINERS))
            decoded = space.decode(space.encode(genotype))
            assert decoded.normal.blocks == genotype.normal.blocks


def test_what_is_not_in_the_space_is_said():
    with pytest.raises(ValueError, match=r"normal cell: its output \(1, 2, 3, 4, 5, 6\) is not"):
        SearchSpace().encode(NASNET_A)
    with pytest.raises(ValueError, match="normal cell: wanted 4 blocks, got 5"):
        SearchSpace(4).encode(NASNET_A)
    with pytest.raises(ValueError, match="operations: wanted one or more unique names from id"):
        SearchSpace(operations=["identity", "identity"])
    with pytest.raises(ValueError, match="got conv_9x9"):
        SearchSpace(operations=["conv_9x9"])
    with pytest.raises(ValueError, match="num_blocks: wanted an integer of at least 1, got 0"):
        SearchSpace(0)


def test_same_networks_have_one_canonical_form():
    """Blocks in another order, edges the other way round; found by trying every order."""
    space = SearchSpace(4, ["identity", "conv_1x1"], ["add"])
    rng = np.random.default_rng(1)
    for _ in range(100):
        choices = [int(rng.integers(count)) for _, count in space]
        canonical = space.canonical(choices)
        assert space.canonical(canonical) == canonical
        space.decode(canonical)
        assert space.canonical(_disguised(choices, rng)) == canonical


def _disguised(choices, rng):
    """The same network: a random order of blocks in which sources come first, sides swapped."""
    disguised = []
    for half in (choices[: len(choices) // 2], choices[len(choices) // 2 :]):
        blocks = [half[start : start + 5] for start in range(0, len(half), 5)]
        place, left = {0: 0, 1: 1}, list(range(len(blocks)))
        while left:
            ready = [b for b in left if blocks[b][0] in place and blocks[b][1] in place]
            block = int(rng.choice(ready))
            left.remove(block)
            one, other, one_op, other_op, combine = blocks[block]
            edges = [(place[one], one_op), (place[other], other_op)]
            (one, one_op), (other, other_op) = (edges[i] for i in rng.permutation(2))
            disguised += [one, other, one_op, other_op, combine]
            place[2 + block] = len(place)
    return disguised


def test_different_networks_have_different_forms():
    """All of one block, and the count of unordered pairs of edges."""
    space = SearchSpace(1, ["identity", "conv_1x1", "conv_3x3"], ["add", "concat"])
    forms = {space.canonical(c) for c in np.ndindex(*(count for _, count in space))}
    assert len(forms) == (6 * 7 // 2 * 2) ** 2
    # Two alike blocks: who reads which of them tells two networks apart.
    space = SearchSpace(4, ["identity"], ["add"])
    one = np.array([[0] * 5, [0] * 5, [2, 2, 0, 0, 0], [2, 2, 0, 0, 0], *[[0] * 5] * 4])
    other = one.copy()
    other[3, :2] = 3
    assert space.canonical(one.ravel()) != space.canonical(other.ravel())


def test_features_say_what_a_cell_is_made_of():
    # Left and right source, left and right operation, combiner.
    normal = [(0, 1, 0, 1, 1), (2, 0, 1, 1, 0)]  # the second block reads the first
    reduction = [(1, 1, 1, 1, 1), (0, 0, 0, 0, 1)]  # both read inputs alone
    features = cell_features(np.array([[normal, reduction]]), 2, 2)[0]
    # Identities and convolutions that read inputs, and blocks; concatenating blocks; outputs;
    # greatest and mean depth; readers of the two inputs.
    np.testing.assert_array_equal(features[:10], [1, 2, 0, 1, 1, 1, 2, 1.5, 2, 1])
    np.testing.assert_array_equal(features[10:], [2, 2, 0, 0, 2, 2, 1, 1, 2, 2])


def test_features_are_those_of_the_network():
    space = SearchSpace()
    rng = np.random.default_rng(7)
    choices = rng.integers([count for _, count in space], size=(500, len(space)))
    features = space.features(choices)
    canonical = np.array([space.canonical(each) for each in choices.tolist()])
    np.testing.assert_array_equal(space.features(canonical), features)
    squared_distances = ((features[:250] - features[250:]) ** 2).sum(1)
    assert squared_distances.mean() == pytest.approx(1, abs=0.1)


def test_features_of_a_space_without_a_choice_of_operations():
    space = SearchSpace(1, ["identity"], ["add"])
    assert np.isfinite(space.features(np.zeros((3, len(space)), int))).all()
