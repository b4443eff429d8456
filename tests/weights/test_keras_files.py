"""Weight files: every layout is loaded, everything else refused, nothing half done."""

import random
import zipfile
from collections import Counter

import h5py
import keras
import numpy as np
import pytest
from support.applications import applications_nasnet, like_applications
from support.attempt import attempt, attempt_model, small_network
from support.damage import FILES, FORMATS, damage, write_small_files
from support.mutation import MUTATIONS, mutate
from support.networks import (
    assert_same_weights,
    images,
    outputs,
    randomize,
    relative_difference,
    tiny,
    weights_of,
)
from support.weight_files import refused, write_legacy

import keras_nasnet
from keras_nasnet.weights.formats import keras_applications

every_backend = pytest.mark.every_backend


def rename_layers(path):
    """The legacy file as an older Keras wrote it: other names, the same order."""
    with h5py.File(path, "r+") as file:
        names = list(file.attrs["layer_names"])
        for i, name in enumerate(names):
            file.move(name, f"layer{i}")
        file.attrs["layer_names"] = [f"layer{i}" for i in range(len(names))]


def forget_names(path):
    """The Keras 3 file as an older Keras wrote it: classes and counters alone."""
    with h5py.File(path, "r+") as file:
        file.visititems(lambda name, item: item.attrs.pop("name", None))


def remove_classifier(path):
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = [n for n in file.attrs["layer_names"] if n != "predictions"]


def test_files_of_keras_applications(tmp_path):
    theirs = randomize(applications_nasnet(classes=10))
    x = images(3, 64, 64, 3)
    wanted = outputs(theirs, x)
    write_legacy(theirs, tmp_path / "legacy.h5")
    write_legacy(theirs, tmp_path / "saved_whole.h5", "model_weights")
    write_legacy(theirs, tmp_path / "renamed.h5")
    rename_layers(tmp_path / "renamed.h5")
    theirs.save_weights(tmp_path / "keras3.weights.h5")
    theirs.save_weights(tmp_path / "unnamed.weights.h5")
    forget_names(tmp_path / "unnamed.weights.h5")
    theirs.save(tmp_path / "model.keras")
    model = like_applications(input_shape=(64, 64, 3), classes=10)
    first = None
    for path in sorted(tmp_path.iterdir()):
        randomize(model, seed=1)
        keras_nasnet.load_weights(model, path)
        first = first or weights_of(model)
        assert_same_weights(model, first)
    assert relative_difference(outputs(model, x), wanted) <= 1e-5
    remove_classifier(tmp_path / "legacy.h5")
    backbone = like_applications(
        input_shape=(64, 64, 3), include_top=False, weights=tmp_path / "legacy.h5"
    )
    assert_same_weights(backbone, first[: len(backbone.weights)])


@every_backend
def test_own_files(tmp_path):
    model = randomize(tiny(dropout_rate=0.5))
    model.compile("adam", loss="sparse_categorical_crossentropy")
    model.optimizer.build(model.trainable_variables)  # so that the file holds one
    values = weights_of(model)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    for name in ("model.keras", "model.weights.h5"):
        assert_same_weights(tiny(weights=tmp_path / name), values)
        # Into another scope and without classifier; order of layers and names hold.
        with keras.name_scope("elsewhere"):
            backbone = tiny(weights=tmp_path / name, include_top=False)
        assert_same_weights(backbone, values[: len(backbone.weights)])


def test_stored_order_is_that_of_keras_applications():
    order = [layer.name for layer in applications_nasnet().layers if layer.weights]
    assert order == keras_applications.layer_orders()["NASNetMobile"]


@pytest.mark.slow
def test_stored_order_of_large_is_that_of_keras_applications():
    model = keras.applications.NASNetLarge(weights=None, include_top=False, input_shape=(32, 32, 3))
    order = [layer.name for layer in model.layers if layer.weights]
    assert [*order, "predictions"] == keras_applications.layer_orders()["NASNetLarge"]


def test_order_names_every_variable_once():
    for name, order in keras_applications.layer_orders().items():
        from keras_nasnet.cells.catalog import MODELS
        from keras_nasnet.cells.summary import summarize

        paths = [p for ps in keras_applications.variable_paths(order).values() for p in ps]
        assert len(paths) == len(set(paths))
        cells = {path.partition("/")[0] for path in paths}
        assert cells == {row.name for row in summarize(MODELS[name])}


