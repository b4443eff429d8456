"""Images of one source that look like images of another."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from keras_nasnet.data.source import Source

SIDE = 16  # pixels of the small grey copies that are compared
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
# Of CIFAR-10's test images, 165 are at least so like a training image, nearly all that were looked
# at the same photograph (benchmarks/results/training.md); from 0.85 on, some with the same frame.
ALIKE = 0.9
MIN_CONTRAST = 2.0  # mean difference of neighbors, of 255: below it all images are alike
MAX_OTHERS, MAX_IMAGES = 20_000, 5_000  # compared in seconds
ROWS = 256  # compared at a time


@dataclass(frozen=True, slots=True)
class Pair:
    """An image, the one most like it in another source, and their likeness, up to 1."""

    index: int
    other: int
    likeness: float


def find_alike(source: Source, others: Source) -> tuple[list[Pair], int, int]:
    """Looks for images that are nearly equal, such as one photograph saved twice.

    Two images are alike if the differences between neighboring pixels of small grey copies of them
    are: where one is brighter, paler, of another size or mirrored they still are, where it is
    cropped or turned they are not.

    Args:
        source: `Source`, of which 5,000 images evenly spaced are looked at if there are more.
        others: `Source`; likewise, 20,000 images.

    Returns:
        A `Pair` for each image of `source` that is like one of `others`, the most alike first, and
        how many images of `source` and of `others` were looked at.
    """
    indices, images = _copies(source, MAX_IMAGES)
    other_indices, other_images = _copies(others, MAX_OTHERS)
    pairs: list[Pair] = []
    if len(images) and len(other_images):
        theirs = _differences(other_images).T
        ours, mirrored = _differences(images), _differences(images[:, :, ::-1])
        for start in range(0, len(images), ROWS):
            rows = slice(start, start + ROWS)
            likeness = np.maximum(ours[rows] @ theirs, mirrored[rows] @ theirs)
            nearest, best = likeness.argmax(1), likeness.max(1)
            pairs += [
                Pair(int(indices[start + row]), int(other_indices[nearest[row]]), float(best[row]))
                for row in np.flatnonzero(best >= ALIKE)
            ]
    return sorted(pairs, key=lambda pair: -pair.likeness), len(images), len(other_images)


def _copies(source: Source, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Indices of images, evenly spaced, and their copies `(number, SIDE, SIDE)`."""
    indices = np.linspace(0, len(source) - 1, min(most, len(source))).astype(int)
    with ThreadPoolExecutor() as threads:
        images = list(threads.map(lambda index: source.read(index, (SIDE, SIDE)), indices))
    read = [index for index, image in zip(indices, images, strict=True) if image is not None]
    pixels = [image for image in images if image is not None]
    copies = np.array(pixels, "float32").reshape(-1, SIDE, SIDE, 3) @ np.array(LUMA, "float32")
    return np.array(read, int), copies


def _differences(copies: np.ndarray) -> np.ndarray:
    """Differences between neighbors, of norm 1; of images without contrast, of norm 0."""
    rows, columns = (np.diff(copies, axis=axis).reshape(len(copies), -1) for axis in (1, 2))
    vectors = np.concatenate([rows, columns], 1)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    is_plain = norms < MIN_CONTRAST * np.sqrt(vectors.shape[1])
    return np.where(is_plain, 0, vectors / np.maximum(norms, 1e-6))
