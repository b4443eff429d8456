"""What tells the cells of a search space apart, as numbers."""

import numpy as np


def cell_features(choices: np.ndarray, num_operations: int, num_combiners: int) -> np.ndarray:
    """What a predictor sees of cells, whatever the order of their blocks.

    For each cell: how often each operation reads an input of the cell, and how often a block;
    how often each combiner but the first is there; how many states are concatenated as the output;
    the greatest and the mean depth of the blocks; how often each input is read.

    Args:
        choices: int array `(genotypes, 2, num_blocks, 5)`, in the order of
            `SearchSpace.decisions`.
        num_operations, num_combiners: int >= 1.

    Returns:
        Float array `(genotypes, features)`.
    """
    num_genotypes, _, num_blocks, _ = choices.shape
    cells = choices.reshape(2 * num_genotypes, num_blocks, 5)
    sources, operations, combiners = cells[..., :2], cells[..., 2:4], cells[..., 4]
    depths = np.zeros((len(cells), 2 + num_blocks))
    for block in range(num_blocks):
        read = np.take_along_axis(depths, sources[:, block], 1)
        depths[:, 2 + block] = 1 + read.max(1)
    num_readers = _one_hot(sources, 2 + num_blocks).sum((1, 2))
    of_operations = _one_hot(operations, num_operations)
    reads_block = sources[..., None] > 1
    features = np.concatenate(
        [
            (of_operations * ~reads_block).sum((1, 2)),
            (of_operations * reads_block).sum((1, 2)),
            _one_hot(combiners, num_combiners).sum(1)[:, 1:],
            (num_readers[:, 2:] == 0).sum(1, keepdims=True),
            depths.max(1, keepdims=True),
            depths[:, 2:].mean(1, keepdims=True),
            num_readers[:, :2],
        ],
        axis=1,
    )
    return features.reshape(num_genotypes, -1)


def _one_hot(indices: np.ndarray, count: int) -> np.ndarray:
    return (indices[..., None] == np.arange(count)).astype(float)
