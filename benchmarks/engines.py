"""The executors that searches run on: children a minute, and what kills cost and leave behind."""

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Thread

import psutil
from support import TESTS
from support.clusters import Cluster
from support.processes import all_gone, wait_until
from support.searches import asking, counting, course, tuner
from support.works import steps_of

from keras_nasnet.lock import HOLDER
from keras_nasnet.search.cluster import cluster
from keras_nasnet.search.local import LocalExecutor

WORKERS = 2
PATHS = (TESTS, str(Path(__file__).parents[1] / "examples"))  # for the processes of the engines
os.environ["PYTHONPATH"] = os.pathsep.join((*PATHS, os.environ.get("PYTHONPATH", "")))


@contextmanager
def local(folder):
    executor = LocalExecutor(WORKERS)
    try:
        yield executor
    finally:
        executor.shutdown()


@contextmanager
def dask(folder):
    machine = Cluster(folder)
    try:
        with cluster(scheduler_file=machine.file) as executor:
            yield executor
    finally:
        machine.close()


@contextmanager
def ray(folder):
    import ray

    sys.path.append(PATHS[1])
    from search_ray import RayExecutor

    ray.init(num_cpus=WORKERS, include_dashboard=False, log_to_driver=False)
    try:
        yield RayExecutor()
    finally:
        ray.shutdown()


ENGINES = {"loky": local, "distributed": dask, "ray": ray}


def compare(num_trials: int, num_kills: int) -> None:
    """Prints, for each engine, children a minute with children of 1 s, and time lost by a kill."""
    print(f"{WORKERS} workers, {num_trials} children of 1 s: {60 * WORKERS} a minute at most")
    for name, engine in ENGINES.items():
        if find_spec(name) is None:
            print(f"{name:12} is not installed")
            continue
        with tempfile.TemporaryDirectory() as folder, engine(Path(folder)) as executor:
            search(Path(folder) / "first", executor, WORKERS, 0)  # the processes begin
            alone = search(Path(folder) / "alone", executor, num_trials, 0)
            killed = search(Path(folder) / "killed", executor, num_trials, num_kills)
        lost = (killed - alone) * WORKERS / num_kills
        print(
            f"{name:12} {60 * num_trials / alone:5.1f} children a minute; {num_kills} kills of a "
            f"worker: {lost:.1f} s of one worker's time lost a kill",
            flush=True,
        )


def search(folder: Path, executor, num_trials: int, num_kills: int) -> float:
    """Seconds of a search, some of whose workers are killed."""
    one = counting(folder, num_trials, steps=20, step_s=0.05)
    one._record.write = lambda **arguments: None  # what it costs is not the engine's
    rng = random.Random(0)

    def kill():
        for _ in range(num_kills):
            time.sleep(rng.uniform(1, 2))
            kill_worker(Path(one.project_dir), rng)

    killer = Thread(target=kill)
    begin = time.monotonic()
    killer.start()
    one.search(executor=executor, num_workers=WORKERS)
    seconds = time.monotonic() - begin
    killer.join()
    assert len(one.oracle.end_order) == num_trials
    return seconds


def kill_worker(folder: Path, rng: random.Random) -> bool:
    """Kills a process that is running a trial, which its folder names."""
    pids = []
    for path in folder.glob(f"trial_*/{HOLDER}"):
        with suppress(OSError, ValueError):  # it has just ended
            pids.append(json.loads(path.read_text())["pid"])
    pids = [pid for pid in pids if psutil.pid_exists(pid)]
    if pids:
        os.kill(rng.choice(pids), signal.SIGKILL)
    return bool(pids)


