"""The list of weight formats: one more row is all that a new one takes."""

import runpy
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from support.command import run
from support.networks import ONE_BLOCK, assert_same_weights, one_block, randomize, weights_of
from support.weight_files import refused

import keras_nasnet
from keras_nasnet.atomic import replace_file
from keras_nasnet.cells.catalog import network_of
from keras_nasnet.weights import convert, formats, load
from keras_nasnet.weights.array import Array, NamedArrays, Pairs
from keras_nasnet.weights.formats import Format
from keras_nasnet.weights.variable import model_variables

every_backend = pytest.mark.every_backend
MADE_UP = Format(__name__, "NumPy archive of nobody", "as nobody writes it", (".madeup.npz",))
CONFIG = network_of(ONE_BLOCK, "cifar", num_cells=1, penultimate_filters=32)
README = Path(__file__).parents[2] / "README.md"


def read(file):
    """As the module of a format has it: this one's names are ours from back to front."""
    if file.archive is None or "stem/kernel"[::-1] + ".npy" not in file.archive.namelist():
        return None
    stored = file.resources.enter_context(np.load(file.path, allow_pickle=False))
    arrays = {
        name: Array(name, stored[name].shape, partial(stored.__getitem__, name)) for name in stored
    }
    return NamedArrays(
        arrays, lambda variables, raw: Pairs({name[::-1]: arrays[name] for name in arrays})
    )


def save(model, path):
    values = {path[::-1]: np.array(value) for path, value in model_variables(model).items()}
    with path.open("wb") as stream:
        np.savez(stream, **values)


@every_backend
def test_a_made_up_format_is_one_row(capsys, tmp_path, monkeypatch):
    source = randomize(one_block())
    own, made_up = tmp_path / "own.safetensors", tmp_path / "network.madeup.npz"
    keras_nasnet.save_safetensors(source, own)
    with pytest.raises(ValueError, match="wanted a file ending in .safetensors"):
        convert(own, made_up, CONFIG)
    replace_file(made_up, lambda beside: save(source, beside))
    refused(one_block(), made_up, "it is an archive without model.weights.h5")
    made_up.unlink()

    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, MADE_UP))
    convert(own, made_up, CONFIG)
    assert "keras_nasnet safetensors" in Path(f"{made_up}.md").read_text()
    assert_same_weights(one_block(weights=made_up), weights_of(source))
    convert(made_up, tmp_path / "again.safetensors", CONFIG)
    assert_same_weights(one_block(weights=tmp_path / "again.safetensors"), weights_of(source))
    assert f"| {MADE_UP.title} |" in (tmp_path / "again.safetensors.md").read_text()

    status, printed, _ = run(capsys, "list")
    assert status == 0
    assert MADE_UP.title in printed
    assert ".madeup.npz" in run(capsys, "convert", "--help")[1]
    assert MADE_UP.title in load.with_formats(f"{load.LISTED}.")
    tables = runpy.run_path(str(README.parent / "weights" / "write_tables.py"))
    assert MADE_UP.title in tables["weight_formats"]()


@every_backend
def test_every_format_is_told_of_and_has_what_its_row_says():
    for each in formats.FORMATS:
        assert each.title in load.load_weights.__doc__
        assert each.code.read.__doc__
        assert hasattr(each.code, "save") == bool(each.endings)


@every_backend
def test_1001_classes_of_our_own_are_no_background_class(tmp_path):
    source = randomize(one_block(classes=1001))
    own = tmp_path / "own.safetensors"
    keras_nasnet.save_safetensors(source, own)
    convert(own, tmp_path / "again.safetensors", replace(CONFIG, classes=1001))
    again = one_block(classes=1001, weights=tmp_path / "again.safetensors")
    assert_same_weights(again, weights_of(source))
