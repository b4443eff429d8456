"""The executor of this machine: processes that share its cores, or have a GPU each."""

import logging
import os
import threading
import time
import warnings
from collections.abc import Callable, Collection
from concurrent.futures import BrokenExecutor, Executor, Future
from pathlib import Path
from typing import Any

from keras_nasnet.onednn import use_onednn
from keras_nasnet.optional import import_optional

MAX_WORKERS = 1_024  # more than a machine has cores
MAX_DEFAULT = 8  # by itself: each takes about 1 GiB of memory
CAN_PIN = hasattr(os, "sched_setaffinity")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
GPUS = "CUDA_VISIBLE_DEVICES"


class LocalExecutor(Executor):
    """Runs each call in one of some processes, which end with this one.

    Each is a loky executor of its own, so that one that dies loses its own call alone. loky
    replaces a process that grew by a few hundred MiB: a backend keeps what it has compiled.

    Args:
        count: int >= 1, processes. Several have the same number of cores each, and a GPU each
            as far as there are any; one has the whole machine.
    """

    def __init__(self, count: int) -> None:
        self._loky = import_optional("loky", "search")
        warnings.filterwarnings("ignore", "A worker was restarted", module="loky")  # as above
        self._pools: list[Any] = [None] * count
        self._last: list[Future[Any] | None] = [None] * count

    def submit(
        self, function: Callable[..., Any], /, *arguments: Any, **named: Any
    ) -> "Future[Any]":
        """Calls a function in the first free process, or else in the first."""
        is_free = (last is None or last.done() for last in self._last)
        place = next((place for place, free in enumerate(is_free) if free), 0)
        try:
            future = self._pool(place).submit(function, *arguments, **named)
        except BrokenExecutor:  # its process died
            self._close(place)
            future = self._pool(place).submit(function, *arguments, **named)
        self._last[place] = future
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Kills the processes, whatever they are doing."""
        for place in range(len(self._pools)):
            self._close(place)

    def _pool(self, place: int) -> Any:
        if self._pools[place] is None:
            cores, environment = share(place, len(self._pools))
            self._pools[place] = self._loky.ProcessPoolExecutor(
                1,
                timeout=None,
                initializer=_begin,
                initargs=(os.getpid(), cores),
                env=environment,
            )
        return self._pools[place]

    def _close(self, place: int) -> None:
        if self._pools[place] is not None:
            self._pools[place].shutdown(kill_workers=True)
            self._pools[place] = None


def default_workers() -> int:
    """How many small children train at once: one a GPU or, without any, one a core.

    A second core makes the steps of a small child 1.2 to 1.4 times as fast, and nothing else of it.
    """
    return min(MAX_DEFAULT, len(_gpus()) or len(_cores()))


def share(place: int, count: int) -> tuple[list[int], dict[str, str]]:
    """What one of `count` processes has of this machine.

    Returns:
        The cores, and environment variables that a backend reads.
    """
    cores = _cores()
    if count == 1:
        return cores, {}
    num_threads = max(1, len(cores) // count)
    first = place * num_threads
    environment = dict.fromkeys(THREADS, str(num_threads))
    gpus = _gpus()
    if gpus:
        environment[GPUS] = gpus[place % len(gpus)]
    if 0 < len(gpus) < count:  # none takes all memory of one
        environment |= {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "0"}
    return [cores[core % len(cores)] for core in range(first, first + num_threads)], environment


def _cores() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if CAN_PIN else list(range(os.cpu_count() or 1))


def _gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA names them."""
    if GPUS in os.environ:
        names = [name.strip() for name in os.environ[GPUS].split(",")]
        return [name for name in names if name not in ("", "-1")]
    return [str(number) for number, _ in enumerate(Path("/dev").glob("nvidia[0-9]*"))]


def _begin(parent: int, cores: Collection[int]) -> None:
    if CAN_PIN:
        os.sched_setaffinity(0, cores)
    _die_with(parent)
    use_onednn()
    # Children do not repeat what `inspect_data` has logged.
    logging.getLogger("keras_nasnet.data.source").setLevel(logging.ERROR)


def _die_with(parent: int) -> None:
    """Ends this process when the search's process is gone, since nobody waits for the child."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
