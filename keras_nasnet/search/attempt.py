"""What an executor is given: an attempt at a trial, which any process can run."""

import os
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple, TypeAlias

from keras_nasnet.atomic import replace_file, replace_text
from keras_nasnet.lock import FolderInUseError, locked
from keras_nasnet.onednn import use_onednn

ATTEMPT = "attempt.txt"  # in a trial's folder: the number of its latest attempt

Files: TypeAlias = dict[str, tuple[bytes, str]]  # by name: contents and SHA-256


class Results(NamedTuple):
    """What a child has come to.

    Args:
        metrics: dict of float, by name.
        step: int, that they are from.
        steps_s: float, seconds that its training steps took, if they are known.
    """

    metrics: dict[str, float]
    step: int = 0
    steps_s: float | None = None


class LostError(Exception):
    """An attempt ended without an outcome; another one can go on from its folder.

    Attributes:
        times: int, how often that happened: an executor may have tried again itself.
    """

    times = 1


class SupersededError(LostError):
    """A later attempt at the trial has begun, so this one has stopped."""


class SearchEndedError(Exception):
    """An attempt met an error that ends the search: its argument."""


class ExecutorError(RuntimeError):
    """An executor can run no more attempts; the search can go on with another one."""


@dataclass(frozen=True)
class Attempt:
    """An attempt at a trial. It pickles by itself, and may run twice: it goes on from its folder.

    Args:
        trial_id: str.
        number: int, greater than those of earlier attempts at the trial.
        folder: absolute path of the trial's folder. Where there is no such folder, a temporary
            one takes its place, and its files are sent back.
        work: called with the folder; picklable.
        backend: str, Keras's backend in the search's process.
    """

    trial_id: str
    number: int
    folder: Path
    work: Callable[[Path], Results]
    backend: str


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended, one of three ways.

    Args:
        results: `Results` of a child that succeeded.
        message: str, the traceback of a child that failed. As text: not every exception can be
            sent, and none must look like one of the executor's own.
        error: exception that says nothing about the child.
        files: `Files` for the trial's folder.
    """

    results: Results | None = None
    message: str = ""
    error: LostError | FolderInUseError | SearchEndedError | None = None
    files: Files = field(default_factory=dict)


def run_attempt(attempt: Attempt) -> Outcome:
    """Runs an attempt: the one function that an executor is given. It raises nothing.

    It waits while another process uses the folder. An earlier attempt that still runs, as on a
    cluster after the search's process was killed, stops at its next checkpoint.
    """
    try:
        return _run(attempt)
    except (LostError, FolderInUseError, SearchEndedError) as error:
        return Outcome(error=error)
    except Exception:
        return Outcome(message=traceback.format_exc())


def _run(attempt: Attempt) -> Outcome:
    backend = os.environ.setdefault("KERAS_BACKEND", attempt.backend)
    if backend != attempt.backend:
        message = f"KERAS_BACKEND is {backend} in a worker, {attempt.backend} in the search"
        raise SearchEndedError(RuntimeError(message))
    use_onednn()
    if latest_attempt(attempt.folder) is None:  # no shared file system
        with TemporaryDirectory() as place:
            folder = Path(place, attempt.folder.parent.name, attempt.folder.name)
            folder.mkdir(parents=True)
            return Outcome(attempt.work(folder), files=_files_of(folder))

    def check() -> None:
        if (latest_attempt(attempt.folder) or 0) > attempt.number:
            raise SupersededError(f"trial {attempt.trial_id}: a later attempt has begun")

    check()
    with locked(attempt.folder, wait=True) as lock:
        lock.also_check = check
        check()
        return Outcome(attempt.work(attempt.folder))


def begin_attempt(folder: Path) -> int:
    """Has earlier attempts at a trial stop at their next checkpoint.

    Returns:
        The number of the attempt that may begin.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = (latest_attempt(folder) or 0) + 1
    replace_text(folder / ATTEMPT, str(number))
    return number


def latest_attempt(folder: Path) -> int | None:
    """The number of the latest attempt at a trial; None if its folder is not here."""
    try:
        return int((folder / ATTEMPT).read_text())
    except FileNotFoundError:
        return None


def _files_of(folder: Path) -> Files:
    """What is sent back of a run folder: settings, log, and best model or what it is made from."""
    from keras_nasnet.search.straight import STATE
    from keras_nasnet.training.callback import LOG
    from keras_nasnet.training.job import CONFIG, MODEL

    paths = [folder / name for name in (CONFIG, LOG, MODEL, STATE)]
    contents = {path.name: path.read_bytes() for path in paths if path.exists()}
    return {name: (content, _hash(content)) for name, content in contents.items()}


def write_files(files: Files, folder: Path) -> None:
    """Writes files that were sent back.

    Raises:
        LostError: if they are damaged; nothing is written.
        NotWrittenError: if they cannot be written.
    """
    for name, (content, digest) in files.items():
        if Path(name).name != name or _hash(content) != digest:
            raise LostError(f"{name} was damaged on its way to {folder}")
    for name, (content, _) in files.items():
        replace_file(folder / name, partial(Path.write_bytes, data=content))


def _hash(content: bytes) -> str:
    return sha256(content).hexdigest()
