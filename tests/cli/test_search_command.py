"""`keras-nasnet search`: what is printed and written, exit codes."""

import json
import re
from dataclasses import replace

import pytest
from support.command import run
from support.works import Counting

from keras_nasnet.search import NASNetTuner
from keras_nasnet.search.plan import Plan
from keras_nasnet.search.rungs import Rungs
from keras_nasnet.search.scale import Scale
from keras_nasnet.training.budget import Pace


@pytest.mark.slow
def test_search_and_go_on(capsys, tmp_path):
    out = tmp_path / "run"
    arguments = ["search", "--data", "digits", "--blocks", "1", "--num-cells", "1"]
    arguments += ["--filters", "2", "--searcher", "random", "--trials", "1", "--out", out]
    arguments += ["--set", "epochs=1", "batch_size=256"]
    assert run(capsys, *arguments)[0] == 0
    status, printed, _ = run(capsys, "search", "--resume", out, "--trials", "2")
    assert status == 0
    assert re.findall(r"^ +(\d) +0\.\d{4}", printed, re.MULTILINE) == ["1"]
    assert (out / "report.html").is_file()
    status, _, err = run(capsys, "search", "--resume", out, "--filters", "4")
    assert status == 2
    assert "leave out --filters" in err
    assert run(capsys, "info", out / "best.json", "--stem", "cifar")[0] == 0


@pytest.mark.slow
def test_a_search_of_which_all_trials_fail(capsys, tmp_path, monkeypatch):
    """Of too great a learning rate; the next ones are spared it."""
    out = tmp_path / "run"
    arguments = ["search", "--data", "digits", "--blocks", "1", "--num-cells", "1"]
    arguments += ["--filters", "2", "--searcher", "random", "--trials", "2", "--out", out]
    arguments += ["--finalists", "1"]
    arguments += ["--set", "epochs=1", "batch_size=256", "learning_rate=1e30", "clip_norm=1e30"]
    status, printed, err = run(capsys, *arguments)
    assert status == 1
    reason = r"FloatingPointError: the loss is \S+ at step \d+; .*"
    for number in (0, 1):
        assert re.search(rf"^ +{number} +failed +failed .* {reason}$", printed, re.MULTILINE)
        text = (out / f"trial_{number}" / "error.txt").read_text()
        assert "Traceback (most recent call last)" in text
    assert "Traceback" not in printed + err
    assert "best.json" not in printed
    assert not (out / "best.json").exists()
    file = re.escape(str(out / "trial_1" / "error.txt"))
    told = rf"^keras-nasnet: no trial succeeded; the last one: {reason} \(traceback in {file}\)$"
    assert re.search(told, err, re.MULTILINE)

    monkeypatch.setattr(NASNetTuner, "child_of", lambda self, trial, data: Counting(0.5))
    monkeypatch.setattr(NASNetTuner, "train_finalists", lambda self, *arguments, **places: None)
    status, printed, err = run(capsys, "search", "--resume", out, "--trials", "3")
    assert status == 0
    assert (out / "best.json").exists()


@pytest.mark.slow
def test_a_plan_is_measured_and_printed_alone(capsys, tmp_path):
    arguments = ["search", "--data", "digits", "--blocks", "1", "--filters", "2", "--num-cells", 1]
    arguments += ["--input-size", "16", "--images", "64", "--set", "epochs=9", "batch_size=16"]
    arguments += ["--minutes", "5"]
    status, printed, err = run(capsys, *arguments, "--out", tmp_path / "run", "--dry-run")
    assert status == 0, err
    assert "children: 16 x 16 pixels, 1 cell a stage, 2 filters; 64 images an epoch" in printed
    assert re.search(r"2 +\W +[\d,]+ +\W +3 ", printed)
    assert not (tmp_path / "run").exists()


SCALE = Scale((16, 16), 1, 2, 64, 16, 9, ("flip",))
PLAN = Plan(SCALE, Rungs((1, 3, 9)), Pace(1.0, 0.1, 1.0), 600.0, 1, replace(SCALE, epochs=4))


def test_a_search_whose_time_passes_before_a_trial_runs(capsys, tmp_path, monkeypatch):
    no_time = replace(PLAN, search_s=1e-9)
    monkeypatch.setattr("keras_nasnet.search.plan.plan_search", lambda *_, **options: no_time)
    arguments = ["search", "--data", "digits", "--out", tmp_path / "run", "--minutes", "1"]
    status, printed, err = run(capsys, *arguments)
    assert status == 1
    assert "no trial succeeded: the time limit passed before one ran" in err
    assert "best.json" not in printed


def test_a_planned_search_is_kept_and_ends_with_a_network(capsys, tmp_path, monkeypatch):
    planned = []

    def plan_search(*arguments, **options):
        planned.append(options["given"])
        return PLAN

    monkeypatch.setattr("keras_nasnet.search.plan.plan_search", plan_search)
    monkeypatch.setattr(NASNetTuner, "child_of", lambda self, trial, data: Counting(0.5))
    monkeypatch.setattr(NASNetTuner, "train_best", lambda self, data, final, **places: 0.625)
    out = tmp_path / "run"
    arguments = ["search", "--data", "digits", "--blocks", "1", "--filters", "2", "--trials", "4"]
    status, printed, err = run(capsys, *arguments, "--minutes", "20", "--out", out)
    assert status == 0, err
    assert planned == [{"filters": 2}]
    assert "10.0 minutes of search; then a network of the best cell" in printed
    assert f"{out / 'best'} has it: validation accuracy 62.50%" in printed
    settings = json.loads((out / "search.json").read_text())
    assert (settings["input_size"], settings["images"], settings["rungs"]) == ([16, 16], 64, 3)
    assert {"epochs=9", "augmentation=flip", "steps_per_epoch=4"} <= {*settings["set"]}
    resume = ["search", "--resume", out, "--trials", "5", "--minutes", "21"]
    status, printed, err = run(capsys, *resume)
    assert status == 0, err
    assert len(planned) == 1, "what was planned stays"
    plan = json.loads((out / "search.json").read_text())["plan"]
    assert plan["search_s"] == 660, "a minute more"
