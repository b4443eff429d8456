"""Training steps of search children with and without oneDNN, alternately, one process each.

TensorFlow turns oneDNN on by itself only on newer CPUs. `ONEDNN_MAX_CPU_ISA=AVX2` limits it to the
kernels of older ones. `small`: 1 cell per stage, 8 filters, batch 32; `default`: 2 cells, 32
filters, batch 128; both NASNet-A at 32 x 32.

    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/onednn.py --rounds 10
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

from keras_nasnet.onednn import SWITCH

CHILDREN = {"small": (1, 8, 32), "default": (2, 32, 128)}  # cells, filters, batch
FILTERS_RATIO = 24  # of the last cell to the first stage: two reductions, six concatenated states


def take_steps(child):
    """Takes a step for each line of standard input and prints its seconds."""
    import numpy as np

    import keras_nasnet

    cells, filters, batch = CHILDREN[child]
    model = keras_nasnet.NASNet(
        keras_nasnet.NASNET_A, cells, FILTERS_RATIO * filters,
        stem="cifar", classes=10, input_shape=(32, 32, 3),
    )  # fmt: skip
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, (batch, 32, 32, 3)).astype("float32")
    labels = rng.integers(0, 10, batch)
    for _ in range(2):
        model.train_on_batch(images, labels)
    for _ in sys.stdin:
        start = time.perf_counter()
        model.train_on_batch(images, labels)
        print(time.perf_counter() - start, flush=True)


def start(child, switch):
    return subprocess.Popen(
        [sys.executable, __file__, "--child", child],
        env=os.environ
        | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3", SWITCH: switch},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def step(process):
    """Seconds of a step in a process."""
    print(file=process.stdin, flush=True)
    return float(process.stdout.readline())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--children", nargs="+", default=list(CHILDREN), choices=CHILDREN)
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        take_steps(options.child)
        return
    for child in options.children:
        processes = {switch: start(child, switch) for switch in "01"}
        for process in processes.values():
            step(process)  # once both are ready
        times = {switch: [] for switch in processes}
        for _ in range(options.rounds):
            for switch, process in processes.items():
                times[switch].append(step(process))
        for process in processes.values():
            process.communicate()
        off, on = (1000 * statistics.median(times[switch]) for switch in "01")
        print(f"{child}: {off:.0f} ms a step without oneDNN, {on:.0f} with it: {off / on:.2f}x")


if __name__ == "__main__":
    main()
