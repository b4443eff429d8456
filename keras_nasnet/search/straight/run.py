"""A straight child's run: its steps, the results of its epochs, the files of its folder."""

import logging
import math
import signal
import statistics
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_nasnet.atomic import replace_file
from keras_nasnet.data.batches import Batches
from keras_nasnet.data.source import Source
from keras_nasnet.layers.network import TRAINING_STEP
from keras_nasnet.layers.variable import skip_initialization
from keras_nasnet.lock import FolderLock, locked
from keras_nasnet.search.straight import STATE
from keras_nasnet.search.straight.network import Network
from keras_nasnet.search.straight.training import Array, Best, State, Trainer
from keras_nasnet.tensor import Tensor
from keras_nasnet.training.budget import Pace
from keras_nasnet.training.callback import LOG, StoppedError, stopped_by_signals
from keras_nasnet.training.dataset import make_batches
from keras_nasnet.training.job import CONFIG, MODEL, Job, read_config
from keras_nasnet.training.log import read_log, write_rows
from keras_nasnet.training.trainer import (
    compile_model,
    frozen_heap,
    learning_rate,
    make_model,
    normalization_of,
    write_config,
)

TIMED = 16  # steps, twice as many as are read ahead
SAVE_S = 60.0  # between states within a run: what a kill loses at most


def train_straight(
    job: Job,
    data: tuple[Source, Source],
    folder: Path,
    lock: FolderLock,
    epochs: int | None = None,
    each_epoch: bool = True,
) -> tuple[float, float]:
    """Trains a child for some epochs, from the step that it has reached in its folder.

    The folder holds `config.json`; `log.csv`, a row for each epoch; and `child.npz`, the state to
    go on from, with the weights of the best epoch. They are written at the end, the log and the
    state also once a minute. `write_model` makes a Keras model of them.

    Args:
        job: `Job` that `can_train` accepts.
        data: training and validation `Source`.
        folder: path of the child's run folder.
        lock: `FolderLock` of the folder.
        epochs: int >= 1, of the recipe's; all by default.
        each_epoch: bool. Whether to validate, and write a row of the log, after each epoch, or
            after the last of these epochs only.

    Returns:
        The best validation accuracy of any row, and the seconds that the steps have taken.

    Raises:
        ValueError: if the folder's state is damaged, or of other data or another child.
        FloatingPointError: if the loss is not finite.
        StoppedError: if the process got SIGINT or SIGTERM; the state is written before.
        FolderInUseError: if another process has taken over the folder.
        NotWrittenError: if a file cannot be written.
    """
    training, _ = data
    # That functions are traced often: each child has its own.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    is_begun = (folder / CONFIG).exists()
    keras.utils.set_random_seed(job.seed)
    normalization = normalization_of(job, training, folder, is_begun)
    batches, held_out = make_batches(job, data, normalization)
    if not is_begun:
        write_config(job, training.class_names, normalization, None, folder)
    child = Child(job, len(training.class_names), len(batches), folder, lock)
    with stopped_by_signals(child), frozen_heap(), _graphs_as_traced():
        (folder / MODEL).unlink(missing_ok=True)  # of an earlier epoch
        until = (epochs or job.recipe.epochs) * len(batches)
        child.train(batches, held_out, until, each_epoch)
    return child.reward, child.steps_s


def write_model(folder: Path) -> None:
    """Writes `model.keras` for a child: the Keras model, compiled, as it was at its best epoch.

    Args:
        folder: path of a folder that `train_straight` has written.

    Raises:
        ValueError: if its state is damaged.
        FolderInUseError: if another process uses the folder.
        NotWrittenError: if the file cannot be written.
    """
    job, classes = Job.of_run(folder), len(read_config(folder)["class_names"])
    row = read_log(folder / LOG)[0]
    steps_per_epoch = row["step"] // (row["epoch"] + 1)
    with locked(folder) as lock:
        Child(job, classes, steps_per_epoch, folder, lock).write_model()


def measure_straight(job: Job, data: tuple[Source, Source], folder: Path, lock: FolderLock) -> Pace:
    """Takes some steps of a child, whose folder is new, and drops what they trained.

    It validates once, after the last of its epochs.
    """
    start = time.monotonic()
    training, _ = data
    batches, held_out = make_batches(job, data, normalization_of(job, training, folder, False))
    child = Child(job, len(training.class_names), len(batches), folder, lock)
    rate, images = np.float32(0), iter(batches.stream())
    with frozen_heap(), _graphs_as_traced():
        _seconds(child._train_on, *next(images), rate)  # the first one is compiled
        child.trainer.test(*child.trainer.evaluated(child.state), *held_out.batch(0))
        start_s = time.monotonic() - start
        step_s = statistics.median(
            _seconds(child._train_on, *next(images), rate) for _ in range(TIMED)
        )
        test_s = _seconds(child._end_epoch, held_out, rate)
    return Pace(start_s + test_s, step_s, step_s * len(batches))


def _seconds(call: Callable[..., object], *arguments: Any) -> float:
    start = time.monotonic()
    call(*arguments)
    return time.monotonic() - start


@contextmanager
def _graphs_as_traced() -> Iterator[None]:
    """Spares TensorFlow rewriting graphs on CPUs, where a child's time goes into kernels."""
    if tf.config.list_logical_devices("GPU"):
        yield
        return
    before = tf.config.optimizer.get_experimental_options()
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": False} | before)


