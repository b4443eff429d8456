"""Weight files of every format, recognised by content and read without trusting them."""

import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from keras_nasnet.weights import formats
from keras_nasnet.weights.array import NamedArrays
from keras_nasnet.weights.formats import Format

Content = TypeVar("Content")


class File:
    """An open file, which the formats inspect one after another.

    Args:
        path: its `Path`.
        stream: the file, opened for reading.
        limit: int, the most bytes a packed file may declare, see `max_bytes`.
        resources: closes what a reader opens, with the file.
    """

    def __init__(self, path: Path, stream: BinaryIO, limit: int, resources: ExitStack) -> None:
        self.path = path
        self.stream = stream
        self.limit = limit
        self.resources = resources
        self.hints: list[str] = []  # why a recognised container has no known contents
        self._contents: dict[Callable[[File], Any], Any] = {}

    def once(self, reader: Callable[["File"], Content]) -> Content:
        """A reader's result for the file, computed once and shared by all formats that ask."""
        if reader not in self._contents:
            self._contents[reader] = reader(self)
        return self._contents[reader]

    def start(self, size: int) -> bytes:
        """The first bytes."""
        self.stream.seek(0)
        return self.stream.read(size)

    def end(self, size: int) -> bytes:
        """The last bytes."""
        self.stream.seek(max(0, self.stream.seek(0, os.SEEK_END) - size))
        return self.stream.read()

    @cached_property
    def archive(self) -> zipfile.ZipFile | None:
        """The file as a zip archive; None if it is not one."""
        if not zipfile.is_zipfile(self.stream):
            return None
        return self.resources.enter_context(zipfile.ZipFile(self.stream))


@contextmanager
def open_weights(path: Path, limit: int) -> Iterator[tuple[Format, NamedArrays]]:
    """Opens a weight file.

    Args:
        path: as `locate` returns it.
        limit: int, the most bytes a packed file may declare, see `max_bytes`.

    Yields:
        Its format and its arrays, valid while the context lasts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if no format of `FORMATS` fits, or for any error
            within the context: libraries raise many kinds for damaged files.
    """
    with open(path, "rb") as stream:
        try:
            with ExitStack() as resources:
                yield _recognised(File(path, stream, limit, resources))
        except Exception as error:
            reason = getattr(error, "message", None) or (error.args or [type(error).__name__])[0]
            raise ValueError(f"{path} cannot be loaded: {reason}") from error


def _recognised(file: File) -> tuple[Format, NamedArrays]:
    """The first format that recognises the file, and its arrays."""
    for each in formats.FORMATS:
        arrays = each.code.read(file)
        if arrays is not None:
            return each, arrays
    titles = ", ".join(each.title for each in formats.FORMATS)
    raise ValueError("; ".join(file.hints) or f"its format is none of these: {titles}")
