"""The images of a run as batches."""

from collections.abc import Collection
from typing import Any

import numpy as np

from keras_nasnet.data.batches import Batches, Normalization
from keras_nasnet.data.source import Source
from keras_nasnet.training.job import Job


def make_batches(
    job: Job, data: tuple[Source, Source], normalization: Normalization | None = None
) -> tuple[Batches, Batches]:
    """Batches to train on, shuffled and augmented, and to validate with, for `model.fit`.

    Args:
        job: `Job`.
        data: training and validation `Source`.
        normalization: as in `Batches`.

    Returns:
        Two `Batches` with one-hot labels, and with weights if the recipe has `class_weights`.
    """
    training, validation = data
    augmentation = job.recipe.augmentation
    batches = _batches(job, training, normalization, seed=job.seed, augmentation=augmentation)
    # Across several devices, the last batch must be a multiple of them too.
    whole = validation.first(len(validation) // job.devices * job.devices)
    return batches, _batches(job, whole, normalization)


def _batches(
    job: Job,
    source: Source,
    normalization: Normalization | None,
    seed: int | None = None,
    augmentation: Collection[str] = (),
) -> Batches:
    settings: dict[str, Any] = {"normalization": normalization, "one_hot": True}
    if seed is not None:
        settings["steps_per_epoch"] = job.recipe.steps_per_epoch
    if job.recipe.class_weights:
        counts = np.bincount(source.labels, minlength=len(source.class_names))
        settings["class_weights"] = len(source) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return Batches(
        source, job.size, job.recipe.batch_size, seed, augmentation=augmentation, **settings
    )
