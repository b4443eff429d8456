"""`keras-nasnet convert`, `list` and `embed`."""

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from support.command import run
from support.networks import assert_same_weights, one_block, randomize, tiny, weights_of
from support.pictures import encoded
from support.slim import SlimNetwork, random_arrays, with_training_state, write_checkpoint

import keras_nasnet
from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.inference.classifier import Classifier
from keras_nasnet.weights.manifest import WEIGHTS

NETWORK = ["--model", "NASNET_A", "--num-cells", "1", "--penultimate-filters", "96"]


@pytest.fixture
def checkpoint(tmp_path):
    arrays = random_arrays(SlimNetwork(3, 4, 32, 1001, auxiliary_map=(4, 4)).variables)
    return write_checkpoint(with_training_state(arrays), tmp_path / "model.ckpt")


@pytest.mark.parametrize(
    "ending",
    [
        "safetensors",
        pytest.param("weights.h5", marks=pytest.mark.slow),
        pytest.param("keras", marks=pytest.mark.slow),
    ],
)
def test_convert(capsys, tmp_path, checkpoint, ending):
    out = tmp_path / f"network.{ending}"
    status, printed, err = run(capsys, "convert", checkpoint, out, *NETWORK)
    assert status == 0, err
    assert re.search(r"cell_02 +│ +\d+ │ +[\d,]+ │ cell_2/", printed)
    assert re.search(r"auxiliary +│ +12 │", printed)
    options = {"classes": 1000, "auxiliary": True, "input_shape": (224, 224, 3)}
    wanted = weights_of(tiny(weights=checkpoint, **options))
    assert_same_weights(tiny(weights=out, **options), wanted)
    card = Path(f"{out}.md").read_text()
    index = Path(f"{checkpoint}.index").read_bytes()
    assert hashlib.sha256(index).hexdigest() in card
    for words in ("NASNet-A (1 @ 96), 1000 classes", "slim", "same as the source", "background"):
        assert words in card
    assert re.search(r"optimizer state: \d+ arrays, such as `aux_1/", card)


def test_convert_writes_nothing_where_the_file_does_not_fit(capsys, tmp_path, checkpoint):
    out = tmp_path / "network.safetensors"
    before = sorted(tmp_path.iterdir())
    for arguments, message in (
        ([checkpoint, out], "its classifier does not identify its network"),
        ([checkpoint, out, *NETWORK[:-1], "192"], "cannot be loaded"),
        ([checkpoint, tmp_path / "network.npz", *NETWORK], "wanted a file ending in .safetensors"),
        ([tmp_path / "absent", out, *NETWORK], "absent is not a file"),
    ):
        status, _, err = run(capsys, "convert", *arguments)
        assert status == 2
        assert message in err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
def test_a_published_network_is_told_by_its_classifier(capsys, tmp_path):
    arrays = random_arrays(SlimNetwork(12, 44, 32, 1001).variables)
    checkpoint = write_checkpoint(arrays, tmp_path / "model.ckpt")
    out = tmp_path / "mobile.safetensors"
    arguments = ["convert", checkpoint, out, "--raw", "--licence", "Apache-2.0"]
    status, _, err = run(capsys, *arguments)
    assert status == 0, err
    card = Path(f"{out}.md").read_text()
    assert "`keras_nasnet.NASNetMobile`" in card
    assert "| licence | Apache-2.0 |" in card
    keras_nasnet.NASNetMobile(weights=out)


def test_list(capsys):
    status, printed, _ = run(capsys, "list")
    assert status == 0
    for weights in WEIGHTS:
        assert weights.model in MODELS
        assert weights.model in printed
    assert "hf://timm/" in printed
    assert "No weights are published for NASNetCIFAR, AmoebaNetA" in printed
    assert re.search(r"NASNetLarge +│.*│ +356 │ Apache-2.0", printed)


@pytest.mark.parametrize("ending", ["npy", "parquet"])
def test_embed(capsys, tmp_path, ending):
    model = randomize(one_block())
    model.save(tmp_path / "model.keras")
    good, bad = tmp_path / "grey.png", tmp_path / "bad.png"
    good.write_bytes(encoded("L").read())
    bad.write_text("text")
    out = tmp_path / f"features.{ending}"
    arguments = ["embed", good, bad, "--model", tmp_path / "model.keras", "--out", out]
    status, printed, err = run(capsys, *arguments)
    assert status == 1, "an image could not be read"
    assert "bad.png: not an image" in err
    assert "1 images, 32 features each" in printed
    if ending == "npy":
        features = np.load(out)
    else:
        table = pytest.importorskip("pyarrow.parquet").read_table(out)
        assert table["image"].to_pylist() == [str(good), str(bad)]
        features = np.array(table["features"].to_pylist(), "float32")
    assert features.shape == (2, 32)
    assert np.isnan(features[1]).all()
    # The classifier on them gives what the model gives.
    kernel, bias = weights_of(model)[-2:]
    logits = features[:1] @ kernel + bias
    probabilities = np.exp(logits) / np.exp(logits).sum()
    classifier = Classifier(model)
    [(_, best)] = classifier.classify([good], top=10)
    wanted = {int(name): value for name, value in best}
    np.testing.assert_allclose([wanted[i] for i in range(10)], probabilities[0], atol=1e-5)


def test_embed_refuses_other_formats(capsys, tmp_path):
    status, _, err = run(capsys, "embed", "a.jpg", "--out", tmp_path / "features.csv")
    assert status == 2
    assert "wanted a file ending in .npy or .parquet" in err
