"""Decoded images, kept in memory if all of a data set fit.

Not in a memory-mapped file: it would need a place on disk and somebody to remove it after a crash,
and what does not fit into memory is no faster to read from it than from JPEG files, which are a
tenth of the size.
"""

from typing import Any

import numpy as np

from keras_nasnet.data.memory import available_memory

SHARE = 0.25  # of the free memory, for what is still to be decoded
CHECKED_BYTES = 1 << 25  # of new images between two checks whether all of them will fit


class Cache:
    """The images of a data set that have been decoded so far, by position.

    All or none: as soon as those decoded so far show that not all will fit, they are dropped, and
    the memory is left to the system's own cache of files. Threads can share a cache. A copy of
    it, in another process too, is empty.
    """

    def __init__(self) -> None:
        self.is_open = True
        self._expected = np.array([], int)
        self._images: dict[int, np.ndarray] = {}
        self._bytes = self._checked_bytes = 0

    def __len__(self) -> int:
        return len(self._images)

    def __reduce__(self) -> tuple[Any, ...]:
        return Cache, ()

    def expect(self, positions: np.ndarray) -> None:
        """Says that images at these positions will come too."""
        self._expected = np.union1d(self._expected, positions)

    def get(self, position: int) -> np.ndarray | None:
        """The image at a position, which is not to be changed; None if it is not there."""
        return self._images.get(position)

    def put(self, position: int, image: np.ndarray) -> None:
        """Keeps an image, unless the cache is closed."""
        if not self.is_open or position in self._images:
            return
        self._images[position] = image
        self._bytes += image.nbytes
        if self._bytes - self._checked_bytes >= CHECKED_BYTES:
            self._checked_bytes = self._bytes
            to_come = self._bytes * (len(self._expected) / len(self._images) - 1)
            if to_come > SHARE * available_memory():
                self.is_open = False
                self._images = {}
