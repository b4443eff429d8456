"""`.keras` files made to harm: refused before they grow, and nothing in them runs."""

import json
import sys
import zipfile

import keras
import pytest
from support.hostile_files import MIB, grown_archive, lying_archive, rewrite, traced_mib
from support.networks import assert_same_weights, one_block, weights_of
from support.weight_files import refused

import keras_nasnet
from keras_nasnet.inference.classifier import Classifier
from keras_nasnet.weights import convert
from keras_nasnet.weights.limit import FLOOR_BYTES, max_bytes

every_backend = pytest.mark.every_backend


def test_an_archive_that_grows_is_refused_before(tmp_path):
    path = grown_archive(tmp_path / "grown.keras", FLOOR_BYTES + 64 * MIB)
    model = one_block()
    for limit in (1, None):
        assert max_bytes(limit) >= FLOOR_BYTES
    peak = traced_mib(lambda: refused(model, path, "declares 335,.* wanted at most 268,435,456"))
    assert peak < 16


def test_sizes_are_those_of_the_largest_network_where_none_is_known(tmp_path):
    path = tmp_path / "declared.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", "text")
    data = bytearray(path.read_bytes())
    place = data.rfind(b"PK\x01\x02")
    data[place + 24 : place + 28] = b"\xf0\xff\xff\xff"  # 4 GiB less 16 bytes
    path.write_bytes(data)
    with pytest.raises(ValueError, match="declares 4,294,967,280 bytes"):
        convert(path, tmp_path / "out.keras")
    with pytest.raises(ValueError, match="declares 4,294,967,28"):
        Classifier.load(path)
    with pytest.raises(ValueError, match="wanted at most 268,435,456"):
        convert(path, tmp_path / "out.keras", keras_nasnet.cells.catalog.MODELS["NASNetMobile"])


def test_an_archive_that_lies_is_stopped_while_it_is_read(tmp_path, saved):
    model = one_block()
    path = lying_archive(tmp_path / "lying.keras", saved / "model.weights.h5", 64 * MIB)
    assert traced_mib(lambda: refused(model, path, "declares .* and has more")) < 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("config.json", "{}")
    with pytest.raises(ValueError, match="declares .* and has more"):
        Classifier.load(path)


def test_a_deflated_archive_is_loaded_and_other_packing_refused(tmp_path, saved):
    wanted = weights_of(one_block(weights=saved / "model.keras"))
    source = saved / "model.keras"
    path = rewrite(tmp_path / "deflated.keras", source, lambda members: None, zipfile.ZIP_DEFLATED)
    assert_same_weights(one_block(weights=path), wanted)
    assert_same_weights(Classifier.load(path).model, wanted)
    path = rewrite(tmp_path / "packed.keras", source, lambda members: None, zipfile.ZIP_BZIP2)
    refused(one_block(), path, "neither stored nor deflated")


def payload_model(path, marker):
    """A `.keras` with a Lambda whose code makes a file."""
    code = f"lambda x: (open({str(marker)!r}, 'w').close(), x)[1]"
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Lambda(eval(code))(inputs)
    x = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, x).save(path)
    marker.unlink()
    keras.saving.load_model(path, safe_mode=False)
    marker.unlink()  # so it runs where it is allowed to


@every_backend
def test_no_code_of_a_lambda_runs(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "lambda.keras"
    payload_model(path, marker)
    with pytest.raises(ValueError, match=r"lambda.keras cannot be loaded.*unsafe|Lambda"):
        Classifier.load(path)
    refused(one_block(), path, "lambda.keras")
    assert not marker.exists()


def layer_of(**config):
    """Makes the last layer of a saved model another."""

    def change(members):
        tree = json.loads(members["config.json"])
        tree["config"]["layers"][-1] |= config
        members["config.json"] = json.dumps(tree).encode()

    return change


@every_backend
def test_nothing_is_imported_or_called_that_a_config_names(tmp_path, saved, monkeypatch):
    marker = tmp_path / "marker"
    (tmp_path / "planted.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Layer: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    arguments = {"fname": "file", "origin": marker.as_uri(), "cache_dir": str(tmp_path)}
    vocabulary = {"vocabulary": "/etc/hostname"}
    saved_model = {"filepath": str(tmp_path), "call_endpoint": "serve"}
    for config in (
        {"module": "planted", "class_name": "Layer", "registered_name": "planted>Layer"},
        {"module": "os", "class_name": "system", "config": {"command": f"touch {marker}"}},
        {"module": "builtins", "class_name": "exec", "config": {"source": "1"}},
        {"module": "keras.utils", "class_name": "get_file", "config": arguments},
        {"module": "keras.layers", "class_name": "StringLookup", "config": vocabulary},
        {"module": "keras.layers", "class_name": "TFSMLayer", "config": saved_model},
    ):
        path = rewrite(tmp_path / "named.keras", saved / "model.keras", layer_of(**config))
        with pytest.raises(ValueError, match=r"named.keras cannot be loaded as a Keras model"):
            Classifier.load(path)
    assert "planted" not in sys.modules
    assert not marker.exists()


@every_backend
def test_nothing_is_written_outside_by_an_archive(tmp_path, saved):
    folder = tmp_path / "within" / "folder"
    folder.mkdir(parents=True)
    outside = tmp_path / "outside.txt"

    def add(members):
        for up in range(1, 12):
            members["../" * up + str(outside).lstrip("/")] = b"text"
        members[str(outside)] = members["assets/a.txt"] = b"text"

    path = rewrite(folder / "slip.keras", saved / "model.keras", add)
    with pytest.warns(UserWarning, match="Skipping invalid path"):
        loaded = Classifier.load(path)
    assert_same_weights(loaded.model, weights_of(one_block(weights=path)))
    assert not outside.exists()
