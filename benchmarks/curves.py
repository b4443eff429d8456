"""Records the curves of random cells, for `rungs.py` to replay searches on.

Trains random cells, and the published ones, once to the whole budget, as a search's children, and
writes a row for each: its choices, parameters, multiply-adds, and after each epoch the training
loss, with L2 and without, cross-entropy and accuracy in validation. It goes on where it stopped
when it is run again.

    KERAS_BACKEND=jax python benchmarks/curves.py --data cifar10 --processes 14 --minutes 8
"""

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

import numpy as np

from keras_nasnet.cells.catalog import GENOTYPES, NASNET_A, network_of
from keras_nasnet.cells.layout import output_width
from keras_nasnet.search.limits import Limits, size_of
from keras_nasnet.search.searchers import RandomSearcher
from keras_nasnet.search.space import SearchSpace

SIZE, FILTERS, BATCH, CLASSES = (16, 16), 8, 64, 10
LIMIT = 1.2  # multiply-adds of random cells in NASNetMobile's place, as a multiple of its own
TABLE = Path(__file__).parent / "data" / "curves.csv"
CURVES = {  # a column for each epoch, from `fit`'s history
    "loss": "loss",
    "cross_entropy": "categorical_crossentropy",
    "val_cross_entropy": "val_categorical_crossentropy",
    "val_accuracy": "val_accuracy",
}


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


def network(genotype):
    width = 4 * FILTERS * output_width(genotype.normal)
    return network_of(genotype, "cifar", num_cells=1, penultimate_filters=width)


def record(options):
    """Starts the processes, and others for those that crash, until all is done or time is up."""
    end = time.monotonic() + 60 * options.minutes
    options.out.parent.mkdir(parents=True, exist_ok=True)
    if not options.out.exists():
        with options.out.open("w", newline="") as file:
            csv.writer(file).writerow(columns(options.epochs))
    with tempfile.TemporaryDirectory() as claims:
        command = [sys.executable, __file__, *sys.argv[1:], "--claims", claims]
        workers = [subprocess.Popen(command) for _ in range(options.processes)]
        try:
            while workers and time.monotonic() < end:
                time.sleep(0.2)
                crashed = [worker for worker in workers if worker.poll()]
                workers = [worker for worker in workers if worker.poll() is None]
                workers += [subprocess.Popen(command) for _ in crashed]
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
    print(f"{options.out} has {len(names(options.out))} cells")


def columns(epochs):
    curves = [f"{curve}_{epoch + 1}" for curve in CURVES for epoch in range(epochs)]
    return ["cell", "choices", "parameters", "mult_adds", "seconds", *curves]


def names(path):
    """The cells that a table has."""
    with path.open(newline="") as file:
        return {row["cell"] for row in csv.DictReader(file)}


def work(options):
    """Trains one cell after another that no other process has claimed."""
    done, training = names(options.out), None
    for name, genotype, choices in cells(options):
        if name in done or not claim(options.claims / name):
            continue
        training = training or Training(options)  # after the claim: a crash costs a cell
        begin = time.monotonic()
        try:
            curves, epochs_s = training(genotype)
        except Exception:
            traceback.print_exc()
            continue
        seconds = time.monotonic() - begin
        row = [
            name,
            " ".join(map(str, choices)),
            *size_of(network(genotype), SIZE).values(),
            f"{seconds:.1f}",
        ]
        row += [f"{value:.4f}" for curve in curves for value in curve]
        with options.out.open("a") as file:
            file.write(",".join(map(str, row)) + "\n")  # at once, beside the other processes
        print(
            f"{name}: {curves[-1][-1]:.3f} after {seconds:.0f} s, epochs took "
            f"{' '.join(f'{each:.1f}' for each in epochs_s)} s",
            flush=True,
        )


def claim(path):
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


class Training:
    """Trains genotypes as a search's children, without their files. One for each process."""

    def __init__(self, options):
        from keras_nasnet.data.batches import Batches, measure
        from keras_nasnet.data.source import open_data
        from keras_nasnet.training.recipes import recipe

        self.options = options
        self.recipe = recipe("search-child", epochs=options.epochs, batch_size=BATCH)
        source, _ = open_data(str(options.data))
        order = np.random.default_rng(0).permutation(len(source))
        masks = np.zeros((2, len(source)), bool)
        masks[0, order[: options.images]] = True
        # Whole batches: one of another size is another program to compile.
        held_out = options.held_out // BATCH * BATCH
        masks[1, order[options.images : options.images + held_out]] = True
        self.source = source.take(masks[0])
        self.normalization = measure(self.source, SIZE)
        whole = Batches(
            source.take(masks[1]), SIZE, held_out, normalization=self.normalization, one_hot=True
        )
        self.held_out = whole[0]

    def __call__(self, genotype):
        """The curves, and the seconds of each epoch with its validation."""
        import keras

        from keras_nasnet.training.dataset import make_batches
        from keras_nasnet.training.job import Job
        from keras_nasnet.training.trainer import compile_model, make_model

        job = Job(network(genotype), self.recipe, str(self.options.data), SIZE, seed=0)
        keras.utils.clear_session()
        keras.utils.set_random_seed(job.seed)
        batches, _ = make_batches(job, (self.source, self.source), self.normalization)
        model = make_model(job, CLASSES, self.recipe.epochs * len(batches))
        compile_model(model, self.recipe, len(batches))
        model.compile(model.optimizer, model.loss, metrics=["accuracy", "categorical_crossentropy"])
        labels = keras.ops.zeros((1, CLASSES))  # as in `compile_model`: no second trace
        model.compute_metrics(None, labels, labels)
        model.reset_metrics()
        times = [time.monotonic()]
        history = model.fit(
            batches.stream(),
            shuffle=False,
            epochs=self.recipe.epochs,
            steps_per_epoch=len(batches),
            validation_data=self.held_out,
            validation_batch_size=BATCH,
            callbacks=[
                keras.callbacks.LambdaCallback(
                    on_epoch_end=lambda epoch, logs: times.append(time.monotonic())
                )
            ],
            verbose=0,
        ).history
        return [history[name] for name in CURVES.values()], np.diff(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True, type=Path, help="a folder of images")
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--cells", type=int, default=100, help="random ones")
    parser.add_argument("--seed", type=int, default=100, help="of the cells")
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--held-out", type=int, default=2000)
    parser.add_argument("--epochs", type=int, default=9)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--claims", type=Path, help=argparse.SUPPRESS)  # of a process
    options = parser.parse_args()
    (work if options.claims else record)(options)


if __name__ == "__main__":
    main()
