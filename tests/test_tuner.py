"""The search for cells: real children, trained, stopped, killed and loaded."""

import json
import os
from pathlib import Path

import pytest

from keras_nasnet.recipe import recipe
from keras_nasnet.report import read_log
from keras_nasnet.run import LOG
from keras_nasnet.search import NASNetTuner, SearchSpace

SPACE = SearchSpace(1, ["identity", "max_pool_3x3", "conv_1x1"], ["add"])
SMALL = {
    "max_trials": 2,
    "num_cells": 1,
    "filters": 2,
    "recipe": recipe("search-child", epochs=2, batch_size=256, augmentation=()),
}


def tuner(folder, **options):
    return NASNetTuner(SPACE, "random", directory=folder, seed=1, **SMALL | options)


@pytest.mark.slow
def test_children_are_trained_kept_and_loaded(tmp_path, capsys):
    one = tuner(tmp_path)
    one.search("digits")
    trials = one.oracle.get_best_trials(2)
    assert [trial.status for trial in trials] == ["COMPLETED"] * 2
    for trial in trials:
        rows = read_log(Path(one.get_trial_dir(trial.trial_id)) / LOG)
        assert trial.score == max(row["val_accuracy"] for row in rows)
        config = json.loads((Path(one.get_trial_dir(trial.trial_id)) / "config.json").read_text())
        assert config["config"]["genotype"] == one.genotype(trial).to_dict()
    model = one.get_best_models()[0]
    assert model.output_shape == (None, 10)
    assert model.count_params() > 0
    assert one.get_best_genotypes()[0] == one.genotype(trials[0])
    assert len(set(one.get_best_genotypes(2))) == 2

    printed = capsys.readouterr().out
    assert f"best {trials[0].score:.4f} of trial {trials[0].trial_id}" in printed
    one.results_summary()
    assert f"{trials[0].score:.4f}" in capsys.readouterr().out

    more = tuner(tmp_path, max_trials=3)
    assert len(more.oracle.trials) == 2
    more.search("digits")
    assert len(more.oracle.trials) == 3


def test_without_data_where_trials_need_none(tmp_path):
    class Counting(NASNetTuner):
        def run_trial(self, trial, bonus):
            blocks = self.genotype(trial).normal.blocks
            return sum(edge.op == "conv_1x1" for b in blocks for edge in (b.left, b.right)) + bonus

    one = Counting(SPACE, directory=tmp_path, max_trials=60)
    one.search(bonus=3)
    assert one.oracle.get_best_trials()[0].score == 5


def test_a_search_with_other_settings_is_not_gone_on_with(tmp_path):
    tuner(tmp_path).save()
    with pytest.raises(ValueError, match=r"filters: the search in .* has 2, got 4; name another"):
        tuner(tmp_path, filters=4)
    tuner(tmp_path, filters=4, overwrite=True)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"searcher": "luck"}, "searcher: 'luck' is not known; allowed are controller, evolution"),
        ({"num_cells": 0}, "num_cells: wanted an integer of at least 1, got 0"),
        ({"filters": 0}, "penultimate_filters: wanted an integer of at least 1, got 0"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        NASNetTuner(SPACE, directory=tmp_path, **SMALL | options)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_child_whose_process_dies_is_a_failure_and_the_next_is_trained(tmp_path, monkeypatch):
    one = tuner(tmp_path)
    train, tried = one._children.train, []

    def dying(job, held_out, folder):
        tried.append(folder)
        if len(tried) == 1:
            one._children._run(os._exit, 9)
        return train(job, held_out, folder)

    monkeypatch.setattr(one._children, "train", dying)
    one.search("digits")
    first, second = (one.oracle.trials[key] for key in one.oracle.start_order)
    assert (first.status, second.status) == ("FAILED", "COMPLETED")
    assert "ChildFailedError: the child's process died" in first.message
