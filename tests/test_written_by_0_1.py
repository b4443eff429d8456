"""A run, a search and weight files that version 0.1 wrote still open, resume and load.

`written_by_0.1/files.tar.xz` was written by commit c9002ad: a run of digits stopped at step 6 of
12, a search of two trials, and the weights of one network with what it gives for some images.
"""

import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import keras
import numpy as np
import pytest
from support.networks import ONE_BLOCK, relative_difference

import keras_nasnet
from keras_nasnet.data import open_data
from keras_nasnet.inference import Classifier
from keras_nasnet.search import NASNetTuner, SearchSpace
from keras_nasnet.training import Job, recipe, train
from keras_nasnet.training.log import read_log

FILES = Path(__file__).parent / "written_by_0.1" / "files.tar.xz"
IMAGES = np.linspace(-1, 1, 2 * 32 * 32 * 3).reshape(2, 32, 32, 3).astype("float32")

pytestmark = pytest.mark.every_backend


@pytest.fixture
def written(tmp_path):
    with tarfile.open(FILES) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def test_a_run_is_gone_on_with(written):
    run = written / "run"
    data = tuple(source.first(n) for source, n in zip(open_data("digits"), (64, 32), strict=True))
    said = []
    train(Job.of_run(run), data, run, resume=True, verbose=0, say=said.append)
    assert said == ["resuming from step 6"]
    assert [row["step"] for row in read_log(run / "log.csv")] == [4, 8, 12]
    assert Classifier.load(run).class_names == [str(digit) for digit in range(10)]


def test_a_search_is_gone_on_with(written):
    class Tuner(NASNetTuner):
        def run_trial(self, trial):
            return 0.5

    tuner = Tuner(
        SearchSpace(1, ["identity", "max_pool_3x3", "conv_1x1"], ["add"]),
        "evolution",
        max_trials=3,
        num_cells=1,
        filters=2,
        recipe=recipe("search-child", epochs=1, batch_size=512, augmentation=()),
        directory=written,
        project_name="search",
    )
    assert tuner.oracle.end_order == ["0", "1"]
    tuner.search(executor=ThreadPoolExecutor(1))
    assert [tuner.oracle.trials[key].score for key in tuner.oracle.end_order] == [0.11, 0.11, 0.5]


@pytest.mark.parametrize("name", ["model.keras", "model.weights.h5", "model.safetensors"])
def test_weights_are_loaded(written, name):
    model = keras_nasnet.NASNet(
        ONE_BLOCK, 1, 16, stem="cifar", input_shape=(32, 32, 3), classes=3, weights=written / name
    )
    scores = keras.ops.convert_to_numpy(model(IMAGES, training=False))
    assert relative_difference(scores, np.load(written / "scores.npy")) < 1e-4


def test_a_model_is_loaded(written):
    model = keras.saving.load_model(written / "model.keras")
    scores = keras.ops.convert_to_numpy(model(IMAGES, training=False))
    assert relative_difference(scores, np.load(written / "scores.npy")) < 1e-4
    assert model.get_layer("cell_00").batch_norm_momentum == 0.9
