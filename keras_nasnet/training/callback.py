"""The callback of a run: logs, checkpoints, the best model, stopping."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn, Protocol, TypeAlias

import keras
import numpy as np

from keras_nasnet.atomic import replace_file
from keras_nasnet.lock import FolderLock
from keras_nasnet.tensor import Tensor
from keras_nasnet.training.checkpoint import save_checkpoint
from keras_nasnet.training.job import MODEL
from keras_nasnet.training.log import Log, draw_curves

CHECKPOINT = "checkpoint.npz"
LOG, CURVES, TENSORBOARD = "log.csv", "curves.png", "tensorboard"
TIMED_STEPS = range(5, 15)  # after the first ones, which compile

Rate: TypeAlias = float | Callable[[int], Tensor]  # a function of the step unless constant
Logs: TypeAlias = dict[str, float] | None


class StoppedError(Exception):
    """Training was stopped by a signal; the message says how to resume."""


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
        checkpoint_s: float,
        say: Callable[[str], object],
    ) -> None:
        super().__init__()
        self.folder, self.lock, self.log = run, lock, log
        self.learning_rate, self.say = learning_rate, say
        self.first_step = self.step = self.checkpoint_step = step
        self.total_steps = total_steps
        self.metrics = metrics if step % steps_per_epoch else []
        self.checkpoint_s, self.checkpoint_time = checkpoint_s, time.monotonic()
        self.signal: signal.Signals | None = None

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
        accuracy = (logs or {}).get("accuracy", 0.0)
        if accuracy > self.log.best("val_accuracy"):
            replace_file(self.folder / MODEL, self.model.save)

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        row = {"epoch": epoch, "step": self.step, "learning_rate": self._rates(1)[0]}
        self.log.add(row | (logs or {}))
        draw_curves(self.log.rows, self.folder / CURVES)
        self._checkpoint()

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
            self.say(f"\n{step_s:.2f} s per step: about {left_s / 60:,.0f} minutes left")


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
