"""All private names of keras-tuner in use, for which it has no public ones.

A version of keras-tuner may move them; `tests/search/test_private.py` says which it has moved.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial
from keras_tuner.src import config

from keras_nasnet.atomic import replace_text


class WholeOracle(keras_tuner.Oracle):
    """An oracle whose files are complete at any moment, and JSON without NaN."""

    trials: dict[str, Trial]

    @property
    def retries(self) -> list[str]:
        """Trials to start again; `reload` adds those that a kill interrupted."""
        return self._retry_queue

    @retries.setter
    def retries(self, trial_ids: list[str]) -> None:
        self._retry_queue = trial_ids

    def save(self) -> None:
        # keras-tuner writes in place. The tuner's folder has no public name.
        _write_json(Path(self._get_oracle_fname()), self.get_state())

    def _save_trial(self, trial: Trial) -> None:
        """Called by keras-tuner for each change of a trial; its own version writes in place."""
        if trial.score is not None and not math.isfinite(trial.score):
            trial.score = None
        _write_json(Path(self._get_trial_dir(trial.trial_id)) / "trial.json", trial.get_state())


class WholeTuner(BaseTuner):
    """A tuner whose file is complete at any moment, and that can become a worker's."""

    oracle: Any  # or its proxy in a worker

    @property
    def is_worker(self) -> bool:
        """Whether keras-tuner's environment variables name another chief."""
        return self._is_worker()

    def save(self) -> None:
        if not self.is_worker:
            self.oracle.save()
        # keras-tuner resumes a search if this file exists.
        _write_json(Path(self._get_tuner_fname()), self.get_state())

    def become_worker(self, name: str) -> None:
        """Switches to the chief's oracle; otherwise only a new tuner can be a worker's."""
        from keras_tuner.src.distribute.oracle_client import OracleClient  # with gRPC

        self.tuner_id, self.oracle = name, OracleClient(self.oracle)


@contextmanager
def without_tracebacks() -> Iterator[None]:
    """Keeps keras-tuner from printing tracebacks of failed trials; it has no option for this."""
    debug, config.DEBUG = config.DEBUG, False
    try:
        yield
    finally:
        config.DEBUG = debug


def _write_json(path: Path, state: dict[str, Any]) -> None:
    replace_text(path, json.dumps(state, allow_nan=False))
