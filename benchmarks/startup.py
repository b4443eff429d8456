"""How long a user waits, in fresh processes that alternate, imports excluded.

`build`: NASNetLarge with random weights, and `load`: from a weight file to its first prediction,
both compared with keras.applications. `step`: compiling a search child (NASNet-A, 1 cell per stage,
8 filters, batch 32) and its first step by `fit`, as a run does it and by `compile` alone.

    KERAS_BACKEND=tensorflow python benchmarks/startup.py --rounds 5
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TIMED = """
import time
import numpy as np
import keras
import {package} as package
if "{package}" == "keras_nasnet":
    package.NASNetLarge, package.load_weights  # Keras has imported its own
keras.random.normal((1,))  # initializes the backend
start = time.perf_counter()
model = package.NASNetLarge(weights={weights!r})
if {weights!r}:
    model.predict(np.zeros((1, 331, 331, 3), "float32"), verbose=0)
print("SECONDS", time.perf_counter() - start)
"""
PACKAGES = ("keras_nasnet", "keras.applications")
CASES = ("build", "load", "step")
STEP = """
import time
import keras
import numpy as np
from keras_nasnet import NASNET_A
from keras_nasnet.cells.catalog import network_of
from keras_nasnet.training import trainer
from keras_nasnet.training.job import Job
from keras_nasnet.training.recipes import recipe
job = Job(
    network_of(NASNET_A, "cifar", num_cells=1, penultimate_filters=192),
    recipe("search-child", batch_size=32), "arrays", (32, 32), seed=0,
)
model = trainer.make_model(job, 10, 100)
images = np.zeros((32, 32, 32, 3), "float32")
labels = np.eye(10, dtype="float32")[np.arange(32) % 10]
start = time.perf_counter()
trainer.compile_model(model, job.recipe, 10)
if {plain}:
    optimizer = type(model.optimizer).from_config(model.optimizer.get_config())
    model.compile(optimizer, model.loss, metrics=["accuracy"])
    start = time.perf_counter()
model.fit(images, labels, batch_size=32, verbose=0)
print("SECONDS", time.perf_counter() - start)
"""


def seconds(code: str) -> float:
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return float(result.stdout.split("SECONDS")[1])


def write_weights(path: Path) -> None:
    """keras.applications' weights in the layout of the published file."""
    code = (
        "import h5py, keras\n"
        "from keras.src.legacy.saving.legacy_h5_format import save_weights_to_hdf5_group\n"
        "model = keras.applications.NASNetLarge(weights=None)\n"
        f"save_weights_to_hdf5_group(h5py.File({str(path)!r}, 'w'), model)\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def compare(case: str, codes: dict[str, str], rounds: int) -> None:
    """Prints the medians of two programs, ours first, and their ratio."""
    times: dict[str, list[float]] = {name: [] for name in codes}
    for _ in range(rounds):
        for name, code in codes.items():
            times[name].append(seconds(code))
    (ours, one), (theirs, other) = ((name, statistics.median(times[name])) for name in codes)
    print(
        f"{case}: {ours} {one:.1f} s, {theirs} {other:.1f} s, ratio {one / other:.2f}", flush=True
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=CASES, choices=CASES)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.h5"
        if "load" in options.cases:
            write_weights(path)
        for case in options.cases:
            if case == "step":
                codes = {"a run": STEP.format(plain=False), "compile": STEP.format(plain=True)}
            else:
                weights = str(path) if case == "load" else None
                codes = {name: TIMED.format(package=name, weights=weights) for name in PACKAGES}
            compare(case, codes, options.rounds)


if __name__ == "__main__":
    main()
