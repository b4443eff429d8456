"""One process at a time in a folder: the lock of runs and searches."""

import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from math import inf
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from filelock import FileLock, Timeout

from keras_nasnet.atomic import replace_text

LOCK, HOLDER = ".lock", ".lock.json"
LEASE_S = 120.0  # a Linux NFS server frees a lost client's locks after 90
RETRY_S = 0.2

_held: dict[tuple[Path, int], "FolderLock"] = {}  # by folder and thread


class FolderInUseError(OSError):
    """Another process is using a folder, or has taken it over; the message says which."""


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator["FolderLock"]:
    """Locks a folder for this thread while the context lasts.

    `.lock` in the folder is locked by the operating system, which releases it with the process,
    however it ends. Other hosts may not see that lock, so `.lock.json` names
    the holder and is touched every half minute: a holder on another host that has not done so for
    `LEASE_S` seconds counts as dead. Both files are removed at the end; those
    left by a killed process lock nothing. A thread may enter the context again.

    Args:
        folder: path; created if missing, and removed if it is still empty at the end.
        wait: bool, default False. Whether to wait while the folder is in use.

    Yields:
        `FolderLock`.

    Raises:
        FolderInUseError: if another process or thread is using it.
        OSError: if the folder cannot be written to.
    """
    folder = Path(folder).resolve()
    key = folder, threading.get_ident()
    if key in _held:
        yield _held[key]
        return
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    lock = FolderLock(folder)
    try:
        lock.acquire(wait)
        _held[key] = lock
        try:
            yield lock
        finally:
            del _held[key]
            lock.release()
    finally:
        for path in made:
            with suppress(OSError):  # not empty
                path.rmdir()


class FolderLock:
    """The lock of a folder; see `locked`.

    Attributes:
        also_check: called by `check`, for what else must hold before a file is written.
    """

    # filelock's `SoftFileLease` works across hosts, but on NFS and SMB it keeps the lock of a dead
    # holder forever: they cannot exchange two names.

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / HOLDER
        self._lock = FileLock(folder / LOCK, timeout=RETRY_S)
        self.also_check: Callable[[], None] = lambda: None
        self._text = ""
        self._released = threading.Event()

    def acquire(self, wait: bool) -> None:
        while True:
            try:
                return self._acquire()
            except FolderInUseError:
                if not wait:
                    raise
                time.sleep(RETRY_S)

    def _acquire(self) -> None:
        holder = _read(self._path)
        if holder is not None and holder["host"] != socket.gethostname():
            if self._silence_s() < LEASE_S:
                raise FolderInUseError(
                    f"{self.folder} is in use by {_name(holder)}; if that host is gone, the folder "
                    f"is free {LEASE_S:.0f} seconds after its last sign of life"
                )
            (self.folder / LOCK).unlink(missing_ok=True)  # the file server may keep it locked
        try:
            self._lock.acquire()
        except Timeout:
            holder = _read(self._path)
            raise FolderInUseError(f"{self.folder} is in use by {_name(holder)}") from None
        since = datetime.now().astimezone().isoformat(" ", "seconds")
        self._text = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "since": since})
        try:
            replace_text(self._path, self._text)
        except BaseException:
            self.release()
            raise
        threading.Thread(target=self._keep, name="lock", daemon=True).start()

    def _silence_s(self) -> float:
        """How long the holder has been silent, by the file server's clock alone."""
        with TemporaryFile(dir=self.folder) as now, suppress(FileNotFoundError):
            return os.fstat(now.fileno()).st_mtime - self._path.stat().st_mtime
        return inf

    def _keep(self) -> None:
        while not self._released.wait(LEASE_S / 4):
            with suppress(OSError):  # network errors; the next attempt may work
                if not self._is_mine():
                    return
                os.utime(self._path)

    def _is_mine(self) -> bool:
        try:
            return self._path.read_text() == self._text
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Checks, before a file is written, that no other host has taken over the folder.

        Raises:
            FolderInUseError: if this process was silent (suspended or cut off) for so long that
                another one has taken the folder.
        """
        if not self._is_mine():
            raise FolderInUseError(
                f"{self.folder} was taken over by {_name(_read(self._path))}, because this process "
                f"was silent for {LEASE_S:.0f} seconds; it stops writing"
            )
        self.also_check()

    def release(self) -> None:
        self._released.set()
        with suppress(OSError):  # network errors, and Windows, where filelock unlinks `.lock`
            if self._is_mine() or _read(self._path) is None:  # not taken over by another
                self._path.unlink(missing_ok=True)
                (self.folder / LOCK).unlink(missing_ok=True)
        self._lock.release()


def _read(path: Path) -> dict[str, Any] | None:
    """What a holder wrote about itself, if complete."""
    try:
        holder = json.loads(path.read_text())
        return {name: holder[name] for name in ("pid", "host", "since")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _name(holder: dict[str, Any] | None) -> str:
    if holder is None:
        return "another process"
    return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
