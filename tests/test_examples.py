"""The examples run as their first lines say."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import keras
import pytest
from support import TESTS
from support.pictures import write_folder
from support.searches import counting
from support.works import Counting, steps_of

import keras_nasnet
from keras_nasnet.search import NASNetTuner

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch):
    """Imports an example."""
    monkeypatch.syspath_prepend(EXAMPLES)
    return import_module


@pytest.mark.slow
def test_search_ray(tmp_path, example, monkeypatch):
    ray = pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(EXAMPLES.parent), TESTS)))
    ray.init(num_cpus=2, include_dashboard=False)
    try:
        search = counting(tmp_path, 4, steps=5, step_s=0.05)
        search.search(executor=example("search_ray").RayExecutor(), num_workers=2)
    finally:
        ray.shutdown()
    assert sorted(search.oracle.end_order) == ["0", "1", "2", "3"]
    steps = [steps_of(Path(search.get_trial_dir(key))) for key in "0123"]
    assert [[step for step, _ in each] for each in steps] == [[*range(5)]] * 4
    assert os.getpid() not in {pid for each in steps for _, pid in each}


@pytest.mark.slow
def test_cluster_of_this_machine(tmp_path, example, monkeypatch, capsys):
    monkeypatch.setattr(NASNetTuner, "child_of", lambda self, trial, data: Counting(0.5))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["local.py", "--trials", "2", "--workers", "1"])
    example("cluster.local").main()
    assert capsys.readouterr().out.count("0.5000") >= 2
    assert {path.name for path in tmp_path.glob("*/trial_*")} == {"trial_0", "trial_1"}


@pytest.mark.every_backend
def test_finetune(tmp_path):
    if keras.config.backend() != "torch":
        pytest.skip("compiling the training of NASNetMobile takes minutes; torch does not compile")
    write_folder(tmp_path / "photos", ["cat", "dog"])
    weights = tmp_path / "mobile.weights.h5"
    keras_nasnet.NASNetMobile(weights=None).save_weights(weights)
    out = tmp_path / "finetuned.keras"
    command = [sys.executable, EXAMPLES / "finetune.py", tmp_path / "photos"]
    command += ["--weights", weights, "--size", "32", "--epochs", "1", "--out", out]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "a linear classifier on the frozen network" in result.stdout
    assert keras.saving.load_model(out).output_shape == (None, 2)
