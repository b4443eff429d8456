"""Training speed compared with keras.applications, and the cost of drop path and auxiliary head.

`mobile`: NASNetMobile at 224, batch 16, float32, alternately; peak memory in separate processes.
`child`: a CIFAR network with 2 cells per stage and 32 filters, batch 128, alone, with
ScheduledDropPath, and with the auxiliary head.

    KERAS_BACKEND=tensorflow python benchmarks/training.py --rounds 5
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import time

import numpy as np


def mobile(package):
    import keras

    import keras_nasnet

    source = keras_nasnet if package == "ours" else keras.applications
    return source.NASNetMobile(weights=None), (16, 224, 224, 3)


def child(**options):
    import keras_nasnet

    model = keras_nasnet.NASNet(
        keras_nasnet.NASNET_A, 2, 768, stem="cifar", classes=10, input_shape=(32, 32, 3), **options
    )
    return model, (128, 32, 32, 3)


CASES = {
    "mobile": {
        "keras.applications": lambda: mobile("theirs"),
        "ours": lambda: mobile("ours"),
    },
    "child": {
        "plain": child,
        "drop path": lambda: child(drop_path_rate=0.4, drop_path_steps=1000),
        "auxiliary head": lambda: child(auxiliary=True),
    },
}


def step_of(make):
    """A warmed-up function that takes one training step."""
    model, shape = make()
    model.compile("sgd", "sparse_categorical_crossentropy")
    rng = np.random.default_rng(0)
    images = rng.uniform(-1, 1, shape).astype("float32")
    labels = rng.integers(0, 10, shape[0])

    def step():
        model.train_on_batch(images, labels)

    step()
    step()
    return step, shape[0]


def peak_memory(case, name):
    """Peak memory in GiB of a process that takes only steps of one kind."""
    command = [sys.executable, __file__, "--alone", case, name]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(output.split("PEAK")[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--alone", nargs=2, metavar=("CASE", "NAME"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.alone:
        case, name = options.alone
        step, _ = step_of(CASES[case][name])
        step()
        print("PEAK", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
        return
    for case in options.cases:
        kinds = CASES[case]
        steps = {name: step_of(make) for name, make in kinds.items()}
        times = {name: [] for name in steps}
        for _ in range(options.rounds):
            for name, (step, _) in steps.items():
                start = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - start)
        first = next(iter(steps))
        medians = {name: statistics.median(times[name]) for name in steps}
        for name, (_, images) in steps.items():
            memory = peak_memory(case, name)
            print(
                f"{case}, {name}: {images / medians[name]:.1f} images/s, peak {memory:.2f} GiB, "
                f"{medians[first] / medians[name]:.2f} times the images of {first}",
                flush=True,
            )


if __name__ == "__main__":
    main()
