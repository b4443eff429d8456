"""Downloads: the right file or nothing, one transfer, resumed, with errors that say what to do."""

import hashlib
import random

import keras
import pytest
from support.attempt import write_files
from support.downloads import fetch_at_once, kill_downloads, serve
from support.networks import assert_same_weights, randomize, weights_of

import keras_nasnet
from keras_nasnet import factory, zoo
from keras_nasnet.cells.catalog import NASNET_A, network_of
from keras_nasnet.weights import download
from keras_nasnet.weights.manifest import PUBLISHED, PublishedFile

CONTENT = random.Random(1).randbytes(300_000)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path / "models"


def file_of(content=CONTENT):
    return PublishedFile("served.h5", "file.h5", hashlib.md5(content).hexdigest())


@pytest.fixture
def server(monkeypatch):
    with serve(CONTENT) as server:
        monkeypatch.setenv(download.MIRROR, server.url)
        yield server


def test_a_file_is_downloaded_once(cache, server):
    path = download.fetch(file_of())
    assert path == cache / "file.h5"
    assert path.read_bytes() == CONTENT
    assert download.fetch(file_of()) == path
    assert server.bytes_sent == len(CONTENT)
    assert not list(cache.glob("*.part"))


@pytest.mark.parametrize("part", [CONTENT[:1000], CONTENT])
def test_a_part_is_resumed(cache, server, part):
    cache.mkdir()
    (cache / "file.h5.part").write_bytes(part)
    assert download.fetch(file_of()).read_bytes() == CONTENT
    assert server.bytes_sent == len(CONTENT) - len(part)


@pytest.mark.parametrize("name", ["file.h5.part", "file.h5"])
def test_a_bad_file_is_replaced(cache, server, name):
    cache.mkdir()
    (cache / name).write_bytes(b"another file" * 10)
    assert download.fetch(file_of()).read_bytes() == CONTENT


def test_another_file_on_the_server_is_refused(cache, server):
    with pytest.raises(ConnectionError, match="its hash is not"):
        download.fetch(file_of(b"something else"))
    assert not list(cache.glob("*.h5*[!k]")), "only the lock is left"


def test_errors_say_what_to_do(cache, monkeypatch):
    monkeypatch.setenv(download.MIRROR, "http://127.0.0.1:1")
    with pytest.raises(ConnectionError, match="127.0.0.1:1/served.h5.*KERAS_NASNET_MIRROR"):
        download.fetch(file_of())


def test_kills_leave_nothing_bad(tmp_path):
    outcomes = kill_downloads(tmp_path, 6, random.Random(0))
    assert outcomes["bad file"] == 0
    assert outcomes["whole at the end"] == 1


def test_many_at_once_take_one_transfer(tmp_path):
    assert fetch_at_once(tmp_path, 8, random.Random(0)) == (8, 1.0)


def test_published_hashes_are_those_of_keras_applications():
    from pathlib import Path

    from keras.src.applications import nasnet

    source = Path(nasnet.__file__).read_text()
    for file in PUBLISHED.values():
        assert file.base_url in source
        assert file.url_name in source
        assert file.name in source
        assert file.file_hash in source


@pytest.mark.parametrize("classes, include_top", [(10, True), (10, False), (3, True)])
def test_imagenet_weights_come_from_the_server(cache, tmp_path, monkeypatch, classes, include_top):
    """The whole way with a network and a file of the published layout, small."""
    ours, (legacy, _) = write_files(tmp_path)
    content = legacy.read_bytes()
    hashed = hashlib.md5(content).hexdigest()
    for key in (True, False):
        file = PublishedFile("served.h5", "file.h5", hashed)
        monkeypatch.setitem(factory.PUBLISHED, ("NASNetMobile", key), file)
    small = network_of(NASNET_A, num_cells=4, penultimate_filters=96, classes=10, input_size=32)
    monkeypatch.setitem(zoo.MODELS, "NASNetMobile", small)
    with serve(content) as server:
        monkeypatch.setenv(download.MIRROR, server.url)
        model = keras_nasnet.NASNetMobile(classes=classes, include_top=include_top)
    keras_nasnet.load_weights(ours, legacy)
    backbone = [w for w in ours.weights if not w.path.startswith("predictions")]
    values = [keras.ops.convert_to_numpy(w) for w in backbone]
    for weight, value in zip(model.weights, values, strict=False):
        assert (keras.ops.convert_to_numpy(weight) == value).all()


def test_a_failed_load_leaves_no_model(tmp_path):
    model = randomize(write_files(tmp_path)[0])
    values = weights_of(model)
    legacy = tmp_path / "legacy.h5"
    legacy.write_bytes(legacy.read_bytes()[:-5000])
    with pytest.raises(ValueError, match="cannot be loaded"):
        keras_nasnet.load_weights(model, legacy)
    assert_same_weights(model, values)


@pytest.mark.parametrize("name", ["file.h5", "file.h5.part", "file.h5.lock"])
def test_nothing_is_written_through_a_link(cache, server, tmp_path, name):
    cache.mkdir()
    victim = tmp_path / ".bashrc"
    victim.write_text("precious")
    (cache / name).symlink_to(victim)
    if name == "file.h5.lock":
        with pytest.raises(ConnectionError, match="file.h5.lock"):
            download.fetch(file_of())
    else:
        assert download.fetch(file_of()).read_bytes() == CONTENT
        assert not (cache / "file.h5").is_symlink()
    assert victim.read_text() == "precious"
