"""Accuracy gains of fine-tuning and ScheduledDropPath on a folder of small images.

`transfer`: a backbone trained on half of the classes and fine-tuned on the other half with 50
images per class, compared with the same network trained on those from scratch.
`drop-path`: the same network with and without ScheduledDropPath for equal steps, three seeds.

    KERAS_BACKEND=tensorflow python benchmarks/accuracy.py transfer cifar10/
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np

from keras_nasnet.cells.catalog import NASNET_A, network_of
from keras_nasnet.data.source import Source, open_data
from keras_nasnet.training.log import read_log
from keras_nasnet.training.recipes import recipe
from keras_nasnet.training.trainer import Job, train


def classes_of(source: Source, labels) -> Source:
    """The images of some classes only, with new labels from 0."""
    some = source.take(np.isin(source.labels, labels))
    names = [source.class_names[label] for label in labels]
    return Source(some.items, np.searchsorted(labels, some.labels), names, some.open_item)


def per_class(source: Source, count: int) -> Source:
    """The first images of every class."""
    mask = np.zeros(len(source), bool)
    for label in range(len(source.class_names)):
        mask[np.flatnonzero(source.labels == label)[:count]] = True
    return source.take(mask)


def repeated(source: Source, times: int) -> Source:
    """Every image several times, for epochs that are longer than the data set."""
    indices = np.tile(np.arange(len(source)), times)
    items = [source.items[i] for i in indices]
    return Source(items, source.labels[indices], source.class_names, source.open_item)


def accuracy(name, changes, data, folder: Path, filters=192, **job) -> float:
    """Accuracy on the second source at the end of a run."""
    config = network_of(NASNET_A, "cifar", num_cells=1, penultimate_filters=filters)
    job = Job(config, recipe(name, **changes), "arrays", (32, 32), **job)
    train(job, data, folder, verbose=0, say=lambda line: None)
    return read_log(folder / "log.csv")[-1]["val_accuracy"]


def transfer(data, folder: Path, epochs: int, weights: str | None) -> None:
    num_classes = len(data[0].class_names)
    known, new = np.split(np.arange(num_classes), [num_classes // 2])
    if weights is None:
        pretraining = [classes_of(source, known) for source in data]
        changes = {"epochs": epochs, "whiten": False}
        share = accuracy("search-child", changes, pretraining, folder / "pretrained")
        print(f"pretraining, {len(pretraining[0])} images of {len(known)} classes: {share:.2%}")
        weights = str(folder / "pretrained" / "model.keras")
    training, held_out = (classes_of(source, new) for source in data)
    data = repeated(per_class(training, 50), 10), held_out
    # Random resized crops leave too little of an image of 32 x 32.
    changes = {"epochs": 6, "batch_size": 32, "augmentation": ("pad_crop", "flip")}
    for label, name, options in (
        ("fine-tuned", "finetune", {"weights": weights}),
        ("from scratch, the same recipe", "finetune", {}),
        ("from scratch, search-child", "search-child", {}),
    ):
        share = accuracy(name, changes, data, folder / label, **options)
        print(f"{label}, 50 images of each of {len(new)} classes: {share:.2%}", flush=True)


def drop_path(data, folder: Path, epochs: int) -> None:
    data = repeated(per_class(data[0], 200), 4), per_class(data[1], 200)
    shares: dict[float, list[float]] = {0.0: [], 0.4: []}
    for seed in range(3):
        for rate, so_far in shares.items():
            changes = {"epochs": epochs, "drop_path_rate": rate}
            run = folder / f"{rate}-{seed}"
            so_far.append(accuracy("search-child", changes, data, run, 96, seed=seed))
            print(f"drop path {rate}, seed {seed}: {so_far[-1]:.2%}", flush=True)
    for rate, so_far in shares.items():
        print(f"drop path {rate}: mean of {len(so_far)} seeds {statistics.mean(so_far):.2%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", choices=("transfer", "drop-path"))
    parser.add_argument("data", help="as for `keras-nasnet train --data`")
    parser.add_argument(
        "--pretrained", metavar="FILE", help="weights from an earlier transfer, to reuse"
    )
    parser.add_argument("--epochs", type=int, help="default: 4 for pretraining, else 8")
    options = parser.parse_args()
    data = open_data(options.data)
    with tempfile.TemporaryDirectory() as folder:
        if options.experiment == "transfer":
            transfer(data, Path(folder), options.epochs or 4, options.pretrained)
        else:
            drop_path(data, Path(folder), options.epochs or 8)


if __name__ == "__main__":
    main()
