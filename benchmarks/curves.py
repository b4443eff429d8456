"""Records the curves of random cells, for `rungs.py` to replay searches on.

Trains random cells, and the published ones, once to the whole budget, as the smallest children of a
planned search, but with the same images in each epoch; and writes a row for each: its choices,
parameters, multiply-adds; after each epoch the training loss, with L2 and without, cross-entropy
and accuracy in validation, as a search has them and by weights that are not averaged; after the
last one the accuracy on other images, which no search ranks by. All of them are training images of
the data. It goes on where it stopped when it is run again.

    KERAS_BACKEND=tensorflow python benchmarks/curves.py --data cifar10
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from keras_nasnet.cells.catalog import GENOTYPES, NASNET_A
from keras_nasnet.data.source import open_data
from keras_nasnet.search.limits import Limits, size_of
from keras_nasnet.search.local import share
from keras_nasnet.search.scale import Scale
from keras_nasnet.search.searchers import RandomSearcher
from keras_nasnet.search.space import SearchSpace

SCALE = Scale((16, 16), 1, 8, 6_000, 64, 9, ("flip",))
VALIDATION, JUDGING = 3_000, 10_000  # images: to rank by, and to judge what was ranked
LIMIT = 1.2  # multiply-adds of random cells in NASNetMobile's place, as a multiple of its own
TABLE = Path(__file__).parent / "data" / "curves.csv"
# A column for each epoch.
CURVES = ("loss", "cross_entropy", "val_cross_entropy", "val_accuracy", "val_accuracy_of_last")


def cells(options):
    """Names, genotypes and choices: the published ones, which are not in the space; random ones."""
    for name, genotype in GENOTYPES.items():
        yield name, genotype, ()
    limit = LIMIT * Limits().size_of(NASNET_A)["mult_adds"]
    space = SearchSpace(limits=Limits(max_mult_adds=int(limit)))
    searcher = RandomSearcher(space, options.seed)
    for number in map(str, range(options.cells)):
        choices = tuple(searcher.ask(number).values())
        yield number, space.decode(choices), choices


def record(options):
    """Starts the processes, and waits until all is done or time is up."""
    end = time.monotonic() + 60 * options.minutes
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not options.out.exists():
        with options.out.open("w", newline="") as file:
            csv.writer(file).writerow(columns())
    with tempfile.TemporaryDirectory() as claims:
        workers = [started(place, options.processes, claims) for place in range(options.processes)]
        try:
            while workers and time.monotonic() < end:
                time.sleep(0.2)
                workers = [worker for worker in workers if worker.poll() is None]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    print(f"{options.out} has {len(names(options.out))} cells")


def started(place, count, claims):
    """A process on its share of the cores."""
    cores, environment = share(place, count)
    command = ["taskset", "--cpu-list", ",".join(map(str, cores))]
    command += [sys.executable, __file__, *sys.argv[1:], "--claims", claims]
    return subprocess.Popen(command, env=os.environ | environment)


def columns():
    curves = [f"{curve}_{epoch + 1}" for curve in CURVES for epoch in range(SCALE.epochs)]
    return ["cell", "choices", "parameters", "mult_adds", "seconds", "accuracy", *curves]


def names(path):
    """The cells that a table has."""
    with path.open(newline="") as file:
        return {row["cell"] for row in csv.DictReader(file)}


def work(options):
    """Trains one cell after another that no other process has claimed."""
    done, parts = names(options.out), None
    for name, genotype, choices in cells(options):
        if name in done or not claim(options.claims / name):
            continue
        parts = parts or list(deal_out(options.data))
        begin = time.monotonic()
        try:
            curves, accuracy = train(genotype, str(options.data), parts)
        except FloatingPointError as error:
            print(f"{name}: {error}", flush=True)
            continue
        seconds = time.monotonic() - begin
        row = [
            name,
            " ".join(map(str, choices)),
            *size_of(SCALE.config(genotype), SCALE.size).values(),
            f"{seconds:.1f}",
            f"{accuracy:.4f}",
            *(f"{row[curve]:.4f}" for curve in CURVES for row in curves),
        ]
        with options.out.open("a") as file:
            file.write(",".join(map(str, row)) + "\n")  # at once, beside the other processes
        print(f"{name}: {accuracy:.3f} after {seconds:.0f} s", flush=True)


def claim(path):
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


def deal_out(data, num_images=SCALE.num_images):
    """The training images: to train on, to validate with and to judge by."""
    source, _ = open_data(str(data))
    order = np.random.default_rng(0).permutation(len(source))
    ends = np.cumsum([num_images, VALIDATION, JUDGING])
    for indices in np.split(order, ends)[: len(ends)]:
        mask = np.zeros(len(source), bool)
        mask[indices] = True
        yield source.take(mask)


def train(genotype, data, parts, scale=SCALE, seed=0):
    """Trains a child.

    Returns:
        A list of dicts, the curves' values after each epoch, and the accuracy that it is judged by.
    """
    import keras

    from keras_nasnet.lock import locked
    from keras_nasnet.search.straight.run import Child, _graphs_as_traced
    from keras_nasnet.training.dataset import make_batches
    from keras_nasnet.training.recipes import recipe
    from keras_nasnet.training.trainer import normalization_of

    class Recording(Child):
        """Tells what of the loss is L2."""

        def __init__(self, *arguments):
            super().__init__(*arguments)
            self.l2, self.curves = [], []

        def penalty(self, weights):
            return self.job.recipe.l2 / 2 * float(self.trainer._trained.square(weights))

        def _train_on(self, *batch):
            self.l2.append(self.penalty(self.state.weights))
            super()._train_on(*batch)

        def _end_epoch(self, held_out, rate):
            super()._end_epoch(held_out, rate)
            row = self.rows[-1]
            self.curves.append(
                {
                    "loss": row["loss"],
                    "cross_entropy": row["loss"] - np.mean(self.l2),
                    "val_cross_entropy": row["val_loss"] - self.penalty(self.state.averages),
                    "val_accuracy": row["val_accuracy"],
                    "val_accuracy_of_last": self.accuracy(held_out, self.state.weights),
                }
            )
            self.l2.clear()

        def accuracy(self, batches, weights):
            pairs = map(batches.batch, range(len(batches)))
            tested = (self.trainer.test(weights, self.state.statistics, *pair) for pair in pairs)
            _, right, images = sum(tested)
            return float(right / images)

    training, validation, judging = parts
    job = scale.job(genotype, recipe("search-child"), data, seed)
    keras.utils.set_random_seed(job.seed)
    with tempfile.TemporaryDirectory() as folder, locked(Path(folder)) as lock:
        normalization = normalization_of(job, training, Path(folder), False)
        batches, held_out = make_batches(job, (training, validation), normalization)
        _, others = make_batches(job, (training, judging), normalization)
        child = Recording(job, len(training.class_names), len(batches), Path(folder), lock)
        with _graphs_as_traced():
            child.train(batches, held_out, job.recipe.epochs * len(batches), each_epoch=True)
            return child.curves, child.accuracy(others, child.state.averages)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="a folder of images")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--cells", type=int, default=100, help="random ones")
    parser.add_argument("--seed", type=int, default=100, help="of the cells")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--claims", type=Path, help=argparse.SUPPRESS)  # of a process
    options = parser.parse_args()
    (work if options.claims else record)(options)


if __name__ == "__main__":
    main()
