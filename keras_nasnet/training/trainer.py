"""Training with a recipe and plain `model.fit`, in a folder from which it can resume."""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_nasnet.atomic import NotWrittenError, replace_file, replace_text
from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.data.batches import Batches, Normalization, measure
from keras_nasnet.data.source import Source
from keras_nasnet.device import data_parallel
from keras_nasnet.factory import build_model
from keras_nasnet.layers.network import CLASSIFIER, TRAINING_STEP, unfreeze
from keras_nasnet.lock import FolderLock, locked
from keras_nasnet.training.callback import (
    CHECKPOINT,
    LOG,
    TENSORBOARD,
    Rate,
    RunCallback,
    stopped_by_signals,
)
from keras_nasnet.training.checkpoint import load_checkpoint
from keras_nasnet.training.dataset import make_batches
from keras_nasnet.training.job import CONFIG, MODEL, Job, read_config
from keras_nasnet.training.linear import start_linear
from keras_nasnet.training.log import Log
from keras_nasnet.training.recipes import Recipe


def train(
    job: Job,
    data: tuple[Source, Source],
    run: str | PathLike[str],
    *,
    resume: bool = False,
    epochs: int | None = None,
    checkpoint_s: float = 300.0,
    verbose: str | int = "auto",
    say: Callable[[str], object] = print,
) -> keras.Model:
    """Trains a classifier and writes a run folder.

    The folder holds `config.json`; `log.csv`, TensorBoard logs and `curves.png`, with one row or
    point per epoch; `checkpoint.npz`, from which the run resumes as if it had never stopped;
    `model.keras`, from the epoch with the best validation accuracy, or loss by the recipe, or from
    the last; with `linear_head`, the linear classifier where no epoch was better. Files are
    replaced atomically. The folder is locked while training, see `keras_nasnet.lock.locked`.

    Args:
        job: `Job`.
        data: training and validation `Source`.
        run: path of the folder, which is created.
        resume: bool, default False. Whether to resume from the folder's checkpoint; from the start
            if there is none yet.
        epochs: int >= 1, how many of the recipe's epochs to take before the run is left to be
            resumed; all by default.
        checkpoint_s: float, seconds between checkpoints within an epoch; each epoch ends with one.
        verbose: as in `keras.Model.fit`. Default `"auto"`, a progress bar; 2 for a line per epoch,
            and one per minute in between.
        say: called with each line of text for the user. Default `print`.

    Returns:
        The trained `keras.Model`.

    Raises:
        ValueError: if the job does not match the data or the devices.
        FloatingPointError: if the loss is not finite.
        StoppedError: if the process got SIGINT or SIGTERM.
        FolderInUseError: if another process is using the folder, or has taken it over.
        NotWrittenError: if a file cannot be written; the message says how to resume.
    """
    if job.recipe.batch_size % job.devices:
        raise ValueError(
            f"batch_size: wanted a multiple of the {job.devices} devices, "
            f"got {job.recipe.batch_size}"
        )
    folder = Path(run)
    with locked(folder) as lock:
        return _train(job, data, folder, lock, resume, epochs, checkpoint_s, verbose, say)


