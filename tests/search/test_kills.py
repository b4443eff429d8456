"""Kills: of processes that train, of the one that searches, of a cluster's scheduler."""

import json
import os
import random
import signal
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from support.clusters import Cluster
from support.command import run
from support.processes import all_gone, wait_until
from support.searches import SMALL, asking, counting, course, here, tuner
from support.works import COUNT, Counting, steps_of

from keras_nasnet.lock import HOLDER, FolderInUseError
from keras_nasnet.search import NASNetTuner
from keras_nasnet.search.attempt import ExecutorError, latest_attempt
from keras_nasnet.search.cluster import cluster
from keras_nasnet.search.local import CAN_PIN, THREADS
from keras_nasnet.training.callback import LOG
from keras_nasnet.training.job import CONFIG
from keras_nasnet.training.log import read_log

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _no_reports(monkeypatch):
    monkeypatch.setattr("keras_nasnet.search.record.write_report", lambda *arguments: None)


@pytest.fixture(scope="module")
def dask(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("cluster"))
    yield cluster
    cluster.close()


def folders(search):
    return sorted(Path(search.project_dir).glob("trial_*"))


def test_a_killed_search_loses_nothing_counts_nothing_twice_and_leaves_nobody(tmp_path):
    """It is that which was left alone, and while it ran nobody else could search there."""
    for begun in (3, 6):
        process = asking(tmp_path / "broken", 12, steps=2)
        wait_until(lambda begun=begun: len([*(tmp_path / "broken").rglob(COUNT)]) >= begun)
        with pytest.raises(FolderInUseError, match=f"is in use by process {process.pid} on"):
            counting(tmp_path / "broken", 12)
        family = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        process.kill()
        process.communicate()
        assert family
        assert all_gone(family)
    resumed = counting(tmp_path / "broken", 12, steps=2, searcher="controller")
    assert 0 < len(resumed.oracle.end_order) < 12
    resumed.search(executor=here())
    whole = counting(tmp_path / "whole", 12, searcher="controller")
    whole.search(executor=here())
    assert course(resumed) == course(whole)
    steps = [len(steps_of(folder)) for folder in folders(resumed)]
    assert sum(steps) <= 2 * 12 + 2, "only what ran at a kill ran again"


def test_a_search_whose_process_died_meets_its_children_on_the_cluster(tmp_path, dask):
    process = asking(tmp_path / "search", 2, steps=200, scheduler_file=str(dask.file))
    counts = [tmp_path / "search" / "nasnet_search" / f"trial_{n}" / COUNT for n in range(2)]
    wait_until(lambda: all(count.exists() for count in counts))
    process.kill()
    process.communicate()
    resumed = counting(tmp_path / "search", 2, steps=200, searcher="controller")
    resumed.search(executor=here())
    for folder in folders(resumed):
        steps, pids = zip(*steps_of(folder), strict=True)
        assert set(steps) == set(range(200))
        assert len(steps) <= 201, "the one that was running stopped at its next checkpoint"
        begun = pids.index(os.getpid())
        assert set(pids[:begun]) <= set(dask.workers())
        assert set(pids[begun:]) == {os.getpid()}


def test_the_command_line_searches_on_a_cluster(tmp_path, dask, capsys, monkeypatch):
    monkeypatch.setattr(NASNetTuner, "child_of", lambda self, trial, data: Counting(0.5))
    arguments = ["search", "--data", "digits", "--blocks", "1", "--trials", "3"]
    arguments += ["--out", tmp_path / "run", "--scheduler-file", dask.file]
    status, _, errors = run(capsys, *arguments)
    assert status == 0, errors
    pids = {pid for n in range(3) for _, pid in steps_of(tmp_path / "run" / f"trial_{n}")}
    assert pids <= set(dask.workers())


def test_on_a_cluster_workers_and_scheduler_die(tmp_path, dask):
    one = counting(tmp_path / "one", 8, steps=10, step_s=0.05)
    rng = random.Random(0)

    def kill():
        for begun in (2, 4):
            wait_until(lambda begun=begun: len(folders(one)) >= begun)
            os.kill(rng.choice(dask.workers()), signal.SIGKILL)
        wait_until(lambda: len(one.oracle.end_order) >= 5)
        dask.scheduler.kill()

    killer = threading.Thread(target=kill)
    killer.start()
    with (
        cluster(scheduler_file=dask.file) as executor,
        pytest.raises(ExecutorError, match="scheduler is gone"),
    ):
        one.search(executor=executor)
    killer.join()
    assert set(one.oracle.losses.values()) <= {1}, "a scheduler's death is no trial's loss"
    assert 5 <= len(one.oracle.end_order) < 8
    resumed = counting(tmp_path / "one", 8, steps=10)
    resumed.search(executor=here())
    assert sorted(resumed.oracle.end_order) == [str(number) for number in range(8)]
    assert [told for *_, told in course(resumed)] == [
        float(sum(values.values())) for _, values, _ in course(resumed)
    ]
    for folder in folders(resumed):
        assert (folder / COUNT).read_text() == "10"
        assert {step for step, _ in steps_of(folder)} == set(range(10))


@pytest.mark.skipif(not CAN_PIN, reason="processes have no cores of their own")
def test_a_child_that_was_killed_is_the_one_left_alone(tmp_path, monkeypatch):
    """And a reward depends on the number of threads, not on how many processes there are."""
    short = {"max_trials": 1, "recipe": replace(SMALL["recipe"], epochs=4)}
    broken, whole = (tuner(tmp_path / name, **short) for name in ("broken", "whole"))
    folder = Path(broken.get_trial_dir("0"))

    def kill():
        wait_until((folder / CONFIG).exists)
        os.kill(json.loads((folder / HOLDER).read_text())["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, sorted(cores)[:2])
        broken.search("digits", num_workers=2)  # a thread each
    finally:
        os.sched_setaffinity(0, cores)
    killer.join()
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    whole.search("digits")
    assert latest_attempt(folder) == 2
    logs = [read_log(Path(search.get_trial_dir("0")) / LOG) for search in (broken, whole)]
    assert logs[0] == logs[1]
    assert len(logs[0]) == 4
    assert broken.oracle.searcher.rewards == whole.oracle.searcher.rewards
