"""Fine-tuning to few images: `keras-nasnet train` beside what a good user of Keras writes.

`backbone`: a small NASNet-A is trained on six classes of CIFAR-10 and kept in `--folder`.
`measure`: it is fine-tuned to the other four with 20, 50 and 500 images a class, and with classes
of 500 to 50 images, as `ours` and as `plain` do it, and tested on these classes' test images; the
accuracy is the mean of those of the classes. With seeds from 100 on, which settings are chosen by,
it is tested on training images that were not drawn. Each run is a row of `--folder`'s
`results.csv`; those that are there are not repeated, and several processes can share it.
`table`: means and spread of the rows.

A fifth of the images is for validation, the same for both. `plain` trains for at least as many
seconds of processor time as `ours` took from its first line to its last, so that what else the
machine does gives neither an advantage, and for 45 at least, as two compilations take 15 of them;
then, up to half as many more, until its early stopping.

    KERAS_BACKEND=tensorflow python benchmarks/finetune.py backbone cifar10/ --folder finetune
    KERAS_BACKEND=tensorflow python benchmarks/finetune.py measure cifar10/ --folder finetune
    ... measure cifar10/ --folder finetune --seeds 100 --set augmentation=pad_crop,flip,mixup
"""

import argparse
import csv
import statistics
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from keras import layers

from keras_nasnet.cells.catalog import NASNET_A, network_of
from keras_nasnet.cli.arguments import add_set, recipe_of
from keras_nasnet.data import Batches
from keras_nasnet.data.source import VALIDATION_SHARE, Source, open_data
from keras_nasnet.training import Job, choose, recipe, train

KNOWN, NEW = range(6), range(6, 10)
CONFIG = network_of(NASNET_A, "cifar", num_cells=1, penultimate_filters=192)
SIZE = (32, 32)
SETTINGS = {
    "20": (20, 20, 20, 20),
    "50": (50, 50, 50, 50),
    "500": (500, 500, 500, 500),
    "500 to 50": (500, 230, 110, 50),
}
COLUMNS = ("setting", "seed", "method", "accuracy", "processor_s", "wall_s", "note")
LEAST_S = 45.0
DEVELOPMENT = 100  # the first seed
JUDGING = 1_000  # images of each class that development is tested on
RATES = 1e-2, 1e-4  # of plain's phases: not tuned beyond a look at seed 100


def classes_of(source: Source, labels) -> Source:
    """The images of some classes only, with labels from 0."""
    some = source.take(np.isin(source.labels, labels))
    names = [source.class_names[label] for label in labels]
    return Source(some.items, np.searchsorted(labels, some.labels), names, some.open_item)


def drawn(source: Source, counts, seed: int) -> tuple[Source, Source]:
    """As many images of each class, and the others."""
    rng = np.random.default_rng(seed)
    mask = np.zeros(len(source), bool)
    for label, count in enumerate(counts):
        mask[rng.permutation(np.flatnonzero(source.labels == label))[:count]] = True
    return source.take(mask), source.take(~mask)


