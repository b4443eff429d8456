"""All private names of keras-tuner in use, for which it has no public ones.

A version of keras-tuner may move them; `tests/search/test_private.py` says which it has moved.
"""

import json
import math
from pathlib import Path
from typing import Any

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner
from keras_tuner.engine.trial import Trial
from keras_tuner.src.engine.tuner_utils import (
    convert_to_metrics_dict,
    get_best_step,
    validate_trial_results,
)

from keras_nasnet.atomic import replace_text
from keras_nasnet.search.attempt import Results


class WholeOracle(keras_tuner.Oracle):
    """An oracle whose files are complete at any moment, and JSON without NaN."""

    trials: dict[str, Trial]
    end_order: list[str]

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
    """A tuner whose file is complete at any moment."""

    oracle: Any

    def save(self) -> None:
        self.oracle.save()
        # keras-tuner resumes a search if this file exists.
        _write_json(Path(self._get_tuner_fname()), self.get_state())


def results_of(returned: Any, objective: keras_tuner.Objective) -> Results:
    """What a `run_trial` returned, in any of keras-tuner's ways, as plain numbers.

    Raises:
        keras_tuner.errors.FatalError: if it is none of those.
    """
    validate_trial_results(returned, objective, "Tuner.run_trial()")
    metrics = convert_to_metrics_dict(returned, objective)
    step = get_best_step(returned, objective)
    return Results({name: float(value) for name, value in metrics.items()}, step)


def _write_json(path: Path, state: dict[str, Any]) -> None:
    replace_text(path, json.dumps(state, allow_nan=False))
