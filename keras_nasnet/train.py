"""Training by a recipe with plain `model.fit`, in a folder from which it can go on."""

import json
import math
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from keras_nasnet.atomic import replace_file
from keras_nasnet.catalog import MODELS
from keras_nasnet.checkpoint import load_checkpoint, save_checkpoint
from keras_nasnet.data import Batches, Source, measure
from keras_nasnet.device import data_parallel
from keras_nasnet.genotype import Genotype
from keras_nasnet.network import AUXILIARY, CLASSIFIER, TRAINING_STEP
from keras_nasnet.plan import NASNetConfig
from keras_nasnet.recipe import Recipe
from keras_nasnet.report import Log, draw_curves
from keras_nasnet.zoo import build_model

MODEL, CONFIG, CHECKPOINT = "model.keras", "config.json", "checkpoint.npz"
LOG, CURVES, TENSORBOARD = "log.csv", "curves.png", "tensorboard"
TIMED_STEPS = range(5, 15)  # after the first ones, which compile


@dataclass(frozen=True, slots=True)
class Job:
    """What is trained, on what, and how: all that a run needs to go on.

    Args:
        config: `NASNetConfig`.
        recipe: `Recipe`.
        data: str, what `open_data` takes, or a name for data from elsewhere.
        size: `(height, width)` of the images.
        seed: int, of the weights, the order and the augmentation.
        weights: as in `NASNet`, to start from.
        devices: int >= 1, over which batches are split.
    """

    config: NASNetConfig
    recipe: Recipe
    data: str
    size: tuple[int, int]
    seed: int = 0
    weights: str | None = None
    devices: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        values = {name: getattr(self, name) for name in self.__slots__}
        config = {name: getattr(self.config, name) for name in self.config.__slots__}
        config["genotype"] = self.config.genotype.to_dict()
        return values | {"config": config, "recipe": asdict(self.recipe)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Job":
        """The job that `to_dict` wrote.

        Raises:
            ValueError: if something is missing, unknown or out of range.
        """
        try:
            config = dict(values["config"])
            config["genotype"] = Genotype.from_dict(config["genotype"])
            recipe = dict(values["recipe"])
            recipe["augmentation"] = tuple(recipe["augmentation"])
            plain = {name: values[name] for name in ("data", "seed", "weights", "devices")}
            return cls(
                NASNetConfig(**config), Recipe(**recipe), size=tuple(values["size"]), **plain
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the description of a run: {error}") from error

    @classmethod
    def of_run(cls, run: Path) -> "Job":
        """The job of a run folder.

        Raises:
            ValueError: if it is no run folder.
        """
        try:
            return cls.from_dict(json.loads((run / CONFIG).read_text()))
        except (OSError, ValueError) as error:
            raise ValueError(f"{run} is no run folder: {error}") from error


class StoppedError(Exception):
    """Training was stopped by a signal; the message says how to go on."""


def train(
    job: Job,
    data: tuple[Source, Source],
    run,
    *,
    resume=False,
    checkpoint_s=300.0,
    say=print,
) -> keras.Model:
    """Trains a classifier and writes a run folder.

    The folder holds `config.json`; `log.csv`, TensorBoard's logs and `curves.png`, with a row or
    point an epoch; `checkpoint.npz`, from which the run goes on as if it had never stopped;
    `model.keras`, of the epoch with the best validation accuracy. Files are written beside and
    replaced.

    Args:
        job: `Job`.
        data: training and validation `Source`.
        run: path of the folder, which is made.
        resume: bool, default False. Whether to go on from the folder's checkpoint; from the start
            if there is none yet.
        checkpoint_s: float, seconds between checkpoints within an epoch; one ends each epoch.
        say: called with each line of text for the user. Default `print`.

    Returns:
        The trained `keras.Model`.

    Raises:
        ValueError: if job and data do not fit each other or the devices.
        FloatingPointError: if the loss is not finite.
        StoppedError: if the process got SIGINT or SIGTERM.
        OSError: if a file cannot be written.
    """
    run, recipe = Path(run), job.recipe
    training, validation = data
    if job.recipe.batch_size % job.devices:
        raise ValueError(
            f"batch_size: wanted a multiple of the {job.devices} devices, got {recipe.batch_size}"
        )
    keras.utils.set_random_seed(job.seed)
    normalization = _normalization(job, training, run, resume)
    settings = {"normalization": normalization, "one_hot": True}
    batches = Batches(
        training,
        job.size,
        recipe.batch_size,
        job.seed,
        augmentation=recipe.augmentation,
        **settings,
    )
    # Split over devices, the last batch too has to be a multiple of them.
    held_out = Batches(
        validation.first(len(validation) // job.devices * job.devices),
        job.size,
        recipe.batch_size,
        **settings,
    )
    steps_per_epoch, total_steps = len(batches), recipe.epochs * len(batches)
    with data_parallel(job.devices):
        model = make_model(job, len(training.class_names), total_steps)
        compile_model(model, recipe, steps_per_epoch)
    if not resume:
        _write_config(job, training.class_names, normalization, run)
    checkpoint = run / CHECKPOINT
    step, metrics = 0, []
    if resume and checkpoint.exists():
        step, metrics = load_checkpoint(model, checkpoint)
        say(f"going on from step {step:,} of {total_steps:,}")
    elif not resume:
        _reset_training_step(model)
    log = Log(run, LOG, TENSORBOARD, step // steps_per_epoch if resume else 0)

    while step < total_steps:
        epoch, within = divmod(step, steps_per_epoch)
        # An epoch that was broken off is a fit of its own: Keras's are all of one length.
        last_epoch = epoch + 1 if within else recipe.epochs
        if within:
            model.test_on_batch(*held_out[0])  # makes the metrics' variables
        callback = _Run(
            run,
            log,
            learning_rate(recipe, steps_per_epoch),
            step,
            total_steps,
            metrics if within else [],
            checkpoint_s,
            say,
        )
        callbacks = [callback]
        if recipe.ema_momentum:
            callbacks.append(keras.callbacks.SwapEMAWeights())
        with _stopped_by_signals(callback):
            model.fit(
                batches.stream(step),
                shuffle=False,
                initial_epoch=epoch,
                epochs=last_epoch,
                steps_per_epoch=steps_per_epoch - within,
                validation_data=held_out,
                callbacks=callbacks,
            )
        step = last_epoch * steps_per_epoch
        if step < total_steps:  # `fit` ends by putting moving averages in the weights' place
            load_checkpoint(model, checkpoint)
    return model


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
        for layer in model.layers:
            layer.trainable = layer.name in (CLASSIFIER, AUXILIARY)
    if recipe.l2:
        for variable in model.trainable_variables:
            if variable.name.endswith("kernel"):
                variable.regularizer = keras.regularizers.L2(recipe.l2 / 2)
    return model


def compile_model(model: keras.Model, recipe: Recipe, steps_per_epoch: int) -> None:
    """Compiles a model with the optimizer, learning rates and loss of a recipe.

    Labels are to be one-hot.
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
    model.compile(optimizer, loss, metrics=["accuracy"])


def learning_rate(recipe: Recipe, steps_per_epoch: int):
    """The learning rate of a recipe as a function of the step."""
    initial = recipe.scaled_learning_rate
    if recipe.schedule == "cosine":
        total_steps = recipe.epochs * steps_per_epoch
        return keras.optimizers.schedules.CosineDecay(initial, total_steps)
    if recipe.schedule == "exponential":
        return keras.optimizers.schedules.ExponentialDecay(
            initial, max(1, round(2.4 * steps_per_epoch)), 0.97, staircase=True
        )
    return keras.optimizers.schedules.ExponentialDecay(initial, 1, 1.0)


def _normalization(job: Job, training: Source, run: Path, resume: bool):
    """Means and deviations of the training images, those of the run if it goes on, or None."""
    if not resume:
        return measure(training, job.size) if job.recipe.whiten else None
    config = json.loads((run / CONFIG).read_text())
    if config["class_names"] != training.class_names:
        raise ValueError(f"the data has other classes than the run {run}")
    return config["normalization"]


def _write_config(job: Job, class_names, normalization, run: Path) -> None:
    run.mkdir(parents=True, exist_ok=True)
    config = job.to_dict() | {"class_names": class_names, "normalization": normalization}
    text = json.dumps(config, indent=2)
    replace_file(run / CONFIG, lambda beside: beside.write_text(text))


def _reset_training_step(model: keras.Model) -> None:
    """A run starts at step 0, whatever file its weights came from."""
    for layer in model.layers:
        if layer.name == TRAINING_STEP:
            layer.step.assign(0)


class _Run(keras.callbacks.Callback):
    """Logs, checkpoints and the best model of a run; stops it where it has to be stopped."""

    def __init__(self, run, log, learning_rate, step, total_steps, metrics, checkpoint_s, say):
        super().__init__()
        self.run, self.log, self.learning_rate, self.say = run, log, learning_rate, say
        self.step, self.total_steps, self.metrics = step, total_steps, metrics
        self.checkpoint_s = checkpoint_s
        self.checkpoint_step = step
        self.checkpoint_time = time.monotonic()
        self.first_step = step
        self.signal: signal.Signals | None = None

    def on_epoch_begin(self, epoch, logs=None):
        for variable, value in zip(self.model.metrics_variables, self.metrics, strict=False):
            variable.assign(value)
        self.metrics = []

    def on_train_batch_end(self, batch, logs=None):
        self.step += 1
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            self._diverged(f"the loss is {loss}")
        self._estimate()
        if self.signal is not None:
            self._checkpoint()
            raise StoppedError(
                f"stopped by {self.signal.name} at step {self.step:,} of {self.total_steps:,}; "
                f"to go on: keras-nasnet train --resume {self.run}"
            )
        if time.monotonic() - self.checkpoint_time >= self.checkpoint_s:
            self._checkpoint()

    def on_test_end(self, logs=None):
        # Before the moving averages, if any, are swapped back: this callback is the first.
        accuracy = (logs or {}).get("accuracy", 0.0)
        if accuracy > self.log.best("val_accuracy"):
            replace_file(self.run / MODEL, self.model.save)

    def on_epoch_end(self, epoch, logs=None):
        row = {"epoch": epoch, "step": self.step, "learning_rate": self._rates(1)[0]}
        self.log.add(row | (logs or {}))
        draw_curves(self.log.rows, self.run / CURVES)
        self._checkpoint()

    def _checkpoint(self):
        try:
            save_checkpoint(self.model, self.run / CHECKPOINT, self.step)
        except FloatingPointError as error:
            self._diverged(str(error))
        self.checkpoint_step, self.checkpoint_time = self.step, time.monotonic()

    def _diverged(self, what):
        rates = ", ".join(f"{rate:.4g}" for rate in self._rates(3))
        path = self.run / CHECKPOINT
        kept = f"{path} is of step {self.checkpoint_step:,}" if path.exists() else "none was kept"
        raise FloatingPointError(
            f"{what} at step {self.step:,}; the last learning rates were {rates}; "
            f"the last good checkpoint: {kept}"
        )

    def _rates(self, count):
        """Learning rates of the last steps."""
        steps = range(max(0, self.step - count), self.step)
        return [float(keras.ops.convert_to_numpy(self.learning_rate(step))) for step in steps]

    def _estimate(self):
        done = self.step - self.first_step
        if done == TIMED_STEPS.start:
            self.timed_since = time.monotonic()
        elif done == TIMED_STEPS.stop:
            step_s = (time.monotonic() - self.timed_since) / len(TIMED_STEPS)
            left_s = step_s * (self.total_steps - self.step)
            self.say(f"\n{step_s:.2f} s a step: about {left_s / 60:,.0f} minutes to go")


@contextmanager
def _stopped_by_signals(callback: _Run) -> Iterator[None]:
    """SIGINT and SIGTERM stop at the next step; a second one stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def stop(number, frame):
        callback.signal = signal.Signals(number)
        for each, handler in before.items():
            signal.signal(each, handler)

    for number in signals:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
