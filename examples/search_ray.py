"""Searches for a cell on Ray: an executor of the few methods that a search calls.

    pip install 'keras_nasnet[tensorflow,search]' ray
    python examples/search_ray.py --data /shared/photos --trials 200 --gpus 1

Ray begins a child again when its node dies, as the search does when Ray gives up.
"""

import argparse
from concurrent.futures import Executor

import ray

from keras_nasnet.search import NASNetTuner


class RayExecutor(Executor):
    """Runs each call as a task of Ray's.

    Args:
        num_cpus, num_gpus: numbers for each task; Ray counts them, and has each task see its GPUs.
    """

    def __init__(self, num_cpus=1, num_gpus=0):
        self.options = {"num_cpus": num_cpus, "num_gpus": num_gpus, "max_retries": 2}

    def submit(self, function, /, *arguments, **named):
        # A process is used for some children only: a backend keeps what it has compiled.
        task = ray.remote(max_calls=20, **self.options)(function)
        return task.remote(*arguments, **named).future()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="digits", help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--at-once", type=int, default=2, help="trials; default: %(default)s")
    parser.add_argument("--gpus", type=float, default=0, help="per trial; default: %(default)s")
    parser.add_argument("--address", help="of a cluster; default: this machine")
    parser.add_argument("--out", default="ray_search", help="default: %(default)s")
    options = parser.parse_args()

    ray.init(options.address)
    tuner = NASNetTuner(max_trials=options.trials, directory=".", project_name=options.out)
    executor = RayExecutor(num_gpus=options.gpus)
    tuner.search(options.data, executor=executor, num_workers=options.at_once)
    tuner.results_summary()


if __name__ == "__main__":
    main()
