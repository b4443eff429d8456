"""Searches for a cell on CIFAR-10 and trains it in a larger network.

    pip install 'keras_nasnet[tensorflow,data,search]'
    python examples/search_cifar10.py --trials 200 --workers 4

The paper's children (2 normal cells per stage, 32 filters, 20 epochs) take an hour of GPU each; the
defaults here are smaller. If killed, run it again to resume.
"""

import argparse

from keras_nasnet.cells import network_of
from keras_nasnet.data import open_data
from keras_nasnet.search import NASNetTuner, SearchSpace
from keras_nasnet.training import Job, recipe, train


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default="tfds:cifar10", help="default: %(default)s")
    parser.add_argument("--trials", type=int, default=100, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=2, help="per trial; default: %(default)s")
    parser.add_argument(
        "--filters", type=int, default=8, help="in a child's first stage; default: %(default)s"
    )
    parser.add_argument("--workers", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--out", default="cifar10_search", help="default: %(default)s")
    options = parser.parse_args()

    tuner = NASNetTuner(
        SearchSpace(num_blocks=5),
        searcher="controller",
        max_trials=options.trials,
        num_cells=1,
        filters=options.filters,
        recipe=recipe("search-child", epochs=options.epochs),
        directory=".",
        project_name=options.out,
    )
    tuner.search(options.data, num_workers=options.workers)
    best, *_ = tuner.train_finalists(options.data, count=3)

    larger = network_of(best, "cifar", num_cells=2)
    job = Job(larger, recipe("search-child"), options.data, (32, 32))
    train(job, open_data(options.data), f"{options.out}_larger")


if __name__ == "__main__":
    main()
