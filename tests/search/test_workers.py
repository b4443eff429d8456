"""Several trials at once: workers that die, and their share of the cores."""

import os
import signal
import time
from pathlib import Path

import pytest
from support.searches import SPACE, tuner

from keras_nasnet.search import NASNetTuner
from keras_nasnet.search.record import TRIALS
from keras_nasnet.search.workers import CAN_PIN, THREADS
from keras_nasnet.training.callback import LOG
from keras_nasnet.training.log import read_log


class Deadly(NASNetTuner):
    """Trial 3 kills its worker once, trial 5 always."""

    def run_trial(self, trial):
        number = int(trial.trial_id)
        mark = Path(self.project_dir) / f"{number}_{os.getpid()}"
        begun = list(mark.parent.glob(f"{number}_*"))
        mark.touch()
        if number == 5 or (number == 3 and not begun):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.2)
        return float(number)


@pytest.mark.slow
def test_trials_of_workers_that_die_are_finished(tmp_path):
    one = Deadly(SPACE, "random", directory=tmp_path, max_trials=8)
    before = dict(os.environ)
    one.search(num_workers=2)
    assert os.environ == before
    trials = [one.oracle.trials[key] for key in sorted(one.oracle.end_order)]
    assert [trial.score for trial in trials] == [0, 1, 2, 3, 4, None, 6, 7]
    assert trials[5].status == "FAILED"
    assert trials[5].message == "trial 5: 3 processes died, the last with exit code -9"
    assert one.oracle.searcher.rewards == {trial.trial_id: trial.score for trial in trials}
    marks = [path.name.split("_") for path in Path(one.project_dir).glob("[0-9]_*")]
    assert {pid for _, pid in marks} & {str(os.getpid())} == set()
    assert [sum(number == key for number, _ in marks) for key in "35"] == [2, 3]
    assert (Path(one.project_dir) / TRIALS).read_text().count("COMPLETED") == 7


class Stillborn(NASNetTuner):
    """Its workers die before they ask for a trial."""

    def work(self, name, arguments):
        os._exit(7)


@pytest.mark.slow
def test_workers_that_die_at_once_end_the_search_in_the_background_too(tmp_path):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as a shell starts what it puts there
    try:
        with pytest.raises(RuntimeError, match=r"worker0: 3 processes died, .* exit code 7"):
            Stillborn(SPACE, "random", directory=tmp_path, max_trials=2).search(
                num_workers=1, address="0.0.0.0"
            )
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.skipif(not CAN_PIN, reason="workers have no cores of their own")
def test_rewards_depend_on_threads_but_not_on_workers(tmp_path, monkeypatch):
    """Two trials in a process, and by two workers, each child on one thread."""
    cores = os.sched_getaffinity(0)
    two = tuner(tmp_path / "two", max_trials=2)
    one = tuner(tmp_path / "one", max_trials=2)
    try:
        os.sched_setaffinity(0, sorted(cores)[:2])
        two.search("digits", num_workers=2)
    finally:
        os.sched_setaffinity(0, cores)
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    one.search("digits")
    assert losses(two) == losses(one)
    assert len(losses(one)) == 2
    assert two.oracle.searcher.rewards == one.oracle.searcher.rewards


def losses(tuner):
    folders = {key: Path(tuner.get_trial_dir(key)) for key in tuner.oracle.end_order}
    return {key: [row["loss"] for row in read_log(folder / LOG)] for key, folder in folders.items()}
