"""Kills a run or a search at random moments with SIGKILL and resumes it each time.

Prints whether checkpoints could be loaded, and whether log and weights, or trials and rewards, are
identical to those of an uninterrupted one.

    KERAS_BACKEND=tensorflow python benchmarks/kills.py --kills 50
    KERAS_BACKEND=tensorflow python benchmarks/kills.py --search --kills 200
    KERAS_BACKEND=tensorflow python benchmarks/kills.py --engines --kills 100

With `--engines` workers, Dask's scheduler, the search's process and everything at once are killed,
on this machine's processes and on Dask, a tenth of them while real children train.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

TESTS = Path(__file__).parents[1] / "tests"
sys.path.insert(0, str(TESTS))

RUN = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from support.runs import job, run_of
run = Path(sys.argv[1])
arguments = dict(epochs={length}, ema_momentum=0.9, dropout_rate=0.2)
print("READY", flush=True)
run_of(job(**arguments), run, resume=(run / "config.json").exists(), checkpoint_s=0.5)
"""
SEARCH = """
import sys
sys.path.insert(0, {tests!r})
from support.searches import at_once, here
one = at_once(sys.argv[1], {length})
print("READY", flush=True)
one.search(executor=here())
"""


def start(code: str, folder: Path, length: int) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", code.format(tests=str(TESTS), length=length), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def killed(begin, num_kills: int, greatest_s: float):
    """Kills what `begin` starts, a few seconds at most after it is ready; yields on each kill."""
    rng = random.Random(0)
    for _ in range(num_kills):
        process = begin()
        process.stdout.readline()
        try:
            process.wait(rng.uniform(0, greatest_s))
            return  # it finished
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
        yield


def is_loadable(path: Path) -> bool:
    try:
        with np.load(path) as file:
            return all(file[name] is not None for name in file.files)
    except Exception:
        return False


def kill_run(folder: Path, options):
    whole, broken = folder / "whole", folder / "broken"
    begin = time.monotonic()
    start(RUN, whole, options.epochs).communicate()
    print(f"uninterrupted: {time.monotonic() - begin:.0f} s", flush=True)
    kills = loadable = checkpoints = 0
    for _ in killed(lambda: start(RUN, broken, options.epochs), options.kills, 25):
        kills += 1
        checkpoint = broken / "checkpoint.npz"
        if checkpoint.exists():
            checkpoints += 1
            loadable += is_loadable(checkpoint)
    start(RUN, broken, options.epochs).communicate()
    print(f"{kills} kills, {loadable} of {checkpoints} checkpoints loadable")
    print("same log:", (whole / "log.csv").read_text() == (broken / "log.csv").read_text())
    one, other = (np.load(run / "checkpoint.npz") for run in (whole, broken))
    names = [name for name in one.files if not name.startswith("metrics/")]
    same = all(np.array_equal(one[name], other[name]) for name in names)
    print("same weights, optimizer and random states:", same)


def kill_search(folder: Path, options):
    from support.searches import at_once, course

    whole, broken = folder / "whole", folder / "broken"
    begin = time.monotonic()
    start(SEARCH, whole, options.trials).communicate()
    print(f"uninterrupted: {time.monotonic() - begin:.0f} s", flush=True)
    kills = 0
    for _ in killed(lambda: start(SEARCH, broken, options.trials), options.kills, 1.0):
        kills += 1
        if not kills % 20:
            print(f"{kills} kills", flush=True)
    start(SEARCH, broken, options.trials).communicate()
    one, other = (at_once(search, options.trials) for search in (whole, broken))
    runs = (Path(other.project_dir) / "runs.txt").read_text().split()
    repeated = len(runs) - len(set(runs))
    print(f"{kills} kills, {len(other.oracle.end_order)} of {options.trials} trials ended")
    print(f"{repeated} trials were run again, because they were killed before they ended")
    print("same trials in the same order, with the same rewards:", course(one) == course(other))


def kill_engines(num_kills: int):
    from engines import kill_search as kill_part

    rng = random.Random(0)
    for on_cluster in (False, True):
        kill_part(num_kills // 2 - num_kills // 20, on_cluster, None, rng)
        kill_part(num_kills // 20, on_cluster, "digits", rng)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=200, help="epochs of the run")
    parser.add_argument("--search", action="store_true", help="kill a search that does not train")
    parser.add_argument(
        "--engines", action="store_true", help="kill what searches run on, and searches on it"
    )
    parser.add_argument("--trials", type=int, default=1000, help="trials of the search")
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.engines:
        return kill_engines(options.kills)
    with tempfile.TemporaryDirectory() as folder:
        (kill_search if options.search else kill_run)(Path(folder), options)


if __name__ == "__main__":
    main()
