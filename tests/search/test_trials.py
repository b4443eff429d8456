"""The loop over an executor: what is told, what is begun again, what ends the search."""

import multiprocessing
import os
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import keras_tuner
import pytest
from support.processes import all_gone
from support.searches import SPACE, counting, course, here, tuner
from support.works import Counting, share_of_process, steps_of

from keras_nasnet.search import NASNetTuner
from keras_nasnet.search.attempt import ATTEMPT, ExecutorError, latest_attempt
from keras_nasnet.search.local import CAN_PIN, GPUS, LocalExecutor, share
from keras_nasnet.search.record import TRIALS
from keras_nasnet.training.callback import LOG, MODEL


@pytest.fixture(autouse=True)
def _no_reports(monkeypatch):
    """They take longer than all else here."""
    monkeypatch.setattr("keras_nasnet.search.record.write_report", lambda *arguments: None)


class Deadly(NASNetTuner):
    """Trial 1 kills its process once, trial 2 always."""

    def child_of(self, trial):
        number = int(trial.trial_id)
        lives = {1: 2, 2: 99}.get(number, 0)
        return Counting(float(number), 3, 0.05, deadly=(1,), lives=lives)


@pytest.mark.slow
def test_what_dies_is_begun_again_and_its_neighbours_do_not_notice(tmp_path):
    one = Deadly(SPACE, "random", directory=tmp_path, max_trials=5)
    before = dict(os.environ)
    one.search(num_workers=2)
    assert os.environ == before
    trials = [one.oracle.trials[key] for key in sorted(one.oracle.end_order)]
    assert [trial.score for trial in trials] == [0, 1, None, 3, 4]
    assert one.oracle.searcher.rewards == {trial.trial_id: trial.score for trial in trials}
    assert trials[2].message.startswith("lost 4 times, the last time to TerminatedWorkerError")
    folders = [Path(one.get_trial_dir(trial.trial_id)) for trial in trials]
    steps = [steps_of(folder) for folder in folders]
    assert [[step for step, _ in each] for each in steps] == [
        [0, 1, 2],
        [0, 1, 1, 2],  # from its checkpoint on
        [0, 1, 1, 1, 1],
        [0, 1, 2],
        [0, 1, 2],
    ]
    assert [latest_attempt(folder) for folder in folders] == [1, 2, 4, 1, 1]
    pids = {pid for each in steps for _, pid in each}
    assert 6 <= len(pids) <= 7, "a process lives for many children"
    assert os.getpid() not in pids
    assert all_gone(pids)
    assert (Path(one.project_dir) / TRIALS).read_text().count("COMPLETED") == 4
    assert not one.oracle.losses


@pytest.mark.slow
def test_a_run_trial_of_ones_own_goes_to_the_executor_too(tmp_path):
    class Overriding(NASNetTuner):
        def run_trial(self, trial, bonus):
            Path(self.get_trial_dir(trial.trial_id), "ran.txt").touch()
            return {"val_accuracy": bonus + int(trial.trial_id), "pid": os.getpid()}

    one = Overriding(SPACE, "random", directory=tmp_path, max_trials=2)
    one.search(bonus=3)
    trials = list(one.oracle.trials.values())
    assert [trial.score for trial in trials] == [3, 4]
    assert {trial.metrics.get_best_value("pid") for trial in trials} & {os.getpid()} == set()
    assert all(Path(one.get_trial_dir(key), "ran.txt").exists() for key in "01")


def test_a_run_trial_that_returns_nothing_ends_the_search(tmp_path):
    class Nothing(NASNetTuner):
        def run_trial(self, trial):
            pass

    one = Nothing(SPACE, directory=tmp_path, max_trials=2)
    with pytest.raises(keras_tuner.errors.FatalTypeError, match="Did you forget to return"):
        one.search(executor=here())
    assert one.oracle.end_order == []


class Losing(Executor):
    """Runs calls at once; the futures of some, by number, end in other ways."""

    _max_workers = 1

    def __init__(self, **ends):
        self.ends = {int(name[1:]): error for name, error in ends.items()}
        self.attempts = []

    def submit(self, function, attempt):
        future, number = Future(), len(self.attempts)
        self.attempts.append(attempt)
        if number in self.ends:
            future.set_exception(self.ends[number])
        else:
            future.set_result(function(attempt))
        return future


class KilledWorker(Exception):  # noqa: N818  as Dask names it
    allowed_failures = 3