class Child:
    """A child, and how far it has come.

    Args:
        job: `Job`.
        classes: int.
        steps_per_epoch: int.
        folder: path of its run folder, whose state is loaded if it has one.
        lock: `FolderLock` of the folder.

    Attributes:
        step: int, training steps so far.
        state: `State` after them.
        best: weights and statistics, as vectors, of the best epoch so far.
        rows: list of dict, one for each epoch after which it was validated.
        steps_s: float, seconds that steps have taken here.
    """

    def __init__(
        self, job: Job, classes: int, steps_per_epoch: int, folder: Path, lock: FolderLock
    ) -> None:
        self.job, self.classes, self.steps_per_epoch = job, classes, steps_per_epoch
        self.total_steps = job.recipe.epochs * steps_per_epoch
        self.folder, self.lock = folder, lock
        self.signal: signal.Signals | None = None
        self.steps_s = 0.0
        network = Network(job.config, job.size, classes, bool(job.recipe.auxiliary_weight))
        self.trainer = Trainer(network, job.recipe, self.total_steps, job.seed)
        self.step, self.rows = 0, list[dict[str, Any]]()
        self.state = self.trainer.begin()
        self.best = self.trainer.evaluated(self.state)
        if (folder / STATE).exists():
            self._load()

    @property
    def reward(self) -> float:
        """The best validation accuracy of any epoch, or -1 before the first has ended."""
        return max((row["val_accuracy"] for row in self.rows), default=-1.0)

    def train(self, batches: Batches, held_out: Batches, until: int, each_epoch: bool) -> None:
        """Trains to a step, then writes log and state."""
        if self.step >= until:
            return
        rates = self._rates()
        saved = time.monotonic()
        for images, labels in batches.stream(self.step):
            self._train_on(images, labels, rates[self.step])
            if self.step >= until or (each_epoch and self.step % self.steps_per_epoch == 0):
                self._end_epoch(held_out, rates[self.step - 1])
            if self.step >= until:
                break
            if self.signal is not None:
                self._save()
                raise StoppedError(
                    f"stopped by {self.signal.name} at step {self.step:,} of {self.total_steps:,}"
                )
            if time.monotonic() - saved >= SAVE_S:
                self._save()
                saved = time.monotonic()
        self._save()

    def _rates(self) -> Array:
        """The learning rate of each step."""
        rate = learning_rate(self.job.recipe, self.steps_per_epoch)
        if not callable(rate):
            return np.full(self.total_steps, rate, "float32")
        steps: Any = np.arange(self.total_steps)  # all at once
        return np.array(rate(steps), "float32")

    def _train_on(self, images: Array, labels: Array, rate: np.float32) -> None:
        start = time.monotonic()
        numbers = tf.constant(self.step), tf.constant(rate)
        self.state = self.trainer.step(
            self.state, tf.constant(images), tf.constant(labels), *numbers
        )
        self.step += 1
        loss = float(self.state.metrics[0])
        self.steps_s += time.monotonic() - start
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"the loss is {loss} at step {self.step:,}; the learning rate was {rate:.4g}"
            )

    def _end_epoch(self, held_out: Batches, rate: np.float32) -> None:
        current = self.trainer.evaluated(self.state)
        tested = tf.zeros_like(self.state.metrics)
        for images, labels in map(held_out.batch, range(len(held_out))):
            tested += self.trainer.test(*current, tf.constant(images), tf.constant(labels))
        row = {
            "epoch": self.step // self.steps_per_epoch - 1,
            "step": self.step,
            "learning_rate": float(rate),
            **_results("", self.state.metrics),
            **_results("val_", tested),
        }
        if row["val_accuracy"] > self.reward:
            self.best = current
        self.rows.append(row)
        self.state = self.state._replace(metrics=tf.zeros_like(tested))

    def _save(self) -> None:
        self.lock.check()
        if not np.isfinite(self.state.weights).all():
            raise FloatingPointError(f"a weight is not finite at step {self.step:,}")
        if self.rows:  # first, as `_load` leaves out rows after the state's step
            write_rows(self.folder / LOG, self.rows)
        arrays = self.state._asdict() | self.best._asdict()
        layout = np.array(self.trainer.layout)
        replace_file(
            self.folder / STATE,
            lambda beside: np.savez(beside, step=self.step, layout=layout, **arrays),
        )

    def _load(self) -> None:
        path = self.folder / STATE
        try:
            with np.load(path) as file:
                arrays = {name: file[name] for name in file.files}
            layout, step = arrays["layout"].tolist(), int(arrays["step"])
            state = State(*(tf.constant(arrays[name]) for name in State._fields))
            best = Best(*(tf.constant(arrays[name]) for name in Best._fields))
        except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is not the state of a child: {error}") from error
        if layout != self.trainer.layout:
            raise ValueError(f"{path} is the state of another child")
        self.step, self.state, self.best = step, state, best
        if step >= self.steps_per_epoch and (self.folder / LOG).exists():
            self.rows = [row for row in read_log(self.folder / LOG) if row["step"] <= step]

    def write_model(self) -> None:
        with skip_initialization():
            model = make_model(self.job, self.classes, self.total_steps)
        compile_model(model, self.job.recipe, self.steps_per_epoch)
        weights = {weight.path: weight for weight in model.weights}
        for path, value in self.trainer.values(*self.best).items():
            weights[path].assign(value)
        if TRAINING_STEP in (layer.name for layer in model.layers):
            best = max(self.rows, key=lambda row: row["val_accuracy"])
            weights[f"{TRAINING_STEP}/step"].assign(best["step"])
        replace_file(self.folder / MODEL, model.save)


def _results(prefix: str, metrics: Tensor) -> dict[str, float]:
    """Mean loss and accuracy, named as `fit` names them."""
    loss, right, images = map(float, metrics)
    return {f"{prefix}accuracy": right / images, f"{prefix}loss": loss / images}
