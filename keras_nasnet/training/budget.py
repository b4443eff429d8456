"""How many epochs fit into the time there is."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import keras

from keras_nasnet.data.source import Source
from keras_nasnet.device import data_parallel
from keras_nasnet.training.dataset import make_batches
from keras_nasnet.training.job import Job, check_minutes
from keras_nasnet.training.linear import ROUNDS
from keras_nasnet.training.trainer import compile_model, make_model

TIMED_STEPS = 3  # after the first one, which compiles
FILES_S = 1.0  # of an epoch, for checkpoint, log, curves and model


@dataclass(frozen=True, slots=True)
class Pace:
    """What training takes, in seconds.

    Args:
        start_s: for building and compiling.
        step_s: for a training step.
        epoch_s: for an epoch, validated and written.
        features_s: for the linear classifier before the first step, 0 without.
    """

    start_s: float
    step_s: float
    epoch_s: float
    features_s: float = 0.0


def fit_within(job: Job, data: tuple[Source, Source], minutes: float) -> Job:
    """The same job with no more epochs than fit into the given time, compiling included.

    A few steps are taken to measure how long they are; their result is not used.

    Args:
        job: `Job`.
        data: training and validation `Source`.
        minutes: float > 0, from this call to the end of training.

    Returns:
        `Job`, whose `choices` has the reason if epochs were cut.

    Raises:
        ValueError: if not even one epoch fits, or `minutes` is not a number above 0.
    """
    check_minutes(minutes)
    start = time.monotonic()
    pace = measure_pace(job, data)
    return cut_epochs(job, pace, minutes, time.monotonic() - start)


def cut_epochs(job: Job, pace: Pace, minutes: float, spent_s: float = 0.0) -> Job:
    """`fit_within` for a known pace.

    Args:
        job, minutes: as in `fit_within`.
        pace: `Pace`.
        spent_s: float, seconds of the time that are gone.
    """
    left_s = 60 * minutes - spent_s - pace.start_s - pace.features_s
    epochs = int(left_s / pace.epoch_s)
    planned = job.recipe.epochs
    if epochs >= planned:
        return job
    if epochs < 1:
        least = (60 * minutes - left_s + pace.epoch_s) / 60
        raise ValueError(
            f"minutes: wanted at least {least:.1f}, which one epoch takes with all that is before "
            f"it; got {minutes:g}"
        )
    reason = f"{planned} cut to fit {minutes:g} minutes, {pace.step_s:.2g} s per step"
    patience = min(job.recipe.patience, epochs)
    return replace(
        job,
        recipe=replace(job.recipe, epochs=epochs, patience=patience),
        choices={**job.choices, "epochs": reason},
    )


def measure_pace(job: Job, data: tuple[Source, Source]) -> Pace:
    """Takes a few steps, each with its images read, and drops what they trained."""
    start = time.monotonic()
    batches, held_out = make_batches(job, data)
    with data_parallel(job.devices):
        model = make_model(job, len(data[0].class_names), job.recipe.epochs * len(batches))
        compile_model(model, job.recipe, len(batches))
        model.train_on_batch(*batches.batch(0))
        model.test_on_batch(*held_out[0])
        start_s = time.monotonic() - start
        step_s = _timed(lambda step: model.train_on_batch(*batches.batch(step + 1)))
        test_s = _timed(lambda step: model.test_on_batch(*held_out[step % len(held_out)]))
    keras.utils.clear_session()
    passes = (1 + ROUNDS) * len(batches) + len(held_out) if job.recipe.linear_head else 0
    epoch_s = step_s * len(batches) + test_s * len(held_out) + FILES_S
    return Pace(start_s, step_s, epoch_s, test_s * passes)


def _timed(take: Callable[[int], object]) -> float:
    start = time.monotonic()
    for step in range(TIMED_STEPS):
        take(step)
    return (time.monotonic() - start) / TIMED_STEPS
