"""Atomic writes: files and folders are complete at any moment."""

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
    """Checks, before the work starts, that its result can be written to `path`.

    Args:
        path: of the file or folder to be written.
        makes_folders: bool, default False. Whether missing parent folders will be created.

    Raises:
        NotWrittenError: if the parent folder does not exist or is not writable.
    """
    folder = path.parent
    while makes_folders and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        what = "is not a folder" if folder.exists() else "does not exist; create that folder first"
        raise NotWrittenError(f"{path} cannot be written: {folder} {what}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise NotWrittenError(f"{path} cannot be written: no permission to write in {folder}")


def replace_file(path: Path, write: Callable[[Path], Any]) -> None:
    """Writes a file beside `path`, then moves it into place.

    A link at either path is replaced; its target is unchanged.

    Args:
        path: of the file.
        write: called with the path to write to, which has the same suffix.

    Raises:
        NotWrittenError: if it cannot be written; an existing file is unchanged.
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
    """Replaces `path` by a file with this text."""
    replace_file(path, lambda beside: beside.write_text(text))


def replace_folder(path: Path, write: Callable[[Path], Any]) -> None:
    """Like `replace_file`, for a folder.

    Between two renames an existing folder is missing; it is then beside it as `.PID.NAME.old`.
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
    """Reports write errors for `path`, not for the temporary name.

    Args:
        path: final path of the file or folder.
        replaces: bool, default True. Whether it is written beside `path`, which stays intact.

    Raises:
        NotWrittenError: for any `OSError`, and for a full disk whatever the error.
    """
    try:
        yield
    except Exception as error:
        number = getattr(error, "errno", None)
        if os.strerror(errno.ENOSPC) in str(error):  # from h5py, safetensors and TensorFlow
            number = errno.ENOSPC
        elif not isinstance(error, OSError):
            raise
        reason = os.strerror(number) if number else str(error)
        hint = "; make room there" if number in FULL else ""
        kept = ". What was there before is intact." if replaces and path.exists() else ""
        raise NotWrittenError(f"{path} could not be written: {reason}{hint}{kept}") from error
