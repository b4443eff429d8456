"""Checks of all image files of a data set before they are used."""

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from keras_nasnet.data.source import Source
from keras_nasnet.tensor import Size
from keras_nasnet.terminal import track

CHUNK = 64  # images per thread at a time
TAIL_BYTES = 4096  # of a file, enough to tell apart nearly all files of the same size


def read_all(sources: Iterable[Source], size: Size) -> list[str]:
    """Decodes every image file, in threads.

    Args:
        sources: `Source`s.
        size: `(height, width)` to resize the images to.

    Returns:
        Messages for those that cannot be decoded, which are also logged as they are found.
    """
    sources = [source for source in sources if _files(source)]
    chunks = [
        (source, range(start, min(start + CHUNK, len(source))))
        for source in sources
        for start in range(0, len(source), CHUNK)
    ]

    def read(chunk: tuple[Source, range]) -> None:
        source, indices = chunk
        for index in indices:
            source.read(index, size)

    with ThreadPoolExecutor() as threads:
        for _ in track(threads.map(read, chunks), "reading all images", len(chunks)):
            pass
    return sorted({message for source in sources for message in source.unreadable})


def find_duplicates(training: Source, validation: Source) -> list[str]:
    """Looks for image files with the same content: copies, and links to one file.

    Files are read only if another one has the same size.

    Args:
        training, validation: `Source`s of the same classes.

    Returns:
        Up to three messages, each with a number and an example: of validation images that are
        training images too, of images in more than one class, and of other copies.
    """
    files = _files(training)
    num_training = len(files)
    files += _files(validation)
    labels = np.concatenate([training.labels, validation.labels])
    kinds: dict[str, list[tuple[int, int]]] = {
        f"of {len(validation):,} validation images are also training images": [],
        "images are also in another class": [],
        "images are copies of others": [],
    }
    leaked, contradicting, copied = kinds.values()
    for first, *others in _equal(files):
        for other in others:
            is_leak = first < num_training <= other
            if is_leak:
                leaked.append((other, first))
            if labels[first] != labels[other]:
                contradicting.append((other, first))
            elif not is_leak:
                copied.append((other, first))
    return [
        f"{len(pairs):,} {what}, such as {files[pairs[0][0]]} and {files[pairs[0][1]]}"
        for what, pairs in kinds.items()
        if pairs
    ]


def _files(source: Source) -> list[Path]:
    """The paths of a source of files, else nothing."""
    return [*source.items] if len(source) and isinstance(source.items[0], Path) else []


def _equal(files: list[Path]) -> list[list[int]]:
    """Indices of two or more files with the same content, ascending."""
    groups = [[*range(len(files))]]
    for key in (os.path.getsize, _tail, _digest):
        indices = sorted(index for group in groups for index in group)
        groups = _group(files, track(indices, "looking for duplicates", len(indices)), key)
    return groups


def _group(
    files: list[Path], indices: Iterable[int], key: Callable[[Path], Hashable]
) -> list[list[int]]:
    groups = defaultdict(list)
    for index in indices:
        try:
            groups[key(files[index])].append(index)
        except OSError:  # reported when it is decoded
            continue
    return [group for group in groups.values() if len(group) > 1]


def _tail(path: Path) -> tuple[int, bytes]:
    with path.open("rb", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        return size, hashlib.sha256(file.read()).digest()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