def arrays(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """All images, -1 to 1, and their labels."""
    batches = Batches(source, SIZE, 256)
    images, labels = zip(*(batches[i] for i in range(len(batches))), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def backbone(data, folder: Path, epochs: int) -> None:
    run = folder / "backbone"
    changes = {"epochs": epochs, "whiten": False}
    job = Job(CONFIG, recipe("search-child", **changes), "cifar10", SIZE)
    train(job, [classes_of(source, KNOWN) for source in data], run, resume=run.exists(), verbose=2)


def ours(data, weights: str, seed: int, changes, run: Path) -> tuple[keras.Model, str]:
    """What `keras-nasnet train --data ... --weights ... --set ...` does."""
    job = Job(CONFIG, recipe_of("finetune", changes), "arrays", SIZE, seed, weights)
    job = choose(job, data, given=[change.partition("=")[0] for change in changes])
    said = []
    train(job, data, run, verbose=0, say=said.append)
    return keras.saving.load_model(run / "model.keras", compile=False), said[-1]


class Until(keras.callbacks.EarlyStopping):
    """Early stopping with the best weights, not before a moment and not after another.

    Moments are processor time.
    """

    def __init__(self, earliest: float, latest: float) -> None:
        super().__init__("val_loss", patience=10, restore_best_weights=True)
        self.earliest, self.latest = earliest, latest

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        now = time.process_time()
        if now < self.earliest:
            self.model.stop_training = False
        elif now >= self.latest:
            self.model.stop_training = True


def plain(data, weights: str, seed: int, seconds: float, rates=RATES):
    """As in Keras's guide to transfer learning, with early stopping and class weights."""
    start = time.process_time()
    keras.utils.set_random_seed(seed)
    (images, labels), held_out = map(arrays, data)
    counts = np.bincount(labels)
    class_weight = dict(enumerate(len(labels) / len(counts) / counts))

    pretrained = keras.saving.load_model(weights, compile=False)
    base = keras.Model(pretrained.input, pretrained.get_layer("average_pool").output)
    base.trainable = False
    inputs = keras.Input((*SIZE, 3))
    x = layers.RandomFlip("horizontal")(inputs)
    x = layers.RandomTranslation(0.1, 0.1)(x)
    x = base(x, training=False)
    x = layers.Dropout(0.2)(x)
    model = keras.Model(inputs, layers.Dense(len(counts), activation="softmax")(x))

    def fit(rate, earliest, latest):
        model.compile(
            keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"]
        )
        model.fit(
            images,
            labels,
            batch_size=32,
            epochs=10_000,
            validation_data=held_out,
            class_weight=class_weight,
            callbacks=[Until(earliest, latest)],
            verbose=0,
        )

    fit(rates[0], 0, start + seconds / 2)
    base.trainable = True
    fit(rates[1], start + seconds, start + 1.5 * seconds)
    return model


def macro_accuracy(model: keras.Model, images: np.ndarray, labels: np.ndarray) -> float:
    found = model.predict(images, batch_size=256, verbose=0).argmax(-1)
    return float(np.mean([np.mean(found[labels == label] == label) for label in np.unique(labels)]))


def read(path: Path) -> list[dict]:
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def add(path: Path, row: dict) -> None:
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if is_new:
            writer.writeheader()
        writer.writerow(row)
    print(row, flush=True)


def measure(data, folder: Path, options) -> None:
    """Runs what is not yet in the results."""
    path = folder / "results.csv"
    weights = str(folder / "backbone" / "model.keras")
    training, test = (classes_of(source, NEW) for source in data)
    test = arrays(test)
    methods = (" ".join(["ours", *options.set]),) if options.set else ("ours", "plain")
    for seed in options.seeds:
        for setting in options.settings:
            sample, others = drawn(training, SETTINGS[setting], seed)
            split = sample.split(VALIDATION_SHARE, seed)
            if seed >= DEVELOPMENT:
                judging, _ = drawn(others, [JUDGING] * len(NEW), seed)
                test = arrays(judging)
            seconds = None
            for method in methods:
                unit = {"setting": setting, "seed": str(seed), "method": method}
                done = [row for row in read(path) if unit.items() <= row.items()]
                if done:
                    seconds = float(done[0]["processor_s"])
                    continue
                keras.utils.clear_session()
                cpu, wall = time.process_time(), time.perf_counter()
                if method == "plain":
                    model, note = plain(split, weights, seed, max(seconds, LEAST_S)), ""
                else:
                    with tempfile.TemporaryDirectory() as run:
                        model, note = ours(split, weights, seed, options.set, Path(run) / "run")
                taken = time.process_time() - cpu, time.perf_counter() - wall
                seconds = taken[0]
                accuracy = macro_accuracy(model, *test)
                numbers = (f"{accuracy:.4f}", *(f"{each:.0f}" for each in taken))
                add(path, unit | dict(zip(COLUMNS[3:], (*numbers, note), strict=True)))


def table(folder: Path) -> None:
    rows = read(folder / "results.csv")
    print("| images a class | ours | plain | difference, by seed | processor s |")
    print("|---|---|---|---|---|")
    means = []
    for setting in SETTINGS:
        shares, times = (
            {
                method: {
                    row["seed"]: float(row[column])
                    for row in rows
                    if (row["setting"], row["method"]) == (setting, method)
                }
                for method in ("ours", "plain")
            }
            for column in ("accuracy", "processor_s")
        )
        both = sorted(shares["ours"].keys() & shares["plain"].keys())
        if not both:
            continue
        differences = [shares["ours"][seed] - shares["plain"][seed] for seed in both]
        means.append(statistics.mean(differences))
        cells = [
            f"{statistics.mean(values):.1%} ({min(values):.1%} to {max(values):.1%})"
            for values in ([shares[method][seed] for seed in both] for method in shares)
        ]
        taken = " / ".join(
            f"{statistics.mean(times[method][seed] for seed in both):.0f}" for method in times
        )
        apart = ", ".join(f"{100 * each:+.1f}" for each in differences)
        print(f"| {setting} | {' | '.join(cells)} | {100 * means[-1]:+.1f} ({apart}) | {taken} |")
    if means:
        print(f"mean of the differences: {100 * statistics.mean(means):+.2f} points")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("backbone", "measure", "table"))
    parser.add_argument("data", nargs="?", help="as for `keras-nasnet train --data`")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=4, help="of the backbone")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--settings", nargs="+", default=list(SETTINGS), choices=SETTINGS)
    add_set(parser)
    options = parser.parse_args()
    if options.what == "backbone":
        backbone(open_data(options.data), options.folder, options.epochs)
    elif options.what == "measure":
        measure(open_data(options.data), options.folder, options)
    table(options.folder)


if __name__ == "__main__":
    main()
