"""The search for cells: real children, trained and loaded; what is written and refused."""

import csv
import json
from pathlib import Path

import pytest
from support.locks import written_by
from support.pictures import write_folder
from support.searches import SMALL, SPACE, at_once, here, tuner

from keras_nasnet import Genotype
from keras_nasnet.lock import HOLDER, FolderInUseError
from keras_nasnet.search import NASNetTuner, child
from keras_nasnet.search.record import BEST, ERROR, FINALISTS, TRIALS
from keras_nasnet.training.callback import LOG
from keras_nasnet.training.log import read_log, read_rows


@pytest.mark.slow
def test_children_are_trained_kept_and_loaded(tmp_path, capfd):
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

    folder = Path(one.project_dir)
    with (folder / TRIALS).open() as file:
        listed = list(csv.DictReader(file))
    assert [row["trial"] for row in listed] == one.oracle.end_order
    for row in listed:
        trial = one.oracle.trials[row["trial"]]
        assert float(row["reward"]) == trial.score
        assert float(row["seconds"]) > 0
        assert int(row["parameters"]) == one.load_model(trial).count_params()
        assert Genotype.from_json(row["genotype"]) == one.genotype(trial)
    assert Genotype.from_json((folder / BEST).read_text()) == one.genotype(trials[0])

    assert one.train_finalists("digits", 1, epochs=3) == [one.genotype(trials[0])]
    [finalist] = read_rows(folder / FINALISTS)
    assert finalist["trial"] == trials[0].trial_id
    assert len(read_log(folder / "finalists" / f"{finalist['trial']}_3" / LOG)) == 3

    printed, said = capfd.readouterr()
    assert "oneDNN" not in said, "the children's processes import Keras without a word"
    ended = dict.fromkeys(one.oracle.end_order)
    rows = [
        line.split()
        for line in printed.splitlines()
        if line.split()[:1] and line.split()[0] in ended
    ]
    assert [row[0] for row in rows] == one.oracle.end_order
    assert rows[-1][1:3] == [
        f"{one.oracle.trials[rows[-1][0]].score:.4f}",
        f"{trials[0].score:.4f}",
    ]
    one.results_summary()
    assert f"{trials[0].score:.4f}" in capfd.readouterr().out


def test_without_data_where_trials_need_none(tmp_path):
    class Counting(NASNetTuner):
        def run_trial(self, trial, bonus):
            blocks = self.genotype(trial).normal.blocks
            return sum(edge.op == "conv_1x1" for b in blocks for edge in (b.left, b.right)) + bonus

    one = Counting(SPACE, directory=tmp_path, max_trials=60)
    one.search(executor=here(), bonus=3)
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
        ({"filters": 0}, "^filters: wanted an integer of at least 1, got 0"),
        ({"filters": 10**9}, "^filters: wanted an integer of at most 100,000"),
        ({"size": 32}, r"input size: wanted \(height, width\), two integers; got 32"),
        ({"size": (7, 32)}, "input size: wanted at least 8 x 8, got 7 x 32"),
        ({"rungs": 4}, "rungs: 2 epochs, divided by 3 from rung to rung, allow at most 1, got 4"),
        ({"max_seconds": "60"}, "max_seconds: wanted > 0, got '60'"),
    ],
)
def test_mistakes_are_told_before_anything_is_written(tmp_path, options, message):
    with pytest.raises(ValueError, match=message):
        NASNetTuner(SPACE, directory=tmp_path, **SMALL | options)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_images_that_children_leave_out_are_told_once_when_a_search_begins(tmp_path, caplog, capfd):
    """In this process alone: not again in each that trains children."""
    write_folder(tmp_path / "data", ["cat", "dog"], 20)
    (tmp_path / "data" / "cat" / "3.jpg").write_bytes(b"text")
    one = tuner(tmp_path, max_trials=1)
    one.search(str(tmp_path / "data"))
    (trial,) = one.oracle.trials.values()
    assert trial.status == "COMPLETED"
    assert [message.count("3.jpg: not an image") for message in caplog.messages].count(1) == 1
    assert "3.jpg: not an image" not in capfd.readouterr().err
    assert "validation images are also training images" in caplog.messages[0]


def failing(folder, **options):
    class Failing(NASNetTuner):
        def run_trial(self, trial):
            raise RuntimeError("two lines,\n  of which the [first] counts\nand no more")

    return Failing(SPACE, "random", directory=folder, max_trials=2, **options)


def test_a_failed_trial_is_a_line_and_a_file(tmp_path, capsys):
    one = failing(tmp_path)
    one.search(executor=here())
    folder = Path(one.project_dir)
    printed, errors = capsys.readouterr()
    assert not errors
    lines = printed.splitlines()
    assert len(lines) == 3, "a header and a line a trial"
    for number, line in enumerate(lines[1:]):
        assert line.split()[:3] == [f"{number}", "failed", "failed"]
        assert line.endswith("  RuntimeError: two lines,")
        text = (folder / f"trial_{number}" / ERROR).read_text()
        assert text.startswith("Traceback (most recent call last):\n")
        assert "in run_trial" in text
        assert text.endswith("and no more\n")
    assert [row["message"] for row in read_rows(folder / TRIALS)] == [
        "RuntimeError: two lines,"
    ] * 2
    assert not (folder / BEST).exists()


def test_a_search_that_is_going_on_elsewhere_is_left_alone(tmp_path, hold):
    one = at_once(tmp_path)
    process = hold(one.project_dir)
    before = contents(one.project_dir)
    told = f"is in use by process {process.pid} on"
    for begin in (
        one.search,
        lambda: at_once(tmp_path),
        lambda: NASNetTuner(SPACE, directory=tmp_path, max_trials=1, overwrite=True),
    ):
        with pytest.raises(FolderInUseError, match=told):
            begin()
    assert contents(one.project_dir) == before


def test_what_another_process_has_searched_meanwhile_is_not_lost(tmp_path):
    one, other = at_once(tmp_path), at_once(tmp_path, max_trials=40)
    other.search(executor=here())
    one.search(executor=here())
    runs = (Path(one.project_dir) / "runs.txt").read_text().split()
    assert len(runs) == len(set(runs)) == 60
    assert len(read_rows(Path(one.project_dir) / TRIALS)) == 60


def test_a_search_that_was_taken_over_writes_no_more(tmp_path):
    """By another host, for this one slept."""

    class TakenOver(NASNetTuner):
        def run_trial(self, trial):
            if trial.trial_id == "3":
                written_by(Path(self.project_dir))
                files.update(contents(self.project_dir))
            return 1.0

    files = {}
    one = TakenOver(SPACE, "random", directory=tmp_path, max_trials=8)
    with pytest.raises(FolderInUseError, match="was taken over by process 7 on elsewhere"):
        one.search(executor=here())
    assert contents(one.project_dir) == files
    (Path(one.project_dir) / HOLDER).unlink()
    resumed = TakenOver(SPACE, "random", directory=tmp_path, max_trials=3)
    assert resumed.oracle.end_order == ["0", "1", "2"]


def contents(folder):
    return {path: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def test_a_trial_in_other_hands_is_no_failed_trial(tmp_path, monkeypatch):
    one = tuner(tmp_path)

    def train(*arguments):
        raise FolderInUseError("the trial was taken over")

    monkeypatch.setattr(child, "train_child", train)
    with pytest.raises(FolderInUseError, match="the trial was taken over"):
        one.search("digits", executor=here())
    assert tuner(tmp_path).oracle.end_order == []
