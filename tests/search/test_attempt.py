"""Attempts at trials: which goes on, which gives way, and what comes back from elsewhere."""

import pickle
import threading
import time
from dataclasses import replace

import keras
import pytest
from support.locks import written_by
from support.works import COUNT, Counting, steps_of

from keras_nasnet.lock import FolderInUseError, locked
from keras_nasnet.search.attempt import (
    ATTEMPT,
    Attempt,
    LostError,
    SearchEndedError,
    SupersededError,
    begin_attempt,
    run_attempt,
    write_files,
)
from keras_nasnet.search.child import Child
from keras_nasnet.training.callback import LOG, MODEL, StoppedError
from keras_nasnet.training.job import CONFIG


def attempt(folder, work, number=None):
    number = begin_attempt(folder) if number is None else number
    return Attempt("7", number, folder, work, keras.config.backend())


def test_an_attempt_is_sent_as_it_is_and_goes_on_in_its_folder(tmp_path):
    one = attempt(tmp_path, Counting(0.5, steps=2))
    (tmp_path / COUNT).write_text("1")
    for _ in range(2):
        outcome = run_attempt(pickle.loads(pickle.dumps(one)))
        assert outcome.results == ({"val_accuracy": 0.5}, 0)
    assert [step for step, _ in steps_of(tmp_path)] == [1]
    assert {path.name for path in tmp_path.iterdir()} == {ATTEMPT, COUNT, "steps.txt"}


def raising(error):
    def work(folder):
        raise error

    return work


@pytest.mark.parametrize("error", [LostError("a"), FolderInUseError("b"), SearchEndedError("c")])
def test_what_says_nothing_about_the_child_is_no_failure(tmp_path, error):
    outcome = run_attempt(attempt(tmp_path, raising(error)))
    assert outcome.error is error
    assert not outcome.message


def test_a_failure_is_text(tmp_path):
    class UnsendableError(Exception):
        def __init__(self, one, two):
            super().__init__("both")

    outcome = run_attempt(attempt(tmp_path, raising(UnsendableError(1, 2))))
    assert outcome.error is None
    assert outcome.message.startswith("Traceback")
    assert outcome.message.endswith("UnsendableError: both\n")


def test_a_stopped_child_is_lost(tmp_path, monkeypatch):
    def train(*arguments):
        raise StoppedError("stopped by SIGTERM")

    monkeypatch.setattr("keras_nasnet.search.child.train_child", train)
    outcome = run_attempt(attempt(tmp_path, Child(None, 0.1)))
    assert isinstance(outcome.error, LostError)


def test_an_earlier_attempt_stops_at_its_next_checkpoint_and_the_later_one_goes_on(tmp_path):
    outcomes = {}

    def run(one):
        outcomes[one.number] = run_attempt(one)

    work = Counting(0.5, steps=40, step_s=0.05)
    earlier = attempt(tmp_path, work)
    thread = threading.Thread(target=run, args=(earlier,))
    thread.start()
    while not (tmp_path / COUNT).exists():
        time.sleep(0.01)
    later = attempt(tmp_path, replace(work, step_s=0.0))
    run(later)
    thread.join()
    assert isinstance(outcomes[earlier.number].error, SupersededError)
    assert outcomes[later.number].results == ({"val_accuracy": 0.5}, 0)
    steps = [step for step, _ in steps_of(tmp_path)]
    assert len(steps) == 41, "the step at which the earlier one stopped was done again"
    assert sorted(set(steps)) == list(range(40))
    assert isinstance(run_attempt(earlier).error, SupersededError)


def test_a_locked_folder_is_waited_for(tmp_path, hold):
    one = attempt(tmp_path, Counting(0.5))
    hold(tmp_path, 0.5)
    assert run_attempt(one).results == ({"val_accuracy": 0.5}, 0)


def test_a_folder_that_was_taken_over_is_no_failure(tmp_path):
    def work(folder):
        with locked(folder) as lock:
            written_by(folder)
            lock.check()

    assert isinstance(run_attempt(attempt(tmp_path, work)).error, FolderInUseError)


def writing(folder):
    for name in (CONFIG, LOG, MODEL, "checkpoint.npz"):
        (folder / name).write_text(f"{folder.parent.name}/{folder.name}: {name}")
    return {"val_accuracy": 0.5}, 0


def test_where_there_is_no_such_folder_log_and_model_are_sent_back(tmp_path):
    elsewhere = tmp_path / "elsewhere" / "search" / "trial_7"
    outcome = run_attempt(attempt(elsewhere, writing, number=1))
    assert outcome.results == ({"val_accuracy": 0.5}, 0)
    assert not elsewhere.exists()
    write_files(outcome.files, tmp_path)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert written == {name: f"search/trial_7: {name}" for name in (CONFIG, LOG, MODEL)}


def test_what_was_damaged_on_its_way_is_lost_and_not_written(tmp_path):
    outcome = run_attempt(attempt(tmp_path / "elsewhere", writing, number=1))
    content, digest = outcome.files[MODEL]
    for files in ({MODEL: (content[:-1], digest)}, {"../model.keras": (content, digest)}):
        with pytest.raises(LostError, match="was damaged on its way"):
            write_files(outcome.files | files, tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_worker_with_another_backend_ends_the_search(tmp_path):
    one = replace(attempt(tmp_path, Counting(0.5)), backend="numpy")
    error = run_attempt(one).error
    assert isinstance(error, SearchEndedError)
    assert "in a worker, numpy in the search" in str(error)
