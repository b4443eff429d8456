"""Any searcher as a keras-tuner oracle."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from statistics import median
from typing import Any

import keras_tuner
from keras_tuner.engine.trial import Trial

from keras_nasnet.check import check_integers, is_number, shown
from keras_nasnet.search.private import WholeOracle
from keras_nasnet.search.rungs import Rungs
from keras_nasnet.search.searchers.searcher import RandomSearcher, Searcher

# keras-tuner's names for the outcomes of a trial.
RUNNING, STOPPED, COMPLETED, FAILED = "RUNNING", "STOPPED", "COMPLETED", "FAILED"


class SearcherOracle(WholeOracle):
    """Asks a searcher for each trial, and tells it the trial's reward.

    With rungs, a trial ends when its child has reached the first one. If it is promoted, it is
    run again, and ends again, with another reward. The searcher is told the first reward alone:
    those of all trials after the same training. The best trials are those that got furthest.

    A trial's hyperparameters are its decisions, with the chosen indices as values. Failed trials,
    with an exception or a non-finite objective, do not end the search and are never the
    best. The state, with the searcher's, is replaced atomically: a search killed
    at any moment resumes as if it had not been, with each reward counted once.

    Args:
        searcher: `Searcher`.
        objective: str such as `"val_accuracy"`, or `keras_tuner.Objective`; by default what
            `run_trial` returns is minimized.
        max_trials: int >= 1, or None (default) for no limit.
        max_seconds: float > 0, search time, including earlier parts of a resumed search; None
            (default) for no limit. Started trials are finished, and none is started that would
            end later if it took as long as those before.
        rungs: `Rungs` whose epochs `run_trial` trains to, or None (default): each trial runs once.
        ended: called with each trial that ended, once it is saved. Default None.

    Attributes:
        seconds: float, search time so far.
        rung_rewards: dict of lists of float, each trial's rewards by rung, higher is better.
        rung_seconds: dict of lists of float, the seconds that each trial took by rung; those of a
            trial that a kill interrupted count from where it resumed.
        steps_s: dict of float, the seconds of them that training steps took, where known.
        losses: dict of int, how often an executor lost each trial that has not ended.

    Raises:
        ValueError: if a limit is out of range, there is none, or there are several objectives.
    """

    def __init__(
        self,
        searcher: Searcher,
        objective: str | keras_tuner.Objective | None = None,
        max_trials: int | None = None,
        max_seconds: float | None = None,
        *,
        rungs: Rungs | None = None,
        ended: Callable[[Trial], None] | None = None,
    ) -> None:
        if max_trials is not None:
            check_integers(1, max_trials=max_trials)
        if max_trials is None and max_seconds is None:
            raise ValueError("max_trials, max_seconds: wanted a limit, got neither")
        if isinstance(objective, list):
            raise ValueError(f"objective: wanted one, got {shown(objective)}")
        if max_seconds is not None and not (is_number(max_seconds) and max_seconds > 0):
            raise ValueError(f"max_seconds: wanted > 0, got {shown(max_seconds)}")
        hyperparameters = keras_tuner.HyperParameters()
        for name, count in searcher.decisions:
            hyperparameters.Choice(name, list(range(count)))
        super().__init__(
            objective,
            max_trials,
            hyperparameters,
            allow_new_entries=False,
            max_consecutive_failed_trials=sys.maxsize,
        )
        self.searcher = searcher
        self.max_seconds = max_seconds
        self._seconds_before = 0.0  # search time before this process
        self._begin = time.monotonic()
        self.rungs = rungs
        self.rung_rewards: dict[str, list[float]] = {}
        self.rung_seconds: dict[str, list[float]] = {}
        self.steps_s: dict[str, float] = {}
        self._trial_begins: dict[str, float] = {}
        self.losses: dict[str, int] = {}
        self._saves = True
        self._ended = ended

    @property
    def seconds(self) -> float:
        return self._seconds_before + time.monotonic() - self._begin

    def rung_of(self, trial_id: str) -> int:
        """How many rungs a trial has ended: the one that it trains to next, from 0."""
        return len(self.rung_rewards.get(trial_id, ()))

    @keras_tuner.synchronized
    def create_trial(self, tuner_id: str) -> Trial:
        if self.rungs is not None and not self.retries:
            running = {trial.trial_id for trial in self.ongoing_trials.values()}
            failed = {key for key, trial in self.trials.items() if trial.status == FAILED}
            promoted = self.rungs.promotable(self.rung_rewards, running | failed)
            if promoted is not None and self._fits(self.rung_of(promoted)):
                self.retries.append(promoted)  # keras-tuner's way to run a trial again
        trial = super().create_trial(tuner_id)
        self._trial_begins[trial.trial_id] = self.seconds
        return trial

    def _fits(self, rung: int) -> bool:
        """Whether a trial would end its next rung in time, if it took as long as those before."""
        if self.max_seconds is None:
            return True
        known = [seconds[rung] for seconds in self.rung_seconds.values() if len(seconds) > rung]
        return self.seconds + (median(known) if known else 0.0) < self.max_seconds

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        if not self._fits(0):
            return {"status": STOPPED}
        return {"status": RUNNING, "values": self.searcher.ask(trial_id)}

    @keras_tuner.synchronized
    def update_trial(self, trial_id: str, metrics: Mapping[str, float], step: int = 0) -> Trial:
        finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
        name = self.objective.name
        if name in finite or name not in metrics:  # the latter is keras-tuner's error
            return super().update_trial(trial_id, finite, step)
        trial = self.trials[trial_id]
        trial.message = f"{name} is {metrics[name]}"
        return trial

    def score_trial(self, trial: Trial) -> None:
        trial.score = math.nan  # marks the trial as failed
        if trial.metrics.exists(self.objective.name):
            super().score_trial(trial)

    @keras_tuner.synchronized
    def end_trial(self, trial: Trial) -> None:
        trial.message = trial.message or self.trials[trial.trial_id].message
        if trial.status == FAILED:
            self.trials[trial.trial_id].score = None  # of an earlier rung
        with self._saving_once():
            super().end_trial(trial)
            self.end_order = [*dict.fromkeys(self.end_order)]  # where it ended first
            self._count(self.trials[trial.trial_id])
            begin = self._trial_begins.pop(trial.trial_id)
            self.rung_seconds.setdefault(trial.trial_id, []).append(self.seconds - begin)
            self.losses.pop(trial.trial_id, None)
        self.save()
        if self._ended is not None:
            self._ended(self.trials[trial.trial_id])

    def add_steps(self, trial_id: str, seconds: float | None) -> None:
        """Adds what the training steps of a trial have taken; saved when it ends."""
        if seconds is not None:
            self.steps_s[trial_id] = self.steps_s.get(trial_id, 0.0) + seconds

    @keras_tuner.synchronized
    def lose(self, trial_id: str, times: int = 1) -> int:
        """Records that an executor lost a trial, which has neither succeeded nor failed.

        Returns:
            How often that has happened to the trial in all.
        """
        self.losses[trial_id] = self.losses.get(trial_id, 0) + times
        self.save()
        return self.losses[trial_id]

    def _count(self, trial: Trial) -> None:
        """Takes the reward of a trial that ended a rung, the first time for the searcher too."""
        reward = None
        if trial.status == COMPLETED:
            reward = float(trial.score)  # NumPy's own would be written with its type
            reward = -reward if self.objective.direction == "min" else reward
            self.rung_rewards.setdefault(trial.trial_id, []).append(reward)
        self.searcher.tell(trial.trial_id, reward, trial.hyperparameters.values)

    def get_best_trials(self, num_trials: int = 1) -> list[Trial]:
        """The trials that got furthest and, of these, have the best rewards; failed ones last."""

        def rank(trial: Trial) -> tuple[float, ...]:
            rewards = self.rung_rewards.get(trial.trial_id)
            if trial.status == FAILED or not rewards:
                return ()
            return len(rewards), rewards[-1]

        return sorted(self.trials.values(), key=rank, reverse=True)[:num_trials]

    @contextmanager
    def _saving_once(self) -> Iterator[None]:
        self._saves = False
        try:
            yield
        finally:
            self._saves = True

    def save(self) -> None:
        if self._saves:
            super().save()

    def reload(self) -> None:
        super().reload()
        # Killed between writing a trial's file and the state: asking again gives the same trial.
        self.trials = {trial_id: self.trials[trial_id] for trial_id in self.start_order}
        # Killed between the two at its end, or after it was promoted: it has ended.
        ended = [
            key
            for key in self.retries
            if self.trials[key].status == FAILED
            or (self.trials[key].status == COMPLETED and self.trials[key].score is not None)
        ]
        self.retries = [key for key in self.retries if key not in ended]
        self.end_order += [trial_id for trial_id in ended if trial_id not in self.end_order]
        for trial_id in self.retries:
            trial = self.trials[trial_id]
            trial.metrics = type(trial.metrics)()  # from the killed process
        for trial_id in self.end_order:
            if trial_id not in self.searcher.rewards:
                self._count(self.trials[trial_id])

    def __reduce__(self) -> tuple[Any, ...]:
        # For a `run_trial` in another process: its objective and hyperparameters, no trials.
        searcher = RandomSearcher(self.searcher.decisions)
        return SearcherOracle, (searcher, self.objective, self.max_trials, self.max_seconds)

    def get_state(self) -> dict[str, Any]:
        return super().get_state() | {
            "searcher": self.searcher.get_state(),
            "seconds": self.seconds,
            "rung_rewards": self.rung_rewards,
            "rung_seconds": self.rung_seconds,
            "steps_s": self.steps_s,
            "losses": self.losses,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        self.searcher.set_state(state["searcher"])
        self._seconds_before, self._begin = state["seconds"], time.monotonic()
        if "rung_rewards" in state:
            self.rung_rewards, self.rung_seconds = state["rung_rewards"], state["rung_seconds"]
        else:  # of 0.1
            self.rung_seconds = {key: [each] for key, each in state["trial_seconds"].items()}
            rewards = self.searcher.rewards.items()
            self.rung_rewards = {key: [each] for key, each in rewards if each is not None}
        self.steps_s = state.get("steps_s", {})
        self.losses = state.get("losses", {})  # not in 0.1
