"""What an import imports, in processes of their own."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import keras_nasnet

BACKENDS = ("tensorflow", "jax", "torch")


def imported_by(code, **environment):
    """Names of the modules that a new process has imported after `code`."""
    code += "\nimport sys\nprint('MODULES', *sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent)} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.partition("MODULES ")[2].split())


@pytest.mark.every_backend
def test_importing_the_package_imports_neither_keras_nor_a_backend():
    code = "import keras_nasnet; keras_nasnet.NASNET_A; keras_nasnet.Genotype; dir(keras_nasnet)"
    code += "; keras_nasnet.search.Controller(keras_nasnet.search.SearchSpace()).ask('0')"
    assert not imported_by(code) & {"keras", "h5py", *BACKENDS}


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "nofile.keras", "a.jpg"],
        ["embed", "a.jpg", "--model", "nofile.keras", "--out", "a.npy"],
        ["export", "nofile.keras", "out"],
        ["benchmark", "nofile.keras"],
        ["convert", "nofile.h5", "out.safetensors"],
        ["train", "--data", "nofolder", "--out", "out"],
        ["train", "--data", "digits", "--weights", "nofile.h5", "--out", "out"],
    ],
    ids=" ".join,
)
def test_a_wrong_name_is_told_before_keras_is_imported(arguments):
    code = f"from keras_nasnet.cli import main; assert main({arguments!r}) == 2"
    assert "keras" not in imported_by(code)


@pytest.mark.every_backend
def test_jax_does_not_import_tensorflow(tmp_path):
    """Building, training, saving, loading and predicting."""
    if keras.config.backend() != "jax":
        pytest.skip("TensorFlow is the backend, or Keras's torch trainer imports it itself")
    code = f"""
import keras_nasnet
from support.networks import ONE_BLOCK
from keras_nasnet.cells.catalog import network_of
from keras_nasnet.data.source import open_data
from keras_nasnet.inference.classifier import Classifier
from keras_nasnet.training.recipes import recipe
from keras_nasnet.training.trainer import Job, make_model, train
data = [source.first(16) for source in open_data("digits")]
config = network_of(ONE_BLOCK, "cifar", num_cells=1, penultimate_filters=32)
job = Job(config, recipe("search-child", epochs=1, batch_size=8), "digits", (32, 32))
train(job, data, {str(tmp_path / "run")!r})
keras_nasnet.load_weights(make_model(job, 10, 1), {str(tmp_path / "run" / "model.keras")!r})
list(Classifier.load({str(tmp_path / "run")!r}).classify(data[0].items))
"""
    assert "tensorflow" not in imported_by(code)


def test_keras_loads_a_model_after_the_import_alone(tmp_path):
    from support.networks import tiny

    tiny().save(tmp_path / "model.keras")
    code = f"import keras, keras_nasnet; keras.saving.load_model({str(tmp_path / 'model.keras')!r})"
    assert "keras_nasnet.layers.cell" in imported_by(code)


def test_public_names_exist():
    for name in keras_nasnet.__all__:
        assert getattr(keras_nasnet, name).__doc__, name
        assert name in dir(keras_nasnet)
    with pytest.raises(AttributeError, match="NASNetHuge"):
        _ = keras_nasnet.NASNetHuge
