"""Peak memory of a training step with and without `remat`, and of a search with many children.

Each runs in its own process.

    KERAS_BACKEND=tensorflow python benchmarks/memory.py --models NASNetLarge --batch 4
    KERAS_BACKEND=tensorflow python benchmarks/memory.py --children 50
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np


def measure(name, batch, remat):
    """Prints this process's peak memory in GiB, and the seconds of a warm training step."""
    import keras

    import keras_nasnet

    model = getattr(keras_nasnet, name)(weights=None, remat=remat)
    # Not XLA, which takes many minutes to compile these networks; JAX has no other way.
    model.compile(
        "sgd", "sparse_categorical_crossentropy", jit_compile=keras.config.backend() == "jax"
    )
    images = np.zeros((batch, *model.input_shape[1:]), "float32")
    for _ in range(2):
        start = time.perf_counter()
        model.train_on_batch(images, np.zeros(batch, "int32"))
        seconds = time.perf_counter() - start
    print("MEASURED", peak_mib() / 2**10, seconds)


def peak_mib(who=resource.RUSAGE_SELF):
    return resource.getrusage(who).ru_maxrss / 2**10


def search(num_children):
    """Prints how the peak memory of a search grows while it trains children on the digits."""
    from keras_nasnet.search import NASNetTuner, SearchSpace
    from keras_nasnet.training.recipes import recipe

    class Measured(NASNetTuner):
        def _trial_ended(self, trial):
            super()._trial_ended(trial)
            peaks.append(peak_mib())

    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        tuner = Measured(
            SearchSpace(num_blocks=2),
            max_trials=num_children,
            num_cells=1,
            filters=4,
            recipe=recipe("search-child", epochs=1),
            directory=folder,
        )
        tuner.search("digits")
    failed = sum(trial.score is None for trial in tuner.oracle.trials.values())
    print(
        f"{len(peaks)} children, {failed} failed: the search's process grew by "
        f"{peaks[-1] - peaks[0]:.0f} MiB from the first to the last, to {peaks[-1]:.0f}; the "
        f"largest child process {peak_mib(resource.RUSAGE_CHILDREN):.0f} MiB"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["NASNetMobile", "NASNetLarge"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument(
        "--children", type=int, help="measure a search with this many children instead"
    )
    parser.add_argument("--alone", choices=["plain", "remat"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.alone:
        return measure(options.models[0], options.batch, options.alone == "remat")
    if options.children:
        return search(options.children)
    for name in options.models:
        for kind in ("plain", "remat"):
            command = [sys.executable, __file__, "--models", name, "--batch", str(options.batch)]
            command += ["--alone", kind]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            peak, seconds = map(float, output.split("MEASURED")[1].split())
            print(
                f"{name}, batch {options.batch}, {kind}: peak {peak:.2f} GiB, "
                f"{seconds:.1f} s per step",
                flush=True,
            )


if __name__ == "__main__":
    main()
