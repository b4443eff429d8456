"""Verified, resumable downloads: only the right file ever appears at the final path."""

import hashlib
import os
import urllib.error
import urllib.request
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from filelock import FileLock
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from keras_nasnet.terminal import errors
from keras_nasnet.weights.manifest import PublishedFile

MIRROR = "KERAS_NASNET_MIRROR"  # environment variable: address to use instead of the published one
TIMEOUT_S = 60
CHUNK_BYTES = 1 << 16
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)  # not on Windows


def cache_folder() -> Path:
    """Keras's weight cache, `$KERAS_HOME/models` or `~/.keras/models`."""
    return Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"


def fetch(file: PublishedFile) -> Path:
    """Path of a published file in the cache folder, downloaded if missing.

    The file is written to `NAME.part`, which a later call resumes; its hash is checked; then it is
    moved to its name. A lock lets one process download at a time; the others use its file.
    Nothing is written through a link: a link at the path of the file or its part is replaced.

    Args:
        file: `PublishedFile`.

    Returns:
        `Path` of a file with the right hash.

    Raises:
        ConnectionError: if the file cannot be downloaded or locked, or has another hash.
    """
    target = cache_folder() / file.name
    if target.exists() and matches(target, file.file_hash):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target):
        if target.exists() and matches(target, file.file_hash):
            return target
        part = target.with_name(f"{target.name}.part")
        url = (os.environ.get(MIRROR) or file.base_url).rstrip("/") + f"/{file.url_name}"
        if part.is_symlink():
            part.unlink()
        resumed = part.exists()
        _download(url, part)
        if not matches(part, file.file_hash) and resumed:  # the part was of another file
            part.unlink()
            _download(url, part)
        if not matches(part, file.file_hash):
            part.unlink()
            raise ConnectionError(
                f"{url} is not the published file: its hash is not {file.file_hash}. "
                "Nothing was kept; try again, or pass the path of a file you have as weights=."
            )
        os.replace(part, target)
    return target


def matches(path: Path, file_hash: str) -> bool:
    """Whether a file has this hash, in hexadecimal: MD5 (32 digits) or SHA-256 (64).

    Raises:
        ValueError: if `file_hash` is neither.
    """
    algorithm = {32: "md5", 64: "sha256"}.get(len(file_hash))
    if algorithm is None:
        raise ValueError(f"file_hash: wanted an MD5 or SHA-256 in hexadecimal, got {file_hash!r}")
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == file_hash.lower()


def _download(url: str, part: Path) -> None:
    """Completes `part` with the rest of the file at `url`."""
    start = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={start}-"} if start else {})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            resumes = response.status == 206
            remaining = response.length
            with _open_part(part, "ab" if resumes else "wb") as out, _progress() as progress:
                done = start if resumes else 0
                task = progress.add_task(part.stem, completed=done)
                progress.update(task, total=None if remaining is None else done + remaining)
                while chunk := response.read(CHUNK_BYTES):
                    out.write(chunk)
                    progress.advance(task, len(chunk))
                out.flush()
                os.fsync(out.fileno())
    except urllib.error.HTTPError as error:
        if error.code == 416 and start:  # the part is already complete
            return
        raise ConnectionError(f"{url}: the server returned {error.code} {error.reason}") from None
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise ConnectionError(
            f"{url} cannot be downloaded: {reason}. What arrived is kept; the next call resumes "
            f"from there. To use a mirror, set {MIRROR}."
        ) from None


def _lock(target: Path) -> AbstractContextManager[Any]:
    """The acquired lock of a file; a link at its path is refused."""
    lock = FileLock(f"{target}.lock")
    try:
        return lock.acquire()
    except OSError as error:
        raise ConnectionError(
            f"{lock.lock_file} cannot be locked: {error.strerror or error}"
        ) from None


def _open_part(part: Path, mode: str) -> IO[Any]:
    return open(part, mode, opener=lambda path, flags: os.open(path, flags | NO_FOLLOW, 0o666))


def _progress() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    is_shown = errors.is_terminal or errors.is_jupyter
    return Progress(*columns, TimeRemainingColumn(), console=errors, disable=not is_shown)
