"""Children: networks of the candidate cells, each trained in its own process."""

import logging
import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_nasnet.lock import locked
from keras_nasnet.onednn import use_onednn
from keras_nasnet.optional import import_optional

if TYPE_CHECKING:
    from keras_nasnet.data.source import Source
    from keras_nasnet.tensor import Size
    from keras_nasnet.training.job import Job

log = logging.getLogger(__name__)


class ChildFailedError(RuntimeError):
    """The process of a child died."""


class Children:
    """Trains children one after another outside of this process.

    This keeps out what a backend caches for the networks it has run, and whatever kills a
    process: loky replaces one that died or grew by a few hundred MiB.
    """

    def __init__(self) -> None:
        self._executor: Any = None

    def train(self, job: "Job", held_out: float, folder: Path) -> float:
        """Like `train_child`, in the other process.

        Raises:
            ChildFailedError: if that process died.
            Exception: what `train_child` raised.
        """
        return self._run(train_child, job, held_out, folder)

    def _run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        loky = import_optional("loky", "search")
        if self._executor is None:
            self._executor = loky.ProcessPoolExecutor(
                1, timeout=None, initializer=_begin, initargs=(os.getpid(),)
            )
        try:
            return self._executor.submit(function, *arguments).result()
        except loky.process_executor.BrokenProcessPool as error:
            self.close()
            raise ChildFailedError(
                f"the child's process died, perhaps out of memory: {error}"
            ) from error

    def close(self) -> None:
        """Kills the other process, whatever it is doing."""
        if self._executor is not None:
            self._executor.shutdown(kill_workers=True)
            self._executor = None


def die_with(parent: int) -> None:
    """Ends this process when the search's process is gone, since nobody waits for the child."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _begin(parent: int) -> None:
    die_with(parent)
    use_onednn()
    # Children do not repeat what `inspect_data` has logged.
    logging.getLogger("keras_nasnet.data.source").setLevel(logging.ERROR)


def inspect_data(name: str, held_out: float, seed: int, size: "Size") -> None:
    """Logs images that cannot be decoded, which children will skip, and duplicates."""
    from keras_nasnet.data.inspection import find_duplicates, read_all

    data = _data(name, held_out, seed)
    for message in find_duplicates(*data):
        log.warning(message)
    read_all(data, size)


def train_child(job: "Job", held_out: float, folder: Path) -> float:
    """Trains a child, or resumes its training.

    It waits for a process that is still using the folder, as the child of a killed search
    does for a moment.

    Args:
        job: `keras_nasnet.training.job.Job` with data for `open_data`.
        held_out: float in (0, 1), the share of the training images to validate with; the
            validation images of the data, if any, are kept for the final evaluation.
        folder: path of the child's run folder.

    Returns:
        The best validation accuracy of any epoch.
    """
    import keras

    from keras_nasnet.search.straight import can_train
    from keras_nasnet.training.callback import LOG
    from keras_nasnet.training.job import CONFIG
    from keras_nasnet.training.log import read_log
    from keras_nasnet.training.trainer import train

    keras.utils.clear_session()
    data = _data(job.data, held_out, job.seed)
    with locked(folder, wait=True) as lock:
        if can_train(job, folder):
            from keras_nasnet.search.straight.run import train_straight  # needs TensorFlow

            return train_straight(job, data, folder, lock)
        is_begun = (folder / CONFIG).exists()
        train(job, data, folder, resume=is_begun, verbose=0, say=lambda line: None)
    return max(row["val_accuracy"] for row in read_log(folder / LOG))


@lru_cache(maxsize=1)
def _data(name: str, held_out: float, seed: int) -> tuple["Source", "Source"]:
    from keras_nasnet.data.source import open_data

    training, _ = open_data(name, seed)
    return training.split(held_out, seed)