def test_what_is_lost_is_neither_told_nor_counted_twice(tmp_path):
    executor = Losing(_1=CancelledError(), _2=CancelledError(), _4=KilledWorker("its node"))
    one = counting(tmp_path / "one", 4)
    one.search(executor=executor)
    assert [attempt.trial_id for attempt in executor.attempts] == ["0", "1", "1", "1", "2", "3"]
    assert [attempt.number for attempt in executor.attempts] == [1, 1, 2, 3, 1, 1]
    assert one.oracle.trials["2"].message == "lost 4 times, the last time to KilledWorker: its node"
    whole = counting(tmp_path / "whole", 4)
    whole.search(executor=here())
    both = list(zip(course(one), course(whole), strict=True))
    assert [mine == other for mine, other in both] == [True, True, False, True]


def test_losses_count_over_the_parts_of_a_search(tmp_path):
    one = counting(tmp_path, 1)
    lost = {f"_{number}": CancelledError() for number in range(3)}
    with pytest.raises(ExecutorError, match="trial 0: the executor failed, KeyError: 'odd'"):
        one.search(executor=Losing(**lost, _3=KeyError("odd")))
    assert one.oracle.end_order == []
    again = counting(tmp_path, 1)
    assert again.oracle.losses == {"0": 3}
    again.search(executor=Losing(_0=CancelledError()))
    assert again.oracle.trials["0"].status == "FAILED"


def test_an_executor_of_pythons_own(tmp_path):
    one = counting(tmp_path, 3)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
        one.search(executor=executor)
    assert one.oracle.end_order == ["0", "1", "2"]
    with pytest.raises(ExecutorError, match="cannot schedule new futures after shutdown"):
        counting(tmp_path, 4).search(executor=executor)
    counting(tmp_path, 4).search(executor=here())


def test_an_executor_that_does_not_tell_how_many_it_runs(tmp_path):
    class Silent(Losing):
        _max_workers = None

    one = counting(tmp_path, 2)
    with pytest.raises(ValueError, match="num_workers: required, since Silent does not tell"):
        one.search(executor=Silent())
    one.search(executor=Silent(), num_workers=1)
    for count in (0, 2_000):
        with pytest.raises(ValueError, match="num_workers: wanted"):
            one.search(num_workers=count)


class Elsewhere(Losing):
    """Runs attempts where there is no folder of the search."""

    def submit(self, function, attempt):
        return super().submit(
            function, replace(attempt, folder=Path("/nowhere", *attempt.folder.parts[-2:]))
        )


def test_without_a_shared_file_system_the_folder_is_the_same_afterwards(tmp_path, monkeypatch):
    def train(job, held_out, folder, *arguments):
        (folder / LOG).write_text("epoch,val_accuracy\n0,0.5\n")
        (folder / MODEL).write_bytes(bytes(1000))
        return 0.5, None

    monkeypatch.setattr("keras_nasnet.search.child.train_child", train)
    one = tuner(tmp_path, max_trials=1)
    one.search("digits", executor=Elsewhere())
    folder = Path(one.get_trial_dir("0"))
    assert {path.name for path in folder.iterdir()} == {"trial.json", ATTEMPT, LOG, MODEL}
    assert (folder / MODEL).read_bytes() == bytes(1000)
    assert one.oracle.trials["0"].score == 0.5


def test_a_search_that_stops_has_its_attempts_stop(tmp_path):
    class Slow(Losing):
        def submit(self, function, attempt):
            future = super().submit(function, attempt)
            return Future() if attempt.trial_id == "0" else future

    one = counting(tmp_path, 4)
    with pytest.raises(KeyboardInterrupt):
        one.search(executor=Slow(_2=KeyboardInterrupt()), num_workers=2)
    assert [latest_attempt(Path(one.get_trial_dir(key))) for key in "01"] == [2, 1]
    assert counting(tmp_path, 4).oracle.end_order == ["1"]


def test_the_shares_of_a_machine(monkeypatch):
    cores, environment = share(0, 1)
    assert not environment
    shares = [share(place, 2) for place in range(2)]
    assert all(len(each) == max(1, len(cores) // 2) for each, _ in shares)
    monkeypatch.setenv(GPUS, "3,5")
    assert [share(place, 2)[1][GPUS] for place in range(2)] == ["3", "5"]
    assert share(2, 3)[1]["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    monkeypatch.setenv(GPUS, "-1")
    assert GPUS not in share(0, 2)[1]


def test_each_process_of_this_machine_has_its_share():
    executor = LocalExecutor(2)
    try:
        pids, threads, cores = zip(
            *(future.result() for future in [executor.submit(share_of_process) for _ in range(2)]),
            strict=True,
        )
    finally:
        executor.shutdown()
    num_threads = max(1, len(share(0, 1)[0]) // 2)
    assert threads == ({str(num_threads)},) * 2
    assert cores == (num_threads if CAN_PIN else None,) * 2
    assert len({*pids}) == 2
    assert all_gone(pids)
