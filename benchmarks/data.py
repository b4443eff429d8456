"""Images read for training, a second, beside `keras.utils.image_dataset_from_directory`.

In turn in one process for each number of cores, files in the system's cache, medians of rounds.
Each round opens the data anew, which is not timed, and passes over it twice. Batches are shuffled;
ours are scaled from -1 to 1 too. Ours are read from `Batches.stream`, as `train` does.

`small`: a folder of images for each class, such as CIFAR-10 as JPEG files, at 32 x 32 in batches
of 128; augmented by pad_crop, flip and cutout, theirs by Keras's layers of the same effect.
`photos`: JPEG files of 500 x 375 at 224 x 224 in batches of 32; augmented by resized_crop and
flip, where theirs are flipped alone, of whole images. They are made of small ones, enlarged over
one another at strengths that fall with their scale as in natural images, with noise, so that a
file is about as large as one of ImageNet.

    KERAS_BACKEND=tensorflow python benchmarks/data.py cifar10/train --rounds 5
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

SMALL, PHOTOS = ("pad_crop", "flip", "cutout"), ("resized_crop", "flip")
NOISE = 9.0  # of a sensor, in photographs
CASES = {  # size, images in a batch, and augmentation
    "small": (32, 128, ()),
    "small, augmented": (32, 128, SMALL),
    "photos": (224, 32, ()),
    "photos, augmented": (224, 32, PHOTOS),
}


def write_photos(small, folder, number):
    """Writes photographs in two classes, made of small images."""
    rng = np.random.default_rng(0)
    files = sorted(small.glob("*/*"))
    for i in range(number):
        pixels = np.zeros((375, 500, 3))
        for scale in (1, 1 / 2, 1 / 4, 1 / 8, 1 / 16):
            across = round(1 / scale)
            tiles = [
                [np.asarray(Image.open(files[j]).convert("RGB")) for j in row]
                for row in rng.integers(0, len(files), (across, across))
            ]
            whole = Image.fromarray(np.concatenate([np.concatenate(row, 1) for row in tiles]))
            whole = whole.resize((500, 375), Image.Resampling.BICUBIC)
            pixels += scale * (np.asarray(whole) - 127.5)
        pixels += rng.normal(0, NOISE, pixels.shape)
        path = folder / "ab"[i % 2] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(np.clip(pixels * 0.6 + 127.5, 0, 255).astype("uint8"))
        image.save(path, quality=92)


def ours(folder, size, batch, augmentation):
    """A function of no arguments that iterates over a pass."""
    from keras_nasnet.data import Batches, Source
    from keras_nasnet.data.folder import ImageFolders

    by_class = ImageFolders(folder).images_by_class(folder)
    labels = np.repeat(np.arange(len(by_class)), [len(files) for files in by_class.values()])
    source = Source([path for files in by_class.values() for path in files], labels, [*by_class])
    batches = Batches(source, (size, size), batch, 0, augmentation=augmentation, one_hot=True)
    stream = iter(batches.stream())
    return lambda: itertools.islice(stream, len(batches))


def theirs(folder, size, batch, augmentation):
    import keras
    import tensorflow as tf
    from keras import layers

    dataset = keras.utils.image_dataset_from_directory(
        folder, label_mode="categorical", batch_size=batch, image_size=(size, size), verbose=False
    )
    kinds = {
        "pad_crop": lambda: layers.RandomTranslation(
            4.5 / size, 4.5 / size, fill_mode="constant", interpolation="nearest"
        ),
        "flip": lambda: layers.RandomFlip("horizontal"),
        "cutout": lambda: layers.RandomErasing((1.0, 1.0), (0.25, 0.25), fill_value=127.5),
    }
    made = [kinds[name]() for name in augmentation if name in kinds]

    def augment(images, labels):
        for layer in made:
            images = layer(images, training=True)
        return images, labels

    if made:
        dataset = dataset.map(augment, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.prefetch(tf.data.AUTOTUNE)
    return lambda: dataset


def rate(make):
    """Images a second of a pass."""
    start = time.perf_counter()
    images = sum(len(images) for images, _ in make())
    return images / (time.perf_counter() - start)


def measure(folders, cases, rounds):
    """Prints the rows of this process."""
    cores = len(os.sched_getaffinity(0))
    for case in cases:
        rates = {"ours": ([], []), "theirs": ([], [])}
        for i in range(rounds):
            # Which goes first changes from round to round.
            for way in (ours, theirs) if i % 2 else (theirs, ours):
                make = way(folders[case.partition(",")[0]], *CASES[case])
                for passes in rates[way.__name__]:
                    passes.append(rate(make))
        for i, which in enumerate(("first", "later")):
            mine, other = (statistics.median(rates[way][i]) for way in ("ours", "theirs"))
            print(
                f"| {case} | {cores} | {which} | {mine:,.0f} | {other:,.0f} | {mine / other:.2f} |",
                flush=True,
            )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("small", type=Path, help="folder with a folder of images for each class")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    parser.add_argument("--photos", type=int, default=1000, help="number of them to make")
    parser.add_argument("--cores", nargs="+", type=int, help="default: all, then one")
    parser.add_argument("--alone", type=Path, metavar="PHOTOS", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if options.alone:
        folders = {"small": options.small, "photos": options.alone}
        return measure(folders, options.cases, options.rounds)
    print("| images | cores | pass | ours, images/s | theirs | ratio |")
    print("|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if any(case.startswith("photos") for case in options.cases):
            write_photos(options.small, Path(folder), options.photos)
        allowed = sorted(os.sched_getaffinity(0))
        for cores in options.cores or sorted({len(allowed), 1}, reverse=True):
            # Before TensorFlow is imported, which takes a thread for each core that it has then.
            command = ["taskset", "-c", ",".join(map(str, allowed[:cores])), sys.executable]
            command += [__file__, str(options.small), "--rounds", str(options.rounds)]
            command += ["--alone", folder, "--cases", *options.cases]
            subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
