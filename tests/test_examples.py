"""The examples run as their first lines say."""

import subprocess
import sys
from pathlib import Path

import keras
import pytest
from support.pictures import write_folder

import keras_nasnet

EXAMPLES = Path(__file__).parents[1] / "examples"


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
    assert "from its first layer on" in result.stdout
    assert keras.saving.load_model(out).output_shape == (None, 2)
