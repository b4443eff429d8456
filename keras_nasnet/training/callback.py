"""The callback of a run: logs, checkpoints, the best model, stopping."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol, TypeAlias

import keras
import numpy as np

from keras_nasnet.atomic import replace_file
from keras_nasnet.lock import FolderLock
from keras_nasnet.tensor import Tensor
from keras_nasnet.terminal import LINE_S
from keras_nasnet.training.checkpoint import save_checkpoint
from keras_nasnet.training.job import MODEL
from keras_nasnet.training.log import LOG as LOG
from keras_nasnet.training.log import Log, draw_curves

CHECKPOINT = "checkpoint.npz"
CURVES, TENSORBOARD = "curves.png", "tensorboard"
TIMED_STEPS = range(5, 15)  # after the first ones, which compile
LINES = 2  # Keras's `verbose` for lines in place of a bar

NOTHING = {"val_accuracy": -1.0, "val_loss": math.inf}  # worse than any validation
# What makes one validation better than another; the second value if the first is the same.
SCORES: Mapping[str, Callable[[Mapping[str, float]], tuple[float, float]]] = {
    "accuracy": lambda row: (row["val_accuracy"], -row["val_loss"]),
    "loss": lambda row: (-row["val_loss"], row["val_accuracy"]),
    "last": lambda row: (row.get("epoch", -1.0), 0.0),
}

Rate: TypeAlias = float | Callable[[int], Tensor]  # a function of the step unless constant
Logs: TypeAlias = dict[str, float] | None


class StoppedError(Exception):
    """Training was stopped by a signal; the message says how to resume."""


def least_accuracy(accuracy: float, images: int) -> float:
    """What is no worse than an accuracy measured on some images: a standard error below it."""
    return accuracy - math.sqrt(accuracy * (1 - accuracy) / images)


class Stoppable(Protocol):
    """What looks at `signal` after each training step."""

    signal: signal.Signals | None


class RunCallback(keras.callbacks.Callback):
    """Writes a run's logs, checkpoints and best model; stops the run when necessary.

    Args:
        run: path of the run folder.
        lock: `FolderLock` of the folder.
        log: `Log`.
        learning_rate: float, or function of the step.
        steps_per_epoch, total_steps: ints.
        step: int, where the run resumes.
        metrics: values of the metrics' variables at that step.
        patience: int, epochs without a better validation after which the run stops, or 0.
        best_by: `"accuracy"`, `"loss"` or `"last"`.
        num_validation: int, of images to validate with.
        linear: `val_accuracy` and `val_loss` of the linear classifier that has to be beaten, or
            None.
        checkpoint_s: float, seconds between checkpoints within an epoch.
        say: called with each line of text for the user.
    """

    def __init__(
        self,
        run: Path,
        lock: FolderLock,
        log: Log,
        learning_rate: Rate,
        *,
        steps_per_epoch: int,
        total_steps: int,
        step: int,
        metrics: list[np.ndarray],
        patience: int,
        best_by: str,
        num_validation: int,
        linear: dict[str, float] | None,
        checkpoint_s: float,
        say: Callable[[str], object],
    ) -> None:
        super().__init__()
        self.folder, self.lock, self.log = run, lock, log
        self.learning_rate, self.say = learning_rate, say
        self.first_step = self.step = self.checkpoint_step = step
        self.total_steps, self.patience, self.linear = total_steps, patience, linear
        self.best_by, self.least = best_by, -1.0
        if linear is not None:
            self.least = least_accuracy(linear["val_accuracy"], num_validation)
        self.metrics = metrics if step % steps_per_epoch else []
        self.checkpoint_s, self.checkpoint_time = checkpoint_s, time.monotonic()
        self.told_time = time.monotonic()
        self.signal: signal.Signals | None = None

    @property
    def is_done(self) -> bool:
        """Whether the last step was taken, or the last epochs were no better than one before."""
        return self.step >= self.total_steps or 0 < self.patience <= self._epochs_since_best()

    def _epochs_since_best(self) -> int:
        rows = [self.linear or NOTHING, *self.log.rows]
        return len(rows) - 1 - max(range(len(rows)), key=lambda index: self.score(rows[index]))

    def score(self, row: Mapping[str, float]) -> tuple[float, float]:
        """How good a validation is: the higher, the better."""
        if self.best_by == "last" and row["val_accuracy"] < self.least:
            return -math.inf, 0.0
        return SCORES[self.best_by](row)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        for variable, value in zip(self.model.metrics_variables, self.metrics, strict=False):
            variable.assign(value)
        self.metrics = []

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        self.step += 1
        loss = (logs or {}).get("loss", 0.0)
        if not math.isfinite(loss):
            self._diverged(f"the loss is {loss}")
        self._estimate()
        if self._has_lines and time.monotonic() - self.told_time >= LINE_S:
            self.told_time = time.monotonic()
            results = "".join(f" - {name}: {value:.4f}" for name, value in (logs or {}).items())
            self.say(f"step {self.step:,} of {self.total_steps:,}{results}")
        if self.signal is not None:
            self._checkpoint()
            raise StoppedError(
                f"stopped by {self.signal.name} at step {self.step:,} of {self.total_steps:,}; "
                f"to resume: keras-nasnet train --resume {self.folder}"
            )
        if time.monotonic() - self.checkpoint_time >= self.checkpoint_s:
            self._checkpoint()

    def on_test_end(self, logs: Logs = None) -> None:
        # Before the moving averages, if any, are swapped back: this callback is the first.
        self.lock.check()
        validation = {f"val_{name}": value for name, value in (logs or {}).items()}
        validation["epoch"] = len(self.log.rows)
        if self.score(validation) > max(map(self.score, [self.linear or NOTHING, *self.log.rows])):
            replace_file(self.folder / MODEL, self.model.save)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        row = {"epoch": epoch, "step": self.step, "learning_rate": self._rates(1)[0]}
        self.log.add(row | (logs or {}))
        draw_curves(self.log.rows, self.folder / CURVES, self.linear)
        self._checkpoint()
        if self.is_done:
            self.model.stop_training = True
            self._tell_best()

    def _tell_best(self) -> None:
        best = len(self.log.rows) - self._epochs_since_best()
        if self.step < self.total_steps:
            self.say(f"stopped: no epoch after {best} was better in {self.patience} epochs")
        if self.linear is None:
            return
        linear = f"the linear classifier on the frozen network, {self.linear['val_accuracy']:.2%}"
        if best:
            accuracy = self.log.rows[best - 1]["val_accuracy"]
            self.say(f"{MODEL}: epoch {best}, validation accuracy {accuracy:.2%}; before: {linear}")
        else:
            self.say(f"{MODEL}: no epoch was better in validation than {linear}, which it keeps")

    def _checkpoint(self) -> None:
        self.lock.check()
        try:
            save_checkpoint(self.model, self.folder / CHECKPOINT, self.step)
        except FloatingPointError as error:
            self._diverged(str(error))
        self.checkpoint_step, self.checkpoint_time = self.step, time.monotonic()

    def _diverged(self, what: str) -> NoReturn:
        rates = ", ".join(f"{rate:.4g}" for rate in self._rates(3))
        path = self.folder / CHECKPOINT
        kept = f"{path} at step {self.checkpoint_step:,}" if path.exists() else "none"
        raise FloatingPointError(
            f"{what} at step {self.step:,}; the last learning rates were {rates}; "
            f"the last good checkpoint: {kept}"
        )

    def _rates(self, count: int) -> list[float]:
        """The learning rates of the last steps."""
        rate, steps = self.learning_rate, range(max(0, self.step - count), self.step)
        if not callable(rate):
            return [rate] * len(steps)
        return [float(keras.ops.convert_to_numpy(rate(step))) for step in steps]

    def _estimate(self) -> None:
        done = self.step - self.first_step
        if done == TIMED_STEPS.start:
            self.timed_since = time.monotonic()
        elif done == TIMED_STEPS.stop:
            step_s = (time.monotonic() - self.timed_since) / len(TIMED_STEPS)
            left_s = step_s * (self.total_steps - self.step)
            below_bar = "" if self._has_lines else "\n"
            self.say(f"{below_bar}{step_s:.2f} s per step: about {left_s / 60:,.0f} minutes left")

    @property
    def _has_lines(self) -> bool:
        return self.params["verbose"] == LINES


@contextmanager
def stopped_by_signals(callback: Stoppable) -> Iterator[None]:
    """SIGINT and SIGTERM stop at the next step; a second signal stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in signals}

    def stop(number: int, frame: FrameType | None) -> None:
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
