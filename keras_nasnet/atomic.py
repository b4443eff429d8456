"""Files that are whole at every moment."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT)


class NotWrittenError(OSError):
    """A file could not be written; the message says which and why."""


def check_place(path: Path, makes_folders: bool = False) -> None:
    """For before the work whose result goes to `path`.

    Args:
        path: where a file or folder is to be.
        makes_folders: bool, default False. Whether missing folders above it are made then.

    Raises:
        NotWrittenError: if there is no folder to put it in, or it may not be written there.
    """
    folder = path.parent
    while makes_folders and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        what = "is no folder" if folder.exists() else "is not there; make that folder first"
        raise NotWrittenError(f"{path} cannot be written: {folder} {what}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotWrittenError(f"{path} cannot be written: nothing may be written in {folder}")


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Has a file written beside `path`, then puts it in its place.

    A link in the place of either is replaced; what it points to stays as it is.

    Args:
        path: where the file is to be.
        write: called with the path to write to, which has the same suffix.

    Raises:
        NotWrittenError: if it cannot be written; what was at `path` is as it was.
    """
    check_place(path)
    if path.is_dir():
        raise NotWrittenError(f"{path} cannot be written: it is a folder")
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    beside.unlink(missing_ok=True)
    try:
        with told_of(path):
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
    check_place(path)
    beside = path.with_name(f".{os.getpid()}.{path.name}")
    old = beside.with_name(f"{beside.name}.old")
    try:
        with told_of(path):
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


@contextmanager
def told_of(path: Path, replaces: bool = True) -> Iterator[None]:
    """What goes wrong in writing is told of `path`, not of the name that is written to.

    Args:
        path: of the file or folder.
        replaces: bool, default True. Whether it is written beside, and there is as it was.

    Raises:
        NotWrittenError: for an `OSError`, and for a full disk by whatever error.
    """
    try:
        yield
    except Exception as error:
        number = getattr(error, "errno", None)
        if os.strerror(errno.ENOSPC) in str(error):  # of h5py, safetensors and TensorFlow
            number = errno.ENOSPC
        elif not isinstance(error, OSError):
            raise
        reason = os.strerror(number) if number else str(error)
        hint = "; make room there" if number in FULL else ""
        kept = ". What was there before is whole." if replaces and path.exists() else ""
        raise NotWrittenError(f"{path} could not be written: {reason}{hint}{kept}") from error
