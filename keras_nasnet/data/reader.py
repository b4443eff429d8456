"""Images of a source for training: decoded once if they fit, in threads if that is faster."""

import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import numpy as np

from keras_nasnet.data.image import Crop, load_image
from keras_nasnet.data.source import Source
from keras_nasnet.tensor import Size

# After an image that takes longer, the rest of a batch is read in threads. Smaller images are
# mostly work for Python, which threads do one after another.
SLOW_S = 5e-4


class Reader:
    """Reads images of a source at one size.

    Args:
        source: `Source`. Those taken from the same one share what has been decoded.
        size: `(height, width)`.
        crops: bool, default False. Whether images will be cropped, anew each time: then whole
            images are kept, else those of `size`.
    """

    def __init__(self, source: Source, size: Size, crops: bool = False) -> None:
        self.source, self.size = source, size
        self._cache = source.cache(None if crops else (*size,))

    def read(
        self, indices: Iterable[int], crops: Iterable[Crop | None]
    ) -> tuple[np.ndarray, np.ndarray]:
        """The images at some indices; for one that cannot be decoded, the next one that can be.

        Args:
            indices: ints, of images in the source.
            crops: one for each, as `load_image` takes it.

        Returns:
            uint8 array `(number, height, width, 3)`, and the indices of these images.

        Raises:
            ValueError: if no image of the source can be decoded.
        """
        examples = list(zip(indices, crops, strict=True))
        images, found = zip(*self._examples(examples), strict=True)
        return np.stack(images), np.array(found)

    def _examples(
        self, examples: list[tuple[int, Crop | None]]
    ) -> Iterator[tuple[np.ndarray, int]]:
        for i, example in enumerate(examples, 1):
            start = time.perf_counter()
            image = self._example(example)
            seconds = time.perf_counter() - start
            yield image
            if seconds > SLOW_S:
                yield from _threads(os.getpid()).map(self._example, examples[i:])
                return

    def _example(self, example: tuple[int, Crop | None]) -> tuple[np.ndarray, int]:
        index, crop = example
        for i in range(len(self.source)):
            candidate = (index + i) % len(self.source)
            image = self._image(candidate, crop)
            if image is not None:
                return image, candidate
        raise ValueError("none of the images can be decoded")

    def _image(self, index: int, crop: Crop | None) -> np.ndarray | None:
        position = self.source.positions[index]
        kept = self._cache.get(position)
        if kept is not None:
            return kept if crop is None else load_image(kept, self.size, crop)
        put = partial(self._cache.put, position) if self._cache.is_open else None
        image = self.source.read(index, self.size, crop, put if crop is not None else None)
        if put is not None and crop is None and image is not None:
            put(image)
        return image


def num_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def _threads(process_id: int) -> ThreadPoolExecutor:
    """As many threads as cores, made anew in a forked process, which has none of them."""
    return ThreadPoolExecutor(num_cores(), "keras_nasnet-read")
