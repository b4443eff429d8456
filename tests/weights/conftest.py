"""Files that several modules of tests read."""

import pytest
from support.networks import one_block, randomize

import keras_nasnet


@pytest.fixture(scope="session")
def saved(tmp_path_factory):
    """A network as `.keras`, as `.weights.h5` and as safetensors."""
    folder = tmp_path_factory.mktemp("saved")
    model = randomize(one_block())
    model.save(folder / "model.keras")
    model.save_weights(folder / "model.weights.h5")
    keras_nasnet.save_safetensors(model, folder / "model.safetensors")
    return folder
