"""`keras-nasnet search`: what is printed and written, exit codes."""

import re

import pytest
from support.command import run
from support.works import Counting

from keras_nasnet.search import NASNetTuner


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


def test_a_search_without_a_trial(capsys, tmp_path):
    arguments = ["search", "--data", "digits", "--out", tmp_path / "run", "--seconds", "1e-9"]
    status, printed, err = run(capsys, *arguments)
    assert status == 1
    assert "no trial succeeded: the time limit passed before one ran" in err
    assert "best.json" not in printed
