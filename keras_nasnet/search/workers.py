"""Parallel trials on one machine: keras-tuner's chief in this process, workers in others.

Their protocol has no authentication: anyone who reaches the port can stop or alter the search.
"""

import _thread
import multiprocessing
import os
import pickle
import signal
import socket
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from typing import TYPE_CHECKING, Any

from keras_nasnet.optional import import_optional
from keras_nasnet.search.child import die_with

if TYPE_CHECKING:
    from keras_nasnet.search.oracle import SearcherOracle
    from keras_nasnet.search.tuner import NASNetTuner

LOOPBACK, EVERYWHERE = "127.0.0.1", "0.0.0.0"
MAX_WORKERS = 1_024  # more than a machine has cores
MAX_DEATHS = 3  # of workers on one trial, which then fails
POLL_S = 0.2
CAN_PIN = hasattr(os, "sched_setaffinity")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")


@contextmanager
def workers(
    tuner: "NASNetTuner", count: int, address: str, arguments: dict[str, Any]
) -> Iterator[None]:
    """Workers of a tuner, whose `search` acts as the chief within this context.

    A worker that dies is replaced by one with the same name, which resumes its trial.

    Args:
        tuner: `NASNetTuner` that can be pickled.
        count: int >= 1. Each worker has its share of the cores.
        address: str, that the chief listens on.
        arguments: for the workers' `search`.

    Raises:
        RuntimeError: if workers die before they start a trial.
    """
    cores = sorted(os.sched_getaffinity(0)) if CAN_PIN else list(range(os.cpu_count() or 1))
    num_threads = max(1, len(cores) // count)
    environment = {
        "KERASTUNER_ORACLE_IP": address,
        "KERASTUNER_ORACLE_PORT": str(_free_port(address)),
        "KERASTUNER_TUNER_ID": "chief",
        **dict.fromkeys(THREADS, str(num_threads)),
    }
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    context = multiprocessing.get_context("spawn")
    # Unlike pickle, it handles the functions in keras-tuner's oracles.
    work = import_optional("cloudpickle", "search").dumps((tuner, arguments))
    called = LOOPBACK if address == EVERYWHERE else address

    def start(index: int) -> SpawnProcess:
        first = index * num_threads
        share = [cores[place % len(cores)] for place in range(first, first + num_threads)]
        process = context.Process(
            target=_work, args=(work, f"worker{index}", called, share, os.getpid())
        )
        process.start()
        return process

    interrupt = signal.getsignal(signal.SIGINT)
    if interrupt is signal.SIG_IGN:  # in a script's background; `_Watch` needs it
        signal.signal(signal.SIGINT, signal.default_int_handler)
    watch = _Watch(tuner.oracle, start, count)
    watch.start()
    try:
        yield
    except KeyboardInterrupt:
        if watch.error is None:
            raise
        raise watch.error from None
    finally:
        watch.stop()
        if interrupt is signal.SIG_IGN:
            signal.signal(signal.SIGINT, interrupt)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Watch(threading.Thread):
    """Starts workers, and restarts those that die."""

    def __init__(
        self, oracle: "SearcherOracle", start_worker: Callable[[int], SpawnProcess], count: int
    ) -> None:
        super().__init__(name="workers", daemon=True)
        self.oracle, self.start_worker = oracle, start_worker
        self.error: RuntimeError | None = None
        self._stopped = threading.Event()
        self._deaths: Counter[str] = Counter()  # by trial, or by worker if it has none
        self._processes = [start_worker(index) for index in range(count)]

    def run(self) -> None:
        processes = self._processes
        while not self._stopped.wait(POLL_S) and self.error is None:
            for index, process in enumerate(processes):
                if process.exitcode:
                    self._count_death(process.exitcode, f"worker{index}")
                    processes[index] = self.start_worker(index)
        for process in processes:
            process.kill()
            process.join()

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def _count_death(self, exitcode: int, worker: str) -> None:
        trial = self.oracle.ongoing_trials.get(worker)
        name = f"trial {trial.trial_id}" if trial else worker
        self._deaths[name] += 1
        if self._deaths[name] < MAX_DEATHS:
            return
        message = f"{name}: {MAX_DEATHS} processes died, the last with exit code {exitcode}"
        if trial:
            trial.status, trial.message = "FAILED", message
            self.oracle.end_trial(trial)
        else:
            self.error = RuntimeError(message)
            _thread.interrupt_main()  # it waits for the workers


def _work(work: bytes, name: str, address: str, cores: Collection[int], chief: int) -> None:
    """A worker's process, which gets trials from the chief's address and reports to it."""
    die_with(chief)
    if CAN_PIN:
        os.sched_setaffinity(0, cores)
    os.environ["KERASTUNER_ORACLE_IP"] = address
    os.environ["KERASTUNER_TUNER_ID"] = name
    tuner, arguments = pickle.loads(work)  # only from the parent process, through a pipe
    tuner.work(name, arguments)


def _free_port(address: str) -> int:
    with socket.socket() as server:
        server.bind((address, 0))
        return server.getsockname()[1]
