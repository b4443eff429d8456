"""What attempts at trials do in tests, in processes that start without Keras."""

import os
import signal
import time
from dataclasses import dataclass

from keras_nasnet.atomic import replace_text
from keras_nasnet.lock import locked
from keras_nasnet.search.local import CAN_PIN, THREADS

COUNT, STEPS = "count.txt", "steps.txt"


@dataclass(frozen=True)
class Counting:
    """Counts to a number, with a checkpoint at each; a line of `steps.txt` is a step and a process.

    At the steps `deadly` its process dies, unless there are as many lines as `lives`.
    """

    reward: float
    steps: int = 1
    step_s: float = 0.0
    deadly: tuple[int, ...] = ()
    lives: int = 1

    def __call__(self, folder):
        with locked(folder) as lock:
            count = folder / COUNT
            for step in range(int(count.read_text()) if count.exists() else 0, self.steps):
                with (folder / STEPS).open("a") as file:
                    file.write(f"{step} {os.getpid()}\n")
                if step in self.deadly and len(steps_of(folder)) <= self.lives:
                    os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(self.step_s)
                lock.check()
                replace_text(count, str(step + 1))
        return {"val_accuracy": self.reward}, 0


@dataclass(frozen=True)
class Idle:
    """Has a job, which it leaves undone."""

    job: object
    epochs: int | None = None
    each_epoch: bool = True

    def __call__(self, folder):
        return {"val_accuracy": 0.5}, 0


def steps_of(folder):
    """The steps that attempts at a trial have begun, and the processes they did so in."""
    path = folder / STEPS
    lines = path.read_text().split("\n")[:-1] if path.exists() else []
    return [tuple(map(int, line.split())) for line in lines]


def share_of_process():
    """Its id, what it was told of threads, and how many cores it has."""
    cores = len(os.sched_getaffinity(0)) if CAN_PIN else None
    return os.getpid(), {os.environ.get(name) for name in THREADS}, cores
