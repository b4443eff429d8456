"""Searches on a Dask cluster of this machine: one worker a core, with a dashboard.

    pip install 'keras_nasnet[tensorflow,cluster]' bokeh
    python examples/cluster/local.py --data digits --trials 20

The same by hand: `dask scheduler --scheduler-file cluster.json`, `dask worker --scheduler-file
cluster.json --nworkers 4 --nthreads 1`, `keras-nasnet search --scheduler-file cluster.json ...`.
"""

import argparse
import os

from distributed import Client, LocalCluster

from keras_nasnet.search import NASNetTuner


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--workers", type=int, help="default: one a core")
    parser.add_argument("--out", default="cluster_search", help="default: %(default)s")
    options = parser.parse_args()

    # A worker trains one child at a time, so it needs one thread for it, and TensorFlow one core.
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    with (
        LocalCluster(n_workers=options.workers, threads_per_worker=1) as cluster,
        Client(cluster) as client,
    ):
        print(f"dashboard: {cluster.dashboard_link}")
        tuner = NASNetTuner(max_trials=options.trials, directory=".", project_name=options.out)
        tuner.search(options.data, executor=client.get_executor(pure=False))
    tuner.results_summary()


if __name__ == "__main__":
    main()
