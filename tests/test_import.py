"""What an import imports, in processes of their own."""

import os
import subprocess
import sys

import keras
import pytest

import keras_nasnet

BACKENDS = ("tensorflow", "jax", "torch")


def imported_by(code, **environment):
    """Names of the modules that a new process has imported after `code`."""
    code += "\nimport sys\nprint('MODULES', *sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.partition("MODULES ")[2].split())


@pytest.mark.every_backend
def test_importing_the_package_imports_neither_keras_nor_a_backend():
    code = "import keras_nasnet; keras_nasnet.NASNET_A; keras_nasnet.Genotype; dir(keras_nasnet)"
    assert not imported_by(code) & {"keras", "h5py", *BACKENDS}


@pytest.mark.every_backend
def test_other_backends_do_not_import_tensorflow(tmp_path):
    """Building, training, saving, loading and predicting."""
    if keras.config.backend() == "tensorflow":
        pytest.skip("TensorFlow is the backend")
    code = f"""
import numpy as np, keras_nasnet
from keras_nasnet.data import open_data
from keras_nasnet.train import Settings, train
from keras_nasnet.predict import Classifier
training, validation = open_data("digits")
few = np.arange(len(training)) < 8
data = training.take(few), validation.take(few[:len(validation)])
model = keras_nasnet.NASNet(keras_nasnet.NASNET_A, 1, 96, classes=10, input_shape=(32, 32, 3))
train(model, data, {str(tmp_path / "run")!r}, Settings(epochs=1, batch_size=8))
keras_nasnet.load_weights(model, {str(tmp_path / "run" / "model.keras")!r})
list(Classifier.load({str(tmp_path / "run")!r}).classify(data[0].items))
"""
    assert "tensorflow" not in imported_by(code)


def test_keras_loads_a_model_after_the_import_alone(tmp_path):
    from conftest import tiny

    tiny().save(tmp_path / "model.keras")
    code = f"import keras, keras_nasnet; keras.saving.load_model({str(tmp_path / 'model.keras')!r})"
    assert "keras_nasnet.layers.cell" in imported_by(code)


def test_public_names_exist():
    for name in keras_nasnet.__all__:
        assert getattr(keras_nasnet, name).__doc__, name
        assert name in dir(keras_nasnet)
    with pytest.raises(AttributeError, match="NASNetHuge"):
        _ = keras_nasnet.NASNetHuge
