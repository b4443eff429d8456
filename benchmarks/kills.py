"""Kills one run at random moments with SIGKILL, resuming it each time.

Prints how many checkpoints could be loaded, and whether log and weights are those of the same run
left alone.

    KERAS_BACKEND=tensorflow python benchmarks/kills.py --kills 50
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

RUN = """
import sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from test_train import job, run_of
run = Path(sys.argv[1])
arguments = dict(epochs={epochs}, ema_momentum=0.9, dropout_rate=0.2)
print("READY", flush=True)
run_of(job(**arguments), run, resume=(run / "config.json").exists(), checkpoint_s=0.5)
"""


def start(run: Path, epochs: int) -> subprocess.Popen:
    code = RUN.format(tests=str(Path(__file__).parents[1] / "tests"), epochs=epochs)
    return subprocess.Popen(
        [sys.executable, "-c", code, str(run)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def is_loadable(path: Path) -> bool:
    try:
        with np.load(path) as file:
            return all(file[name] is not None for name in file.files)
    except Exception:
        return False


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=200)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        whole, broken = Path(folder) / "whole", Path(folder) / "broken"
        begin = time.monotonic()
        start(whole, options.epochs).communicate()
        print(f"left alone: {time.monotonic() - begin:.0f} s", flush=True)
        kills = loadable = checkpoints = 0
        while kills < options.kills:
            process = start(broken, options.epochs)
            process.stdout.readline()
            try:
                process.wait(rng.uniform(1, 25))
                break  # it came to its end
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
            kills += 1
            checkpoint = broken / "checkpoint.npz"
            if checkpoint.exists():
                checkpoints += 1
                loadable += is_loadable(checkpoint)
        start(broken, options.epochs).communicate()
        print(f"{kills} kills, {loadable} of {checkpoints} checkpoints loadable")
        print("same log:", (whole / "log.csv").read_text() == (broken / "log.csv").read_text())
        one, other = (np.load(run / "checkpoint.npz") for run in (whole, broken))
        names = [name for name in one.files if not name.startswith("metrics/")]
        same = all(np.array_equal(one[name], other[name]) for name in names)
        print("same weights, optimizer and random states:", same)


if __name__ == "__main__":
    main()
