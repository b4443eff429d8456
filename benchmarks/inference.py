"""Images a second beside keras.applications, same backend, in turn in one process, medians.

KERAS_BACKEND=tensorflow python benchmarks/inference.py --rounds 10
"""

import argparse
import gc
import statistics
import time

import keras
import numpy as np

import keras_nasnet

CASES = (("NASNetMobile", 224, (1, 16)), ("NASNetLarge", 331, (8,)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    print(f"Keras {keras.__version__} on {keras.config.backend()}")
    print("model         batch    ours  keras.applications  ratio   (images a second)")
    for name, size, batches in CASES:
        ours = getattr(keras_nasnet, name)(weights=None)
        theirs = getattr(keras.applications, name)(weights=None)
        for batch in batches:
            x = np.random.default_rng(0).uniform(-1, 1, (batch, size, size, 3)).astype("float32")
            times = {model: [] for model in (ours, theirs)}
            for model in times:
                model.predict_on_batch(x)
            # Which of the two goes first changes from round to round.
            for i in range(options.rounds):
                for model in (ours, theirs) if i % 2 else (theirs, ours):
                    start = time.perf_counter()
                    model.predict_on_batch(x)
                    times[model].append(time.perf_counter() - start)
            a, b = (batch / statistics.median(times[model]) for model in (ours, theirs))
            print(f"{name:13} {batch:5} {a:7.1f} {b:19.1f} {a / b:6.2f}", flush=True)
        del ours, theirs, times
        keras.utils.clear_session()
        gc.collect()


if __name__ == "__main__":
    main()