class Killed:
    """A search in another process, of which anything may be killed; it is begun again.

    Args:
        folder: path.
        num_trials: int.
        on_cluster: bool, whether on a cluster or on this machine's processes.
        options: for `asking`.
    """

    def __init__(self, folder: Path, num_trials: int, on_cluster: bool, **options):
        self.folder, self.num_trials, self.options = folder, num_trials, options
        self.on_cluster, self.machine, self.process = on_cluster, None, None
        self.survivors = 0
        self.begin()

    def begin(self):
        """Begins what is not running."""
        if self.on_cluster and self.machine is None:
            self.machine = Cluster(Path(tempfile.mkdtemp(dir=self.folder)))
        if self.process is None:
            file = {"scheduler_file": str(self.machine.file)} if self.machine else {}
            workers = {} if file else {"workers": WORKERS}
            options = self.options | file | workers
            self.process = asking(self.folder / "search", self.num_trials, **options)

    def kill(self, what: str, rng: random.Random) -> bool:
        """Kills a part; whether it was there to be killed."""
        if what == "worker":
            return kill_worker(self.folder / "search" / "nasnet_search", rng)
        if what == "scheduler":
            self.machine.scheduler.kill()
            self.process.wait()  # it says that the scheduler is gone
            self.close_machine()
        else:
            family = [child.pid for child in psutil.Process(self.process.pid).children(True)]
            self.process.kill()
            self.process.wait()
            if what == "everything" and self.machine:
                self.close_machine()
            self.survivors += not all_gone(family)
        self.process = None
        self.begin()
        return True

    def close_machine(self):
        self.machine.close()
        self.machine = None

    def end(self):
        """Waits until the search has ended."""
        while self.process.wait():
            self.process = None
            self.begin()
        if self.machine:
            self.close_machine()


def kill_search(num_kills: int, on_cluster: bool, data: str | None, rng: random.Random) -> None:
    """Kills parts of searches, and prints what that did to their trials."""
    num_trials, options = (3, {"data": data}) if data else (60, {"steps": 10, "searcher": "random"})
    parts = ["worker"] * 5 + ["search", "search", "everything"] + ["scheduler"] * 2 * on_cluster
    kills, totals, survivors = Counter(), Counter(), 0
    while kills.total() < num_kills:
        with tempfile.TemporaryDirectory() as name:
            killed = Killed(Path(name), num_trials, on_cluster, **options)
            trials = Path(name) / "search" / "nasnet_search"
            wait_until(lambda trials=trials: any(trials.glob(f"trial_*/{HOLDER}")), 120)
            while kills.total() < num_kills and killed.process.poll() is None:
                time.sleep(rng.uniform(0, 20 if data else 3))
                part = rng.choice(parts)
                kills[part] += killed.process.poll() is None and killed.kill(part, rng)
            killed.end()
            survivors += killed.survivors
            totals += check(Path(name), num_trials, data)
        print(f"  {kills.total()} kills: {dict(totals)}", flush=True)
    where = "Dask" if on_cluster else "this machine's processes"
    print(f"{where}, {'real' if data else 'counting'} children: {dict(kills)}")
    print(f"  trials: {dict(totals)}; searches that left a process behind: {survivors}")


def check(folder: Path, num_trials: int, data: str | None) -> Counter:
    """What became of the trials of a search that was killed."""
    make = tuner if data else counting
    one = make(folder / "search", max_trials=num_trials)
    whole = None
    if data:
        whole = make(folder / "whole", max_trials=num_trials)
        whole.search(data, num_workers=WORKERS)
    told = Counter(ended=len({*one.oracle.end_order}), twice=0, wrong=0, lost=0, steps_again=0)
    told["twice"] = len(one.oracle.end_order) - told["ended"]
    for trial, values, reward in course(one):
        expected = (
            float(sum(values.values())) if whole is None else whole.oracle.trials[trial].score
        )
        is_given_up = (one.oracle.trials[trial].message or "").startswith("lost ")
        told["lost"] += is_given_up
        told["wrong"] += reward != expected and not is_given_up
        steps = [step for step, _ in steps_of(Path(one.get_trial_dir(trial)))]
        told["steps_again"] += len(steps) - len({*steps})
    return told
