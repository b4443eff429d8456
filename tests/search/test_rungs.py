"""Successive halving: which children train on, in a search and after a kill."""

import csv
import json

import keras
import numpy as np
import pytest
from support.searches import SMALL, SPACE, course, here, tuner
from support.works import Counting, steps_of

from keras_nasnet.search import NASNetTuner
from keras_nasnet.search.record import TRIALS
from keras_nasnet.search.rungs import Rungs
from keras_nasnet.training.log import read_log
from keras_nasnet.training.recipes import recipe

NINE = recipe("search-child", epochs=9)


@pytest.mark.parametrize(
    "epochs, rungs, factor, expected",
    [
        (20, 1, 3, (20,)),
        (20, 3, 3, (2, 7, 20)),
        (9, 3, 3, (1, 3, 9)),
        (8, 4, 2, (1, 2, 4, 8)),
        (16, 2, 4, (4, 16)),
    ],
)
def test_epochs_of_rungs(epochs, rungs, factor, expected):
    assert Rungs.of(epochs, rungs, factor).epochs == expected


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: Rungs.of(8, 3), "rungs: 8 epochs, divided by 3 .* allow at most 2, got 3"),
        (lambda: Rungs.of(8, 0), "rungs: wanted an integer of at least 1, got 0"),
        (lambda: Rungs.of(8, 2, 1), "factor: wanted an integer of at least 2, got 1"),
        (lambda: Rungs((3, 3)), r"epochs: wanted one or more numbers that ascend, got \(3, 3\)"),
    ],
)
def test_mistakes(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_the_best_third_of_a_rung_goes_on_from_the_highest_rung_down():
    rungs = Rungs((1, 3, 9))
    rewards = {"a": [0.1], "b": [0.3]}
    assert rungs.promotable(rewards) is None, "of two, none"
    rewards["c"] = [0.3]
    assert rungs.promotable(rewards) == "b", "of equal ones the first"
    assert rungs.promotable(rewards, {"b"}) is None, "it already goes on"
    rewards["b"].append(0.5)
    assert rungs.promotable(rewards) is None
    rewards |= {"d": [0.4, 0.6], "e": [0.2, 0.2], "f": [0.9], "g": [0.1], "h": [0.1], "i": [0.8]}
    rewards |= {"j": [0.2], "k": [0.2], "l": [0.2]}
    assert rungs.promotable(rewards) == "d", "in the second rung, before f in the first"
    rewards["d"].append(0.7)
    assert rungs.promotable(rewards) == "f"
    assert rungs.promotable(rewards, {"f"}) is None
    assert Rungs((9,)).promotable({"a": [0.1], "b": [0.2], "c": [0.3]}) is None


def test_no_more_than_a_third_goes_on_when_trials_become_better():
    rungs, rewards = Rungs((1, 3)), {}
    for trial in range(30):
        rewards[str(trial)] = [float(trial)]
        while (promoted := rungs.promotable(rewards)) is not None:
            rewards[promoted].append(float(trial))
        assert sum(len(each) > 1 for each in rewards.values()) == (trial + 1) // 3


def halving(folder, max_trials=18, stop_after=None):
    """A search whose children count epochs, with higher rewards the further they got."""

    class Halving(NASNetTuner):
        num_ended = 0

        def child_of(self, trial):
            rung = self.oracle.rung_of(trial.trial_id)
            reward = sum(trial.hyperparameters.values.values()) / 100 + rung
            return Counting(reward, self.rungs.epochs[rung])

        def on_trial_end(self, trial):
            super().on_trial_end(trial)
            self.num_ended += 1
            if self.num_ended == stop_after:
                raise KeyboardInterrupt

    options = {"max_trials": max_trials, "recipe": NINE, "rungs": 3}
    return Halving(SPACE, "random", directory=folder, seed=1, **options)


def test_a_search_halves(tmp_path):
    one = halving(tmp_path)
    one.search(num_workers=2)
    rewards = one.oracle.rung_rewards
    counts = [sum(len(each) > rung for each in rewards.values()) for rung in range(3)]
    assert counts == [18, 6, 2]
    for rung in range(2):
        ended = [each for each in rewards.values() if len(each) > rung]
        went_on = [each[rung] for each in ended if len(each) > rung + 1]
        dropped = [each[rung] for each in ended if len(each) == rung + 1]
        assert max(went_on) >= max(dropped)
        assert np.mean(went_on) > np.mean(dropped)
    for key, each in rewards.items():
        steps = [step for step, _ in steps_of(tmp_path / "nasnet_search" / f"trial_{key}")]
        assert steps == list(range((1, 3, 9)[len(each) - 1])), "each step once, from the start"
    best = one.oracle.get_best_trials(2)
    assert [len(rewards[trial.trial_id]) for trial in best] == [3, 3]
    assert best[0].score == max(each[-1] for each in rewards.values())
    with (tmp_path / "nasnet_search" / TRIALS).open(newline="") as file:
        rows = {row["trial"]: row for row in csv.DictReader(file)}
    assert rows.keys() == rewards.keys()
    assert {key: int(row["epochs"]) for key, row in rows.items()} == {
        key: (1, 3, 9)[len(each) - 1] for key, each in rewards.items()
    }
    assert {key: json.loads(row["rewards"]) for key, row in rows.items()} == rewards
    told = one.oracle.searcher.rewards
    assert told == {key: each[0] for key, each in rewards.items()}, "all of the first rung"


@pytest.mark.parametrize("stop_after", [1, 7])
def test_a_search_that_was_stopped_halves_as_if_it_had_not_been(tmp_path, stop_after):
    whole = halving(tmp_path / "whole", 9)
    whole.search(executor=here())
    with pytest.raises(KeyboardInterrupt):
        halving(tmp_path / "broken", 9, stop_after).search(executor=here())
    resumed = halving(tmp_path / "broken", 9)
    resumed.search(executor=here())
    assert course(resumed) == course(whole)
    assert resumed.oracle.rung_rewards == whole.oracle.rung_rewards


def test_a_promoted_child_goes_on_and_its_model_is_the_best_of_both_rungs(tmp_path):
    two = recipe("search-child", epochs=2, batch_size=256, augmentation=())
    one = tuner(tmp_path, max_trials=2, recipe=two, rungs=2, factor=2)
    one.search("digits")
    (promoted,) = (key for key, each in one.oracle.rung_rewards.items() if len(each) == 2)
    for key, trial in one.oracle.trials.items():
        rows = read_log(tmp_path / "nasnet_search" / f"trial_{key}" / "log.csv")
        assert len(rows) == 1 + (key == promoted)
        assert trial.score == max(row["val_accuracy"] for row in rows)
        assert isinstance(one.load_model(trial), keras.Model)
    assert one.oracle.get_best_trials()[0].trial_id == promoted
    assert (tmp_path / "nasnet_search" / f"trial_{promoted}" / "model.keras").exists()


def test_a_run_trial_of_ones_own_has_one_rung(tmp_path):
    class Own(NASNetTuner):
        def run_trial(self, trial):
            return 1.0

    own = Own(SPACE, "random", directory=tmp_path, **SMALL | {"recipe": NINE, "rungs": 2})
    with pytest.raises(ValueError, match="rungs: 1 with a run_trial of one's own, got 2"):
        own.search()
