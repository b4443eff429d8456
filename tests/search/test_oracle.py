"""Searches by keras-tuner: what they promise about trials and failures."""

import json
import math
import time
from pathlib import Path

import keras_tuner
import pytest
from keras_tuner.engine.base_tuner import BaseTuner

from keras_nasnet.search import Controller, RandomSearcher, RegularizedEvolution
from keras_nasnet.search.oracle import SearcherOracle

DECISIONS = [("first", 4), ("second", 3), ("third", 5)]


def reward(values):
    return values["first"] + 2 * values["second"] - values["third"]


class Tuner(BaseTuner):
    """Counts its trials in a file; the reward is known at once."""

    def run_trial(self, trial):
        with open(Path(self.project_dir) / "runs.txt", "a") as file:
            file.write(f"{trial.trial_id}\n")
        return float(reward(trial.hyperparameters.values))


def tuner(folder, searcher=RandomSearcher, make=Tuner, **options):
    options = {"max_trials": 12, "objective": keras_tuner.Objective("score", "max")} | options
    oracle = SearcherOracle(searcher(DECISIONS, seed=1), **options)
    oracle.verbose = 0
    return make(oracle=oracle, directory=str(folder), project_name="search")


def course(oracle):
    """Trials in the order they began, with their values and what the searcher was told."""
    return [
        (key, oracle.trials[key].hyperparameters.values, oracle.searcher.rewards[key])
        for key in oracle.start_order
    ]


@pytest.mark.parametrize("searcher", [RandomSearcher, RegularizedEvolution, Controller])
def test_a_search_is_the_searchers(tmp_path, searcher):
    one = tuner(tmp_path, searcher, max_trials=30)
    one.search()
    alone = searcher(DECISIONS, seed=1)
    for key, values, told in course(one.oracle):
        assert alone.ask(key) == values
        alone.tell(key, reward(values))
        assert told == reward(values)
    best = one.get_best_hyperparameters()[0].values
    assert best == alone.best
    assert one.oracle.get_best_trials(1)[0].score == reward(best)


def test_a_minimum_is_searched_for_too(tmp_path):
    one = tuner(tmp_path, objective=keras_tuner.Objective("score", "min"))
    one.search()
    assert one.get_best_hyperparameters()[0].values == one.oracle.searcher.best
    assert one.oracle.get_best_trials()[0].score == min(
        trial.score for trial in one.oracle.trials.values()
    )


def test_failures_neither_end_the_search_nor_are_the_best(tmp_path):
    outcomes = [math.nan, math.inf, RuntimeError, MemoryError, math.nan, -math.inf, 1.0, math.nan]

    class Failing(Tuner):
        def run_trial(self, trial):
            outcome = outcomes[int(trial.trial_id)]
            if isinstance(outcome, float):
                return outcome
            raise outcome("of the test")

    one = tuner(tmp_path, Controller, Failing, max_trials=len(outcomes))
    one.search()
    assert [trial.trial_id for trial in one.oracle.get_best_trials(1)] == ["6"]
    statuses = [one.oracle.trials[key].status for key in one.oracle.start_order]
    assert statuses == ["FAILED"] * 6 + ["COMPLETED", "FAILED"]
    assert one.oracle.searcher.rewards == {str(i): None for i in range(8)} | {"6": 1.0}
    messages = [one.oracle.trials[key].message for key in one.oracle.start_order]
    assert "inf" in messages[1]
    assert "MemoryError: of the test" in messages[3]
    for path in Path(one.project_dir).rglob("*.json"):
        json.loads(path.read_text(), parse_constant=pytest.fail)


def test_time_ends_a_search_and_counts_over_its_parts(tmp_path):
    class Slow(Tuner):
        def run_trial(self, trial):
            time.sleep(0.5)
            return super().run_trial(trial)

    one = tuner(tmp_path, make=Slow, max_trials=None, max_seconds=1.4)
    one.search()
    assert len(one.oracle.trials) == 2, "a third one would end later"
    resumed = tuner(tmp_path, make=Slow, max_trials=None, max_seconds=1.4)
    resumed.search()
    assert len(resumed.oracle.trials) == 2
    more = tuner(tmp_path, make=Slow, max_trials=None, max_seconds=resumed.oracle.seconds + 0.8)
    more.search()
    assert len(more.oracle.trials) == 3


def test_a_search_goes_on_where_it_was(tmp_path):
    class Stopped(Tuner):
        def run_trial(self, trial):
            if trial.trial_id == "05":
                raise KeyboardInterrupt
            return super().run_trial(trial)

    whole = tuner(tmp_path / "whole", Controller)
    whole.search()
    with pytest.raises(KeyboardInterrupt):
        tuner(tmp_path / "broken", Controller, Stopped).search()
    resumed = tuner(tmp_path / "broken", Controller)
    resumed.search()
    assert course(resumed.oracle) == course(whole.oracle)
    again = tuner(tmp_path / "broken", Controller)
    again.search()
    assert course(again.oracle) == course(whole.oracle)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"max_trials": 0}, "max_trials: wanted an integer of at least 1, got 0"),
        ({"max_seconds": 0}, "max_seconds: wanted > 0, got 0"),
        ({"max_trials": None}, "wanted a limit, got neither"),
        ({"objective": ["accuracy", "loss"]}, "objective: wanted one"),
    ],
)
def test_bad_limits_are_refused(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        tuner(tmp_path, **options)
