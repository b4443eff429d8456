"""Requests from several clients to the server in `examples/serving`: losses and latencies.

KERAS_BACKEND=tensorflow python benchmarks/serving.py --model NASNetMobile --requests 1000
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.server import load, server


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="NASNetMobile")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()

    import keras_nasnet

    model = getattr(keras_nasnet, options.model)(weights=None)
    with tempfile.TemporaryDirectory() as folder:
        path = keras_nasnet.export(model, Path(folder) / "1")
        with server(path) as url:
            start = time.perf_counter()
            times, lost = load(url, options.requests, options.clients)
            seconds = time.perf_counter() - start
    percentiles = ", ".join(
        f"{name} {1000 * value:.0f} ms"
        for name, value in zip(
            ("p50", "p90", "p99", "max"), np.percentile(times, [50, 90, 99, 100]), strict=True
        )
    )
    print(
        f"{options.model}: {options.requests} requests from {options.clients} clients, "
        f"{lost} lost, {len(times) / seconds:.1f} per second; {percentiles}"
    )


if __name__ == "__main__":
    main()
