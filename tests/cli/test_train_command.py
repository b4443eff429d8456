"""`keras-nasnet train` and `predict`: what is printed and written, exit codes."""

import csv
import json
import re

import keras
import pytest
from PIL import Image
from support.command import run
from support.networks import ONE_BLOCK, one_block
from support.pictures import encoded, write_folder

from keras_nasnet.training import callback


def test_train_and_predict(capsys, caplog, monkeypatch, tmp_path):
    """A folder with broken images, trained on for two epochs and classified."""
    monkeypatch.setattr(callback, "LINE_S", 0)
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
    assert re.search(r"^step 1 of 4 - accuracy: \d\.\d{4} - loss: \d", printed, re.MULTILINE)
    assert not {"\r", "\b", "\x1b"} & {*printed + err}, "no bars and no colors without a terminal"

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
        "report.html",
        "tensorboard",
    ]
    accuracy = re.search(r"model.keras: validation accuracy (\S+) \(95% interval: ", printed)[1]
    page = (out / "report.html").read_text()
    assert f"<dd>{accuracy}</dd>" in page
    assert str(broken[0]) in page
    assert "epochs" in page
    (out / "report.html").unlink()
    status, printed, err = run(capsys, "train", "--resume", out, "--no-report")
    assert not (out / "report.html").exists()
    assert "resuming from step" in printed, "of a run that has ended, nothing is left to do"
    assert "training images too" not in err, "it was told when the run began"

    good = tmp_path / "grey.png"
    good.write_bytes(encoded("L").read())
    status, printed, err = run(capsys, "predict", out, good, broken[1], "--top", "1")
    assert status == 1
    assert printed.count("cat") + printed.count("dog") == 1
    assert err.count("0.jpg") == 1
    assert run(capsys, "predict", out / "model.keras", good)[0] == 0

    check_evaluation(capsys, tmp_path, out, data)


def check_evaluation(capsys, tmp_path, out, data):
    """Of a run: on its own validation images, on others, and on those it has no classes for."""
    status, printed, err = run(capsys, "evaluate", out, "--csv", tmp_path / "all.csv")
    assert status == 0
    assert "images            │ 3, 1 left out" in printed
    assert err.count("1.jpg: not an image in a known format") == 1
    with (tmp_path / "all.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["image"], row["true"]) for row in rows] == [
        (str(data / "test" / name), name[:3]) for name in ("cat/0.jpg", "dog/0.jpg", "dog/1.jpg")
    ]
    for row in rows:
        assert {row["predicted"], row["predicted_2"]} == {"cat", "dog"}
        assert float(row["probability"]) >= 0.5
    page = (out / "evaluation.html").read_text()
    assert "0 of 3 images looked at are nearly equal to one of 9" in page, "they are all red"
    assert "3 of 4 validation images are also training images" in page

    write_folder(tmp_path / "more", ["dog"], 2)
    page = tmp_path / "page.html"
    status, printed, err = run(capsys, "evaluate", out, "--data", tmp_path / "more", "--out", page)
    assert (status, err) == (0, "")
    assert printed.endswith(f"{page}\n")
    assert "No images of <bdi>cat</bdi>" in page.read_text()

    write_folder(tmp_path / "more", ["cats"], 1)
    status, printed, err = run(capsys, "evaluate", out, "--data", tmp_path / "more")
    assert (status, printed) == (2, "")
    assert "no class 'cats'; did you mean cat? its 2 classes are cat, dog" in err


@pytest.mark.every_backend
def test_other_models_are_no_classifiers(capsys, tmp_path):
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "dense.keras")
    status, _, err = run(capsys, "predict", tmp_path / "dense.keras", "a.jpg")
    assert status == 2
    assert "wanted a model from images to classes" in err


def test_fine_tuning_says_and_keeps_what_it_chose(capsys, tmp_path):
    data, out = tmp_path / "data", tmp_path / "run"
    (tmp_path / "one_block.json").write_text(ONE_BLOCK.to_json())
    write_folder(data, ["cat", "dog"], 5)
    weights = tmp_path / "model.weights.h5"
    one_block(classes=3).save_weights(weights)
    arguments = ["train", "--data", data, "--model", tmp_path / "one_block.json", "--num-cells"]
    arguments += ["1", "--penultimate-filters", "32", "--stem", "cifar", "--input-size", "32"]
    arguments += ["--weights", weights, "--out", out]
    status, _, err = run(capsys, *arguments, "--minutes", "0")
    assert status == 2
    assert "minutes: wanted a number > 0, got 0.0" in err
    status, printed, _ = run(capsys, *arguments, "--set", "epochs=1", "batch_size=4")
    assert status == 0
    assert re.search(r"^augmentation=pad_crop,flip: images of \d+ pixels", printed, re.MULTILINE)
    assert re.search(r"^linear_head=true: ", printed, re.MULTILINE)
    assert "epochs=" not in printed, "what is given is not chosen"
    assert "a linear classifier on the frozen network: validation accuracy" in printed
    config = json.loads((out / "config.json").read_text())
    assert config["choices"].keys() >= {"augmentation", "linear_head", "patience"}
    assert config["recipe"]["augmentation"] == ["pad_crop", "flip"]
    assert config["linear"].keys() == {"val_accuracy", "val_loss"}
