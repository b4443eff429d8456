"""Settings of fine-tuning that are chosen from the data, each with its reason.

How far the numbers are measured is told in `benchmarks/results/training.md`.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np

from keras_nasnet.data.source import Source
from keras_nasnet.training.job import Job
from keras_nasnet.training.recipe_table import Choice

SMALL_SIDE = 64  # pixels: a random resized crop leaves too little of a smaller image
SAMPLED = 16  # images whose sizes are looked at
STEPS_PER_EPOCH = 4  # at least
MIN_EPOCHS, MAX_EPOCHS = 10, 30
IMAGES_SEEN = 3_200
FEW = 500  # images, with which a large learning rate undoes the linear classifier
AVERAGED = 5_000  # images: with fewer, epochs are short and their weights noisy
COARSE = 1_000  # validation images: their accuracy often calls an early epoch the best
CHANCE = 32  # validation images: with fewer their loss does too
UNEQUAL = 1.5  # times as many images in the largest class as in the smallest


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a data set before training.

    Args:
        counts: of the images to train on, for each class.
        side: the median of the shorter sides of images as they are stored or as they are trained
            on, whichever is smaller, in pixels.
        num_validation: int, of images to validate with.
        is_pretrained: bool. Whether training starts from weights.
        devices: int, of which the batch size has to be a multiple.
        epochs: int, if they are given, else None.
    """

    counts: tuple[int, ...]
    side: int
    num_validation: int
    is_pretrained: bool
    devices: int = 1
    epochs: int | None = None


def choose(job: Job, data: tuple[Source, Source], given: Collection[str] = ()) -> Job:
    """The same job with its recipe fitted to the data.

    Args:
        job: `Job`, with the recipe `finetune`.
        data: training and validation `Source`.
        given: names of settings to leave as they are.

    Returns:
        `Job` whose `choices` has the reason of each setting that was chosen.
    """
    found = facts(job, data)
    if "epochs" in given:
        found = replace(found, epochs=job.recipe.epochs)
    chosen = {name: choice for name, choice in choices(found).items() if name not in given}
    return replace(
        job,
        recipe=replace(job.recipe, **{name: choice.value for name, choice in chosen.items()}),
        choices={name: choice.source for name, choice in chosen.items()},
    )


def facts(job: Job, data: tuple[Source, Source]) -> Facts:
    """Looks at the images to train on: counts all of them, opens some."""
    training, validation = data
    counts = np.bincount(training.labels, minlength=len(training.class_names))
    return Facts(
        tuple(counts.tolist()),
        median_side(training, min(job.size)),
        len(validation),
        job.weights is not None,
        job.devices,
    )


def median_side(source: Source, most: int) -> int:
    """The median of the shorter sides of some images, in pixels, or `most` if that is less."""
    some = np.linspace(0, len(source) - 1, min(SAMPLED, len(source))).astype(int)
    images = [image for index in some if (image := source.read(index, None)) is not None]
    sides = [min(image.shape[:2]) for image in images]
    return min(int(np.median(sides)), most) if sides else most


def choices(facts: Facts) -> dict[str, Choice]:
    """The settings for a data set, each with its reason."""
    images, smallest, largest = sum(facts.counts), min(facts.counts), max(facts.counts)
    chosen = {
        "batch_size": _batch_size(images, facts.devices),
        "augmentation": _augmentation(facts.side),
    }
    if facts.is_pretrained:
        chosen |= _of_pretrained(images, facts.epochs)
    if facts.num_validation < CHANCE:
        reason = f"{facts.num_validation} validation images find the best epoch by chance"
        chosen["best_by"] = Choice("last", reason)
    elif facts.num_validation < COARSE:
        chosen["best_by"] = Choice("loss", f"accuracy of {facts.num_validation} images is coarse")
    if largest > UNEQUAL * smallest:
        chosen["class_weights"] = Choice(True, f"classes of {smallest:,} to {largest:,} images")
    return chosen


def _batch_size(images: int, devices: int) -> Choice:
    fitting = 1 << max(0, (images // STEPS_PER_EPOCH).bit_length() - 1)
    value = max(8, min(32, fitting))
    value += -value % devices
    steps = max(1, images // value)
    return Choice(value, f"{images:,} images to train on: {steps:,} steps in an epoch")


def _augmentation(side: int) -> Choice:
    if side <= SMALL_SIDE:
        return Choice(("pad_crop", "flip"), f"images of {side} pixels: nothing large is cut off")
    return Choice(("resized_crop", "flip"), f"images of {side} pixels")


def _of_pretrained(images: int, given_epochs: int | None) -> dict[str, Choice]:
    epochs = max(MIN_EPOCHS, min(MAX_EPOCHS, round(IMAGES_SEEN / images)))
    patience = (given_epochs or epochs) // 2
    chosen = {}
    if images < FEW:
        chosen["learning_rate"] = Choice(0.005, f"only {images:,} images to train on")
    if images < AVERAGED:
        chosen["ema_momentum"] = Choice(0.95, "weights of short epochs are noisy: their average")
    return chosen | {
        "linear_head": Choice(True, "weights: the frozen network first, solved by scikit-learn"),
        "freeze_normalization": Choice(True, "weights: statistics of few images are noisy"),
        "epochs": Choice(epochs, f"{images:,} images to train on"),
        "patience": Choice(patience, "half of the epochs, as the learning rate falls to zero"),
    }
