"""The end of a search: the best cells, trained longer."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from keras_tuner.engine.trial import Trial

from keras_nasnet.search.child import HELD_OUT_SHARE, Child, ChildFailedError, model_of
from keras_nasnet.search.progress import reason_of, score_text
from keras_nasnet.search.report import Row
from keras_nasnet.search.scale import Scale
from keras_nasnet.search.trials import Attempts
from keras_nasnet.terminal import console

BEST_RUN = "best"  # in a search's folder: the run of the network of its best cell

if TYPE_CHECKING:
    from keras_nasnet.search.tuner import NASNetTuner


def train_longer(
    tuner: "NASNetTuner", trials: list[Trial], data: str, epochs: int, attempts: Attempts
) -> list[Row]:
    """Trains the cells of trials again, from scratch.

    Returns:
        The rows of `finalists.csv`, the best first.

    Raises:
        ChildFailedError: if one fails.
    """
    waiting, rows = trials[::-1], []
    while waiting or len(attempts):
        while waiting and attempts.has_room():
            trial = waiting.pop()
            child = _longer(tuner.child_of(trial, data), epochs)
            attempts.begin(trial.trial_id, _folder(tuner, trial.trial_id, epochs), child)
        for trial_id, outcome in attempts.ended():
            if outcome.results is None:
                raise ChildFailedError(f"finalist {trial_id}: {reason_of(outcome.message)}")
            (longer,) = outcome.results[0].values()
            reward = tuner.oracle.trials[trial_id].score
            rows.append({"trial": trial_id, "reward": reward, "longer": longer})
            console.print(
                f"finalist {len(rows)} of {len(trials)}, trial {trial_id}: "
                f"{score_text(reward)}, after {epochs} epochs {score_text(longer)}"
            )
    rows.sort(key=lambda row: -row["longer"])
    model_of(_folder(tuner, rows[0]["trial"], epochs))
    return rows


def train_best(tuner: "NASNetTuner", data: str, scale: Scale, attempts: Attempts) -> float:
    """Trains a network of the best cell in the search's folder `best`.

    Returns:
        The best validation accuracy of any epoch.

    Raises:
        ChildFailedError: if it fails.
    """
    (trial,) = tuner.oracle.get_best_trials(1)
    job = scale.job(tuner.genotype(trial), tuner.recipe, data, tuner.seed)
    folder = Path(tuner.project_dir) / BEST_RUN
    attempts.begin(trial.trial_id, folder, Child(job, HELD_OUT_SHARE))
    while len(attempts):
        for _, outcome in attempts.ended():
            if outcome.results is None:
                raise ChildFailedError(
                    f"the network of the best cell: {reason_of(outcome.message)}"
                )
            (accuracy,) = outcome.results[0].values()
    model_of(folder)
    return accuracy


def _folder(tuner: "NASNetTuner", trial_id: str, epochs: int) -> Path:
    return Path(tuner.project_dir) / "finalists" / f"{trial_id}_{epochs}"


def _longer(child: Child, epochs: int) -> Child:
    job = replace(child.job, recipe=replace(child.job.recipe, epochs=epochs))
    return replace(child, job=job, epochs=epochs, each_epoch=True)
