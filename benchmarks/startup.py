"""How long a user waits for NASNetLarge, compared with keras.applications, in fresh processes.

`build`: the model with random weights. `load`: from a weight file to the first prediction. Both
exclude imports; the two alternate.

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


def seconds(package: str, weights: str | None) -> float:
    code = TIMED.format(package=package, weights=weights)
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


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "large.h5"
        write_weights(path)
        for name, weights in (("build", None), ("load", str(path))):
            times = {package: [] for package in PACKAGES}
            for _ in range(options.rounds):
                for package in PACKAGES:
                    times[package].append(seconds(package, weights))
            ours, theirs = (statistics.median(times[package]) for package in PACKAGES)
            print(
                f"{name}: ours {ours:.1f} s, keras.applications {theirs:.1f} s, "
                f"ratio {ours / theirs:.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
