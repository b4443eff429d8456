"""The loop of a search: asks, submits, waits and tells, on any executor.

This process alone writes the search's state: trials that were asked for, that ended, and how often
each was lost. An executor keeps nothing, so a search goes on after any of its processes has died.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import keras_tuner
from keras_tuner.engine.trial import Trial

from keras_nasnet.check import check_integers
from keras_nasnet.search.attempt import (
    Attempt,
    ExecutorError,
    LostError,
    Outcome,
    Results,
    SearchEndedError,
    begin_attempt,
    run_attempt,
    write_files,
)
from keras_nasnet.search.local import MAX_WORKERS, LocalExecutor
from keras_nasnet.search.oracle import COMPLETED, FAILED, STOPPED
from keras_nasnet.search.private import results_of

if TYPE_CHECKING:
    from keras_nasnet.search.oracle import SearcherOracle
    from keras_nasnet.search.tuner import NASNetTuner

MAX_LOSSES = 3  # a trial that is lost once more has failed
POLL_S = 5.0  # how often a cluster is asked how large it is
# How executors say that a process or node died: those of Python and loky, Dask and Ray. By name,
# since none of them has to be installed.
LOST = {"BrokenExecutor", "CancelledError", "KilledWorker", "RayError"}

Work = Callable[[Path], Results]


class Attempts:
    """The attempts at trials that an executor is running; what it loses is begun again.

    Args:
        executor: `concurrent.futures.Executor`.
        num_workers: int >= 1, how many to run at once; None for as many as the executor can.
        lose: called with the id of a trial and how often it was lost; returns how often it was
            lost in all.
        check: called before a file is written.

    Raises:
        ValueError: if `num_workers` is None, and the executor does not tell.
    """

    def __init__(
        self,
        executor: Executor,
        num_workers: int | None,
        lose: Callable[[str, int], int],
        check: Callable[[], None],
    ) -> None:
        self._executor, self._num_workers = executor, num_workers
        self._lose, self._check = lose, check
        self._running: dict[Future[Outcome], Attempt] = {}
        self.has_room()

    def __len__(self) -> int:
        return len(self._running)

    def has_room(self) -> bool:
        """Whether another attempt could run now."""
        return len(self) < room(self._executor, self._num_workers)

    def begin(self, trial_id: str, folder: Path, work: Work) -> None:
        """Begins an attempt at a trial.

        Raises:
            ExecutorError: if the executor takes none.
        """
        self._check()
        folder = folder.absolute()
        attempt = Attempt(trial_id, begin_attempt(folder), folder, work, keras.config.backend())
        with _executor_errors(trial_id):
            self._running[self._executor.submit(run_attempt, attempt)] = attempt

    def ended(self) -> Iterator[tuple[str, Outcome]]:
        """Waits until one or more attempts have ended; yields trial ids and outcomes.

        Raises:
            ExecutorError: if the executor failed otherwise than by losing an attempt.
            FolderInUseError: if another process has taken over a trial's folder.
            NotWrittenError: if files that were sent back cannot be written.
        """
        done, _ = wait(self._running, POLL_S, FIRST_COMPLETED)
        for future in [future for future in self._running if future in done]:
            attempt = self._running.pop(future)
            outcome = _outcome_of(future, attempt.trial_id)
            self._check()
            try:
                write_files(outcome.files, attempt.folder)
                if outcome.error is not None:
                    raise outcome.error
            except SearchEndedError as error:
                raise error.args[0] from None
            except LostError as error:
                self.has_room()  # else it is no loss: there is no executor any more
                losses = self._lose(attempt.trial_id, error.times)
                if losses <= MAX_LOSSES:
                    self.begin(attempt.trial_id, attempt.folder, attempt.work)
                    continue
                outcome = Outcome(message=f"lost {losses} times, the last time to {error}")
            yield attempt.trial_id, outcome

    def stop(self) -> None:
        """Gives up what is running, which stops at its next checkpoint."""
        for future, attempt in self._running.items():
            future.cancel()
            with suppress(OSError):  # it is taken over, or the disk is full
                self._check()
                begin_attempt(attempt.folder)


@contextmanager
def attempts_on(
    executor: Executor | None,
    num_workers: int | None,
    lose: Callable[[str, int], int],
    check: Callable[[], None],
) -> Iterator[Attempts]:
    """Attempts on an executor, or on processes of this machine; none goes on afterwards.

    Args:
        executor: as in `Attempts`, or None for this machine.
        num_workers: as in `Attempts`; one process by default.
        lose, check: as in `Attempts`.

    Raises:
        ValueError: if `num_workers` is out of range, or as from `Attempts`.
    """
    if num_workers is not None:
        check_integers(1, MAX_WORKERS, num_workers=num_workers)
    own = None
    if executor is None:
        num_workers = num_workers or 1
        executor = own = LocalExecutor(num_workers)
    try:
        attempts = Attempts(executor, num_workers, lose, check)
        try:
            yield attempts
        finally:
            attempts.stop()
    finally:
        if own is not None:
            own.shutdown()


def _outcome_of(future: "Future[Outcome]", trial_id: str) -> Outcome:
    try:
        return future.result()
    except Exception as error:
        if {kind.__name__ for kind in type(error).__mro__} & LOST:
            lost = LostError(f"{type(error).__name__}: {error}")
            lost.times += getattr(error, "allowed_failures", 0)  # Dask's own attempts
            return Outcome(error=lost)
        with _executor_errors(trial_id):
            raise


@contextmanager
def _executor_errors(trial_id: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        raise ExecutorError(
            f"trial {trial_id}: the executor failed, {type(error).__name__}: {error}"
        ) from error


def room(executor: Executor, num_workers: int | None) -> int:
    """How many attempts an executor can run at once.

    Raises:
        ValueError: if neither `num_workers` nor the executor tells.
        ExecutorError: if Dask's scheduler is gone, which leaves futures pending for ever.
    """
    client = getattr(executor, "_client", None)  # Dask's, which has no public name
    if client is not None:
        num_processes = _size_of(client)  # each trains one child at a time
        return num_workers or max(1, num_processes)
    if num_workers is not None:
        return num_workers
    known = getattr(executor, "_max_workers", None)  # Python's own, which have no public name
    if known is None:
        kind = type(executor).__name__
        raise ValueError(f"num_workers: required, since {kind} does not tell how many it has")
    return int(known)


def _size_of(client: Any) -> int:
    try:
        if client.status == "running":
            return len(client.nthreads())
        reason = f"the client is {client.status}"
    except Exception as error:  # of many kinds
        reason = f"{type(error).__name__}: {error}"
    raise ExecutorError(f"Dask's scheduler is gone: {reason}")


def run_trials(tuner: "NASNetTuner", attempts: Attempts, work_of: Callable[[Trial], Work]) -> None:
    """Runs trials until the oracle has no more, and those that it gave have ended.

    Args:
        tuner: `NASNetTuner`, whose methods `on_trial_begin` and so on are called.
        attempts: `Attempts`, none of them running.
        work_of: what an attempt at a trial does.
    """
    oracle: SearcherOracle = tuner.oracle
    tuner.on_search_begin()
    while True:
        while attempts.has_room():
            tuner.pre_create_trial()
            trial = oracle.create_trial(_free_name(oracle))
            if trial.status == STOPPED:  # until another trial ends, which may be promoted
                break
            tuner.on_trial_begin(trial)
            folder = Path(tuner.get_trial_dir(trial.trial_id))
            attempts.begin(trial.trial_id, folder, work_of(trial))
        if not len(attempts):
            break
        for trial_id, outcome in attempts.ended():
            tuner.on_trial_end(_told(oracle, trial_id, outcome))
    tuner.on_search_end()


def _free_name(oracle: "SearcherOracle") -> str:
    """The name that a trial goes by while it runs: with one at a time, always the same."""
    names = (f"worker{number}" for number in count())
    return next(name for name in names if name not in oracle.ongoing_trials)


def _told(oracle: "SearcherOracle", trial_id: str, outcome: Outcome) -> Trial:
    trial = oracle.trials[trial_id]
    trial.status, trial.message = COMPLETED, outcome.message or None
    if outcome.results is None:
        trial.status = FAILED
    else:
        results = Results(*outcome.results)
        oracle.update_trial(trial_id, results.metrics, results.step)
        oracle.add_steps(trial_id, results.steps_s)
    return trial


@dataclass(frozen=True)
class RunTrial:
    """What an attempt does where a subclass of the tuner has its own `run_trial`: calls that.

    Args:
        tuner: the tuner, without what belongs to the search's process.
        trial: its trial.
        arguments: for `run_trial`.
    """

    tuner: "NASNetTuner"
    trial: Trial
    arguments: dict[str, Any]

    def __call__(self, folder: Path) -> Results:
        tuner = copy(self.tuner)
        tuner.directory, tuner.project_name = str(folder.parent.parent), folder.parent.name
        try:
            returned = tuner.run_trial(self.trial, **self.arguments)
            return results_of(returned, tuner.oracle.objective)
        except keras_tuner.errors.FatalError as error:
            raise SearchEndedError(error) from error
