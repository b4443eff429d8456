"""One process at a time in a folder: the lock of runs and of searches."""

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from math import inf
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from filelock import FileLock, Timeout

from keras_nasnet.atomic import replace_text

LOCK, HOLDER = ".lock", ".lock.json"
LEASE_S = 120.0  # a Linux NFS server gives a lost client's locks to others after 90
RETRY_S = 0.2

_held: dict[tuple[Path, int], "FolderLock"] = {}  # by folder and thread


class FolderInUseError(OSError):
    """Another process is at work in a folder, or has taken it over; the message says which."""


@contextmanager
def locked(folder: Path, *, wait: bool = False) -> Iterator["FolderLock"]:
    """Keeps a folder to this thread while the context lasts.

    `.lock` in the folder is locked by the operating system, which ends that with the process,
    however the process ends. File systems may keep this from other hosts, so `.lock.json` says who
    it is, and is touched every half minute: a holder on another host that has not done so for
    `LEASE_S` seconds is taken for dead. Neither file stays behind, but what a killed process left
    is no lock. A thread may enter the context again.

    Args:
        folder: path, which is made if it is not there, and removed if nothing came to be in it.
        wait: bool, default False. Whether to wait for a folder that is in use.

    Yields:
        `FolderLock`.

    Raises:
        FolderInUseError: if another process or thread is at work there.
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
            with suppress(OSError):  # of what is not empty
                path.rmdir()


class FolderLock:
    """The lock of a folder, see `locked`."""

    # filelock's `SoftFileLease` speaks to other hosts too, but on NFS and SMB it leaves the lock of
    # a dead holder for ever: they cannot exchange two names.

    def __init__(self, folder: Path) -> None:
        self.folder, self._path = folder, folder / HOLDER
        self._lock = FileLock(folder / LOCK, timeout=RETRY_S)
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
                    f"is free {LEASE_S:.0f} seconds after it was last heard of"
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
        """For how long nothing was heard of the holder, by the file server's clock alone."""
        with TemporaryFile(dir=self.folder) as now, suppress(FileNotFoundError):
            return os.fstat(now.fileno()).st_mtime - self._path.stat().st_mtime
        return inf

    def _keep(self) -> None:
        while not self._released.wait(LEASE_S / 4):
            with suppress(OSError):  # of a network; the next time may do
                if not self._is_mine():
                    return
                os.utime(self._path)

    def _is_mine(self) -> bool:
        try:
            return self._path.read_text() == self._text
        except FileNotFoundError:
            return False

    def check(self) -> None:
        """Makes sure before a file is written that no other host has taken the folder over.

        Raises:
            FolderInUseError: if this process was silent for so long, asleep or cut off, that
                another one has taken it.
        """
        if not self._is_mine():
            raise FolderInUseError(
                f"{self.folder} was taken over by {_name(_read(self._path))}, for nothing was "
                f"heard of this process for {LEASE_S:.0f} seconds; it writes no more"
            )

    def release(self) -> None:
        self._released.set()
        with suppress(OSError):  # of a network, and of Windows, where filelock unlinks `.lock`
            if self._is_mine() or _read(self._path) is None:  # not another's, who took it over
                self._path.unlink(missing_ok=True)
                (self.folder / LOCK).unlink(missing_ok=True)
        self._lock.release()


def _read(path: Path) -> dict[str, Any] | None:
    """What a holder has written of itself, if it is whole."""
    try:
        holder = json.loads(path.read_text())
        return {name: holder[name] for name in ("pid", "host", "since")}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _name(holder: dict[str, Any] | None) -> str:
    if holder is None:
        return "another process"
    return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
