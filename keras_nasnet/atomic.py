"""Files that are whole at every moment."""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
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


def replace_folder(path: Path, write: Callable[[Path], Any]) -> None:
    """As `replace_file`, for a folder.

    Between two renamings a folder that was there is gone; it then lies beside as `.PID.NAME.old`.
    """
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    old = beside.with_name(f"{beside.name}.old")
    try:
        write(beside)
        for file in beside.rglob("*"):
            if file.is_file():
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
        with suppress(FileNotFoundError):
            path.rename(old)
        beside.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
