"""Searches that take no time."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from keras_nasnet.search import NASNetTuner, SearchSpace
from keras_nasnet.training.recipes import recipe
from support import TESTS
from support.works import Counting

SPACE = SearchSpace(1, ["identity", "max_pool_3x3", "conv_1x1"], ["add"])


SMALL = {
    "max_trials": 2,
    "num_cells": 1,
    "filters": 2,
    "recipe": recipe("search-child", epochs=2, batch_size=256, augmentation=()),
}


def tuner(folder, **options):
    return NASNetTuner(SPACE, "random", directory=folder, seed=1, **SMALL | options)


def at_once(folder, max_trials=60):
    """A search whose rewards are known at once, and whose trials are listed in a file."""

    class AtOnce(NASNetTuner):
        def run_trial(self, trial):
            with (Path(self.project_dir) / "runs.txt").open("a") as file:
                file.write(f"{trial.trial_id}\n")
            return float(sum(trial.hyperparameters.values.values()))

    return AtOnce(SPACE, directory=folder, max_trials=max_trials)


def here():
    """An executor in this process."""
    return ThreadPoolExecutor(1)


def counting(folder, max_trials=60, *, steps=1, step_s=0.0, searcher="random"):
    """A search of children that only count, whose processes start without Keras."""

    class CountingTuner(NASNetTuner):
        def child_of(self, trial):
            reward = float(sum(trial.hyperparameters.values.values()))
            return Counting(reward, steps, step_s)

    return CountingTuner(SPACE, searcher, directory=folder, max_trials=max_trials)


SEARCH = """
import json, sys
from contextlib import nullcontext
from support.searches import counting, tuner
from keras_nasnet.search.cluster import cluster
folder, trials, options = json.loads(sys.argv[1])
file, workers, data = (options.pop(name, None) for name in ("scheduler_file", "workers", "data"))
with cluster(scheduler_file=file) if file else nullcontext() as executor:
    make = tuner if data else counting
    one = make(folder, max_trials=trials, **options)
    one.search(data, executor=executor, num_workers=workers)
"""


def asking(folder, trials, **options):
    """A process that searches: with children that count, or with `data` to train real ones on."""
    if "data" not in options:
        options = {"step_s": 0.1, "searcher": "controller"} | options
    command = [sys.executable, "-c", SEARCH, json.dumps([str(folder), trials, options])]
    paths = os.pathsep.join((TESTS, os.environ.get("PYTHONPATH", "")))
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, env=os.environ | {"PYTHONPATH": paths}
    )


def course(tuner):
    """Trials in the order they began, with their values and what the searcher was told."""
    oracle = tuner.oracle
    return [
        (key, oracle.trials[key].hyperparameters.values, oracle.searcher.rewards[key])
        for key in oracle.start_order
    ]
