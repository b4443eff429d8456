"""Peak memory and time of a training step with and without `remat`, a process of each.

KERAS_BACKEND=tensorflow python benchmarks/memory.py --models NASNetLarge --batch 4
"""

import argparse
import os
import resource
import subprocess
import sys
import time

import numpy as np


def measure(name, batch, remat):
    """Prints the peak memory of this process in GiB, and the seconds of a warm training step."""
    import keras

    import keras_nasnet

    model = getattr(keras_nasnet, name)(weights=None, remat=remat)
    # Not XLA, which compiles these networks for many minutes; JAX has no other way.
    model.compile(
        "sgd", "sparse_categorical_crossentropy", jit_compile=keras.config.backend() == "jax"
    )
    images = np.zeros((batch, *model.input_shape[1:]), "float32")
    for _ in range(2):
        start = time.perf_counter()
        model.train_on_batch(images, np.zeros(batch, "int32"))
        seconds = time.perf_counter() - start
    print("MEASURED", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["NASNetMobile", "NASNetLarge"])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--alone", choices=["plain", "remat"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.alone:
        measure(options.models[0], options.batch, options.alone == "remat")
        return
    for name in options.models:
        for kind in ("plain", "remat"):
            command = [sys.executable, __file__, "--models", name, "--batch", str(options.batch)]
            command += ["--alone", kind]
            output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
            peak, seconds = map(float, output.split("MEASURED")[1].split())
            print(
                f"{name}, batch {options.batch}, {kind}: peak {peak:.2f} GiB, "
                f"{seconds:.1f} s a step",
                flush=True,
            )


if __name__ == "__main__":
    main()
