"""Files that are whole at every moment."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Has a file written beside `path`, then puts it in its place.

    Args:
        path: where the file is to be.
        write: called with the path to write to, which has the same suffix.
    """
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        write(beside)
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def replace_text(path: Path, text: str) -> None:
    """Puts a file of some text in the place of `path`."""
    replace_file(path, lambda beside: beside.write_text(text))
