"""Children: networks of the candidate cells, trained outside of the search's process."""

import logging
import threading
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from keras_nasnet.lock import locked
from keras_nasnet.search.attempt import LostError, Results
from keras_nasnet.terminal import import_keras

if TYPE_CHECKING:
    from keras_nasnet.data.source import Source
    from keras_nasnet.tensor import Size
    from keras_nasnet.training.budget import Pace
    from keras_nasnet.training.job import Job

log = logging.getLogger(__name__)

HELD_OUT_SHARE = 0.1  # 5,000 of CIFAR-10's 50,000 images, appendix A


_alone = threading.Lock()  # of the child that trains: a backend's state is its process's


class ChildFailedError(RuntimeError):
    """A child that had to be trained was not."""


@dataclass(frozen=True)
class Child:
    """What an attempt at a trial of a search does: trains a child, or resumes its training.

    Args:
        job, held_out, epochs, each_epoch: as in `train_child`.
        metric: str, the name of its validation accuracy.
    """

    job: "Job"
    held_out: float
    metric: str = "val_accuracy"
    epochs: int | None = None
    each_epoch: bool = True

    def __call__(self, folder: Path) -> Results:
        import_keras()  # as `run_attempt` has set it up
        from keras_nasnet.training.callback import StoppedError

        try:
            with _alone:
                reward, steps_s = train_child(
                    self.job, self.held_out, folder, self.epochs, self.each_epoch
                )
            epochs = self.epochs or self.job.recipe.epochs
            return Results({self.metric: reward}, epochs, steps_s)
        except StoppedError as error:  # as when a cluster wants its node back
            raise LostError(str(error)) from error

    def measure(self, folder: Path) -> "Pace":
        """How long its training would take; `folder` is a new one, which is left empty."""
        import keras

        from keras_nasnet.search.straight import can_train
        from keras_nasnet.training.budget import measure_pace

        keras.utils.clear_session()
        data = _data_of(self.job, self.held_out)
        if not can_train(self.job, folder):
            return measure_pace(self.job, data)
        from keras_nasnet.search.straight.run import measure_straight  # needs TensorFlow

        with locked(folder, wait=True) as lock:
            return measure_straight(self.job, data, folder, lock)


@dataclass(frozen=True)
class Measuring:
    """What an executor does to measure a child: some of its steps, twice.

    The first child of a process pays for more than itself.

    Args:
        child: `Child`.
    """

    child: Child

    def __call__(self, folder: Path) -> Results:
        import_keras()
        for _ in range(2):
            pace = self.child.measure(folder)
        return Results(asdict(pace))


def inspect_data(name: str, held_out: float, seed: int, size: "Size") -> None:
    """Logs images that cannot be decoded, which children will skip, and duplicates."""
    from keras_nasnet.data.inspection import find_duplicates, read_all

    data = _data(name, held_out, seed)
    for message in find_duplicates(*data):
        log.warning(message)
    read_all(data, size)


def train_child(
    job: "Job",
    held_out: float,
    folder: Path,
    epochs: int | None = None,
    each_epoch: bool = True,
) -> tuple[float, float | None]:
    """Trains a child, or resumes its training, for some epochs.

    It waits for a process that is still using the folder, as the child of a killed search
    does for a moment.

    Args:
        job: `keras_nasnet.training.job.Job` with data for `open_data`.
        held_out: float in (0, 1), the share of the training images to validate with, or with as
            many of them as an epoch has; the validation images of the data, if any, are kept for
            the final evaluation.
        folder: path of the child's run folder.
        epochs: int >= 1, of the recipe's; all by default.
        each_epoch: bool, default True. Whether to validate after each epoch; without Keras's
            layers, it can be after the last of these epochs only.

    Returns:
        The best validation accuracy of any epoch, and the seconds that the steps have taken if
        they are known.
    """
    import keras

    from keras_nasnet.search.straight import can_train
    from keras_nasnet.training.callback import LOG
    from keras_nasnet.training.job import CONFIG
    from keras_nasnet.training.log import read_log
    from keras_nasnet.training.trainer import train

    keras.utils.clear_session()
    data = _data_of(job, held_out)
    with locked(folder, wait=True) as lock:
        if can_train(job, folder):
            from keras_nasnet.search.straight.run import train_straight  # needs TensorFlow

            return train_straight(job, data, folder, lock, epochs, each_epoch)
        is_begun = (folder / CONFIG).exists()
        train(job, data, folder, resume=is_begun, epochs=epochs, verbose=0, say=lambda line: None)
    return max(row["val_accuracy"] for row in read_log(folder / LOG)), None


def model_of(folder: Path) -> Path:
    """The file of a child's Keras model from its best epoch, which is made if it is not there."""
    from keras_nasnet.search.straight import STATE
    from keras_nasnet.training.job import MODEL

    if (folder / STATE).exists() and not (folder / MODEL).exists():
        from keras_nasnet.search.straight.run import write_model  # needs TensorFlow

        write_model(folder)
    return folder / MODEL


def _data_of(job: "Job", held_out: float) -> tuple["Source", "Source"]:
    """What a child trains on, as many images as it has time for, and validates with."""
    training, validation = _data(job.data, held_out, job.seed)
    an_epoch = job.recipe.steps_per_epoch * job.recipe.batch_size or len(training)
    seen = an_epoch * job.recipe.epochs  # only these are decoded and kept
    return _some(training, seen, job.seed), _some(validation, an_epoch, job.seed)


def _some(source: "Source", count: int, seed: int) -> "Source":
    return source.split(count / len(source), seed)[1] if count < len(source) else source


@lru_cache(maxsize=1)
def _data(name: str, held_out: float, seed: int) -> tuple["Source", "Source"]:
    from keras_nasnet.data.source import open_data

    return open_data(name, seed)[0].split(held_out, seed)
