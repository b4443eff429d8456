"""`keras-nasnet train` and `predict`: what is printed and written, exit codes."""

import csv
import json
import re

import keras
import pytest
from PIL import Image
from support.command import run
from support.networks import ONE_BLOCK
from support.pictures import encoded, write_folder


def test_train_and_predict(capsys, caplog, tmp_path):
    """A folder with broken images, trained on for two epochs and classified."""
    data, out = tmp_path / "data", tmp_path / "run"
    (tmp_path / "one_block.json").write_text(ONE_BLOCK.to_json())
    network = ["--model", tmp_path / "one_block.json", "--stem", "cifar", "--num-cells", "1"]
    network += ["--penultimate-filters", "32"]
    write_folder(data / "train", ["cat", "dog"])
    write_folder(data / "test", ["cat", "dog"], 2)
    broken = [data / "test" / "cat" / "1.jpg", data / "train" / "dog" / "0.jpg"]
    for path in broken:
        path.write_bytes(path.name.encode() + str(path).encode())
    (data / "train" / "dog" / "._1.jpg").write_bytes(b"of macOS")
    arguments = ["train", "--data", data, *network, "--input-size", "32x40", "--out", out]
    arguments += ["--set", "epochs=2", "batch_size=4", "whiten=true"]
    status, printed, err = run(capsys, *arguments, "--strict")
    assert status == 1
    reasons = [f"{path}: not an image in a known format" for path in broken]
    assert [line for line in err.splitlines() if "not an image" in line] == [
        f"keras-nasnet: {reason}" for reason in reasons
    ]
    assert err.endswith("--strict: 2 images cannot be read; nothing was trained\n")
    assert not out.exists()
    assert not caplog.messages

    status, printed, err = run(capsys, *arguments)
    assert status == 0, "images were left out"
    assert err.splitlines()[-2:] == [f"skipped: {reason}" for reason in reasons]
    assert not [message for message in caplog.messages if "not an image" in message]
    assert "3 of 4 validation images are also training images" in err
    assert re.search(r"learning rate +│ 0.003125 at first, cosine", printed)

    config = json.loads((out / "config.json").read_text())
    assert config["class_names"] == ["cat", "dog"]
    assert config["size"] == [32, 40]
    with (out / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["0", "1"]
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} < set(rows[0])
    with Image.open(out / "curves.png") as picture:
        assert picture.width > 500
    assert sorted(path.name for path in out.iterdir()) == [
        "checkpoint.npz",
        "config.json",
        "curves.png",
        "log.csv",
        "model.keras",
        "tensorboard",
    ]
    status, printed, err = run(capsys, "train", "--resume", out)
    assert "resuming from step" in printed, "of a run that has ended, nothing is left to do"
    assert "training images too" not in err, "it was told when the run began"

    good = tmp_path / "grey.png"
    good.write_bytes(encoded("L").read())
    status, printed, err = run(capsys, "predict", out, good, broken[1], "--top", "1")
    assert status == 1
    assert printed.count("cat") + printed.count("dog") == 1
    assert err.count("0.jpg") == 1
    assert run(capsys, "predict", out / "model.keras", good)[0] == 0


@pytest.mark.every_backend
def test_other_models_are_no_classifiers(capsys, tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "dense.keras")
    status, _, err = run(capsys, "predict", tmp_path / "dense.keras", "a.jpg")
    assert status == 2
    assert "wanted a model from images to classes" in err