@every_backend
def test_a_file_that_does_not_fit_is_refused_whole(tmp_path):
    model = randomize(tiny())
    path = tmp_path / "other.weights.h5"
    keras_nasnet.NASNet(
        keras_nasnet.NASNET_A, 1, 192, classes=10, input_shape=(32, 32, 3)
    ).save_weights(path)
    refused(model, path, r"shape \(1, 1, 32, 2\); .* wants \(1, 1, 32, 1\)")
    keras_nasnet.NASNet(
        keras_nasnet.NASNET_A, 2, 96, classes=10, input_shape=(32, 32, 3)
    ).save_weights(path)
    refused(model, path, "its layer cell_01/previous/convolution_0 is not in the model")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    refused(model, path, "is not in keras.applications' NASNets or ours|no network like this")
    tiny(classes=3).save_weights(path)
    refused(model, path, r"shape \(96, 3\); predictions/kernel wants \(96, 10\)")
    tiny(include_top=False).save_weights(path)
    refused(model, path, "2 variables are missing, such as predictions/bias")


def edit(path, action):
    with h5py.File(path, "r+") as file:
        datasets = []
        file.visititems(
            lambda name, item: datasets.append(name) if isinstance(item, h5py.Dataset) else None
        )
        action(file, datasets[3])


def set_nan(file, name):
    file[name][...] = np.nan


def remove(file, name):
    del file[name]


def external(file, name):
    shape = file[name].shape
    del file[name]
    file.create_dataset(name, shape, "float32", external="/etc/hostname")


def link(file, name):
    del file[name]
    file[name] = h5py.ExternalLink("/etc/hostname", "/")


def text(file, name):
    del file[name]
    file[name] = "text"


def bomb(file, name):
    del file[name]
    file.create_dataset(name, (1 << 40,), "float32")


@pytest.mark.parametrize(
    "action, message",
    [
        (set_nan, "not finite"),
        (remove, "has 3 arrays|has 0 arrays|missing"),
        (external, "not a plain dataset"),
        (link, "is not a hard link"),
        (text, "not numbers"),
        (bomb, "its arrays are"),
    ],
)
def test_a_file_with_traps_is_refused_whole(tmp_path, action, message):
    model = randomize(tiny())
    path = tmp_path / "ours.weights.h5"
    model.save_weights(path)
    edit(path, action)
    refused(model, path, message)


def test_what_is_no_weight_file_is_refused(tmp_path):
    model = tiny()
    path = tmp_path / "file.h5"
    for content in (b"", b"text", b"\x89HDF\r\n\x1a\n" + bytes(100)):
        path.write_bytes(content)
        refused(model, path, "cannot be loaded")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("other", "text")
    refused(model, path, "model.weights.h5")
    h5py.File(path, "w").close()
    refused(model, path, "neither the Keras 2 nor the Keras 3 layout")
    refused(model, path, "does not match the hash", file_hash="0" * 32)
    with pytest.raises(ValueError, match="wanted an MD5 or SHA-256"):
        keras_nasnet.load_weights(model, path, file_hash="abc")
    with pytest.raises(FileNotFoundError):
        keras_nasnet.load_weights(model, tmp_path / "absent.h5")


def test_mutations_are_refused_whole(tmp_path):
    """Without a hash, changed numbers cannot be told; nothing else may pass or be half done."""
    model = randomize(tiny())
    path = tmp_path / "ours.weights.h5"
    model.save_weights(path)
    rng = random.Random(0)
    for i in range(24):
        kind = MUTATIONS[i % len(MUTATIONS)]
        mutate(path, tmp_path / "damaged.h5", kind, rng)
        allowed = ("refused", "loaded") if kind in ("flip", "swap") else ("refused",)
        assert attempt(model, tmp_path / "damaged.h5", None) in allowed, kind
        assert attempt(model, tmp_path / "damaged.h5", "0" * 64) == "refused"


@every_backend
def test_damaged_files_of_every_format_are_refused_or_loaded(tmp_path):
    """The first of `benchmarks/weight_files.py --fuzz 5000`, and two that took memory."""
    model = small_network()
    write_small_files(tmp_path, model)
    (tmp_path / "damaged").mkdir()
    outcomes = Counter()
    for number in (*range(56), 398, 3051):
        if (tmp_path / FILES[FORMATS[number % len(FORMATS)]]).exists():
            kind, path = damage(tmp_path, tmp_path / "damaged", number)
            outcomes[attempt_model(path) if kind == "model" else attempt(model, path, None)] += 1
    assert outcomes.keys() == {"refused", "loaded"}, outcomes
    assert outcomes.total() >= 28


def test_another_number_of_classes_makes_a_new_classifier(tmp_path, caplog):
    path = tmp_path / "thousand.weights.h5"
    source = randomize(tiny(classes=1000))
    source.save_weights(path)
    model = tiny(classes=4, weights=path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} has no classifier for 4 classes: using a new one"
    ]
    assert_same_weights(keras.Model(model.input, model.layers[-2].output), weights_of(source)[:-2])
    assert np.ptp(weights_of(model)[-2]) > 0, "the new classifier starts from random numbers"
    tiny(include_top=False).save_weights(path)
    with pytest.raises(ValueError, match="missing"):
        tiny(classes=1000, weights=path)