def _train(
    job: Job,
    data: tuple[Source, Source],
    run: Path,
    lock: FolderLock,
    resume: bool,
    epochs: int | None,
    checkpoint_s: float,
    verbose: str | int,
    say: Callable[[str], object],
) -> keras.Model:
    training, _ = data
    last_epoch = job.recipe.epochs if epochs is None else epochs
    keras.utils.set_random_seed(job.seed)
    normalization = normalization_of(job, training, run, resume)
    batches, held_out = make_batches(job, data, normalization)
    with data_parallel(job.devices):
        model = make_model(job, len(training.class_names), job.recipe.epochs * len(batches))
        compile_model(model, job.recipe, len(batches))
        step = 0
        metrics: list[np.ndarray] = []
        if resume and (run / CHECKPOINT).exists():
            step, metrics = load_checkpoint(model, run / CHECKPOINT)
            say(f"resuming from step {step:,}")
            linear = read_config(run).get("linear")
        else:
            _reset_training_step(model)
            linear = start_linear(model, job, training, held_out, say)
            write_config(job, training.class_names, normalization, linear, run)
            if linear is not None:
                replace_file(run / MODEL, model.save)
        log = Log(run, LOG, TENSORBOARD, step // len(batches))
        callback = RunCallback(
            run,
            lock,
            log,
            learning_rate(job.recipe, len(batches)),
            steps_per_epoch=len(batches),
            total_steps=last_epoch * len(batches),
            step=step,
            metrics=metrics,
            patience=job.recipe.patience,
            best_by=job.recipe.best_by,
            num_validation=len(held_out.source),
            linear=linear,
            checkpoint_s=checkpoint_s,
            say=say,
        )
        try:
            with closing(log), stopped_by_signals(callback), frozen_heap():
                _fit(model, job.recipe, last_epoch, batches, held_out, callback, verbose)
        except NotWrittenError as error:
            raise NotWrittenError(
                f"{error}\nTo resume once it can be: keras-nasnet train --resume {run}"
            ) from error
    return model


def _fit(
    model: keras.Model,
    recipe: Recipe,
    last_epoch: int,
    batches: Batches,
    held_out: Batches,
    callback: RunCallback,
    verbose: str | int,
) -> None:
    """Fits the model from the callback's step to the end.

    An interrupted epoch gets its own `fit`, because all epochs of one `fit` have the same length.
    """
    callbacks = [callback, *([keras.callbacks.SwapEMAWeights()] if recipe.ema_momentum else [])]
    while not callback.is_done:
        epoch, within = divmod(callback.step, len(batches))
        model.fit(
            batches.stream(callback.step),
            shuffle=False,
            initial_epoch=epoch,
            epochs=epoch + 1 if within else last_epoch,
            steps_per_epoch=len(batches) - within,
            validation_data=held_out,
            callbacks=callbacks,
            verbose=verbose,
        )
        if not callback.is_done:
            # `fit` ends by replacing the weights by their moving averages.
            load_checkpoint(model, callback.folder / CHECKPOINT)


@contextmanager
def frozen_heap() -> Iterator[None]:
    """Keeps what exists so far out of garbage collection: tracing takes a sixth less time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def make_model(job: Job, classes: int, total_steps: int) -> keras.Model:
    """The model of a job, with the regularization of its recipe."""
    recipe = job.recipe
    published_as = next((name for name in MODELS if MODELS[name] == job.config), None)
    model = build_model(
        job.config,
        published_as,
        input_shape=(*job.size, 3),
        weights=job.weights,
        classes=classes,
        dropout_rate=recipe.dropout_rate,
        drop_path_rate=recipe.drop_path_rate,
        drop_path_steps=total_steps,
        drop_path_schedule=recipe.drop_path_schedule,
        auxiliary=recipe.auxiliary_weight,
        batch_norm_momentum=recipe.batch_norm_momentum,
    )
    if recipe.freeze_backbone:
        unfreeze(model, CLASSIFIER)
    elif recipe.unfreeze_from or recipe.freeze_normalization:
        from_layer = recipe.unfreeze_from or None
        unfreeze(model, from_layer, normalization=not recipe.freeze_normalization)
    if recipe.l2:
        for variable in model.trainable_variables:
            if variable.name.endswith("kernel"):
                variable.regularizer = keras.regularizers.L2(recipe.l2 / 2)
    return model


def compile_model(model: keras.Model, recipe: Recipe, steps_per_epoch: int) -> None:
    """Compiles a model with a recipe's optimizer, learning rates and loss.

    Labels must be one-hot.
    """
    settings: dict[str, Any] = {
        "learning_rate": learning_rate(recipe, steps_per_epoch),
        "momentum": recipe.momentum,
        "global_clipnorm": recipe.clip_norm,
    }
    if recipe.ema_momentum:
        settings |= {"use_ema": True, "ema_momentum": recipe.ema_momentum}
    if recipe.optimizer == "sgd":
        optimizer = keras.optimizers.SGD(**settings)
    else:
        optimizer = keras.optimizers.RMSprop(rho=0.9, epsilon=1.0, **settings)
    loss = keras.losses.CategoricalCrossentropy(label_smoothing=recipe.label_smoothing)
    if recipe.class_weights:
        model.compile(optimizer, loss, weighted_metrics=["accuracy"])
    else:
        model.compile(optimizer, loss, metrics=["accuracy"])
    # Variables made within the train function would have TensorFlow trace it a second time.
    optimizer.build(model.trainable_variables)
    labels = keras.ops.zeros((1, model.output_shape[-1]))
    model.compute_metrics(None, labels, labels)
    model.reset_metrics()


def learning_rate(recipe: Recipe, steps_per_epoch: int) -> Rate:
    """The learning rate of a recipe: a schedule, or a float if constant."""
    initial = recipe.scaled_learning_rate
    if recipe.schedule == "cosine":
        total_steps = recipe.epochs * steps_per_epoch
        return keras.optimizers.schedules.CosineDecay(initial, total_steps)
    if recipe.schedule == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(
            initial, max(1, round(2.4 * steps_per_epoch)), 0.97, staircase=True
        )
    return initial


def normalization_of(job: Job, training: Source, run: Path, resume: bool) -> Normalization | None:
    """Mean and deviation of the training images, those stored in a resumed run, or None."""
    if not resume:
        return measure(training, job.size) if job.recipe.whiten else None
    config = read_config(run, ("class_names", "normalization"))
    if config["class_names"] != training.class_names:
        raise ValueError(f"the classes of the data differ from those of the run {run}")
    return config["normalization"]


def write_config(
    job: Job,
    class_names: list[str],
    normalization: Normalization | None,
    linear: dict[str, float] | None,
    run: Path,
) -> None:
    """Writes a run's `config.json`."""
    run.mkdir(parents=True, exist_ok=True)
    config = job.to_dict() | {"class_names": class_names, "normalization": normalization}
    if linear is not None:
        config["linear"] = linear
    replace_text(run / CONFIG, json.dumps(config, indent=2))


def _reset_training_step(model: keras.Model) -> None:
    """Sets the step to 0, wherever the weights came from."""
    for layer in model.layers:
        if layer.name == TRAINING_STEP:
            layer.step.assign(0)
