"""Weight files made to harm: refused before they grow, and nothing in them runs."""

import builtins
import os
import struct
import zipfile
from functools import partial

import h5py
import numpy as np
import pytest
from support.hostile_files import (
    MIB,
    Payload,
    cyclic_groups,
    declared_header,
    deep_groups,
    doubled_groups,
    entry,
    grown_chunk,
    grown_index,
    header,
    index,
    pickled,
    rewrite,
    soft_cycle,
    traced_mib,
)
from support.networks import assert_same_weights, one_block, weights_of
from support.weight_files import refused

from keras_nasnet.atomic import replace_file, replace_text
from keras_nasnet.weights.containers import hdf5
from keras_nasnet.weights.containers.bundle import check_index

every_backend = pytest.mark.every_backend


@pytest.mark.parametrize(
    "write, name, message",
    [
        (doubled_groups, "a.h5", "/layers/b is linked twice"),
        (cyclic_groups, "a.h5", "/layers/again is linked twice"),
        (soft_cycle, "a.h5", "/layers/a is not a hard link"),
        (deep_groups, "a.h5", "nested too deeply"),
        (partial(grown_chunk, size=64 * MIB), "a.h5", "vars/0 is not a plain dataset: .* h5repack"),
        (partial(declared_header, size=34 * MIB), "a.safetensors", "header declares more than"),
        (grown_index, "a.index", "a ends at byte 8,589,934,592; its data file has 12"),
    ],
)
@every_backend
def test_a_file_that_grows_or_never_ends_is_refused_before(tmp_path, write, name, message):
    refused(one_block(), write(tmp_path / name), message)


def test_objects_and_names_are_limited(tmp_path, saved, monkeypatch):
    model = one_block()
    path = tmp_path / "names.h5"
    for names, message in (
        (np.bytes_(["a", "a"]), "layer_names of / repeats a name"),
        (np.bytes_(["a" * 2000]), "layer_names of / is not a list of names"),
    ):
        with h5py.File(path, "w") as file:
            file.create_group("a")
            file.attrs["layer_names"] = names
        refused(model, path, message)
    with h5py.File(path, "w") as file:
        file["layers/a/vars/0"] = np.zeros(3, "float32")
        file["layers/a/vars"].attrs["name"] = "a" * 2000
    refused(model, path, "has a name of 2,000 characters")
    monkeypatch.setattr(hdf5, "MAX_OBJECTS", 10)
    refused(model, saved / "model.weights.h5", "more than 10 groups and arrays")


@every_backend
@pytest.mark.parametrize("is_old", [False, True])
def test_no_code_of_a_pickle_runs(tmp_path, is_old):
    pytest.importorskip("torch")
    marker, model = tmp_path / "marker", one_block()
    command = f"open({str(marker)!r}, 'w').close()"
    for payload, name in (
        (Payload(os.system, f"touch {marker}"), "posix system"),
        (Payload(builtins.exec, command), "__builtin__ exec"),
        (Payload(builtins.eval, command), "__builtin__ eval"),
        (Payload(bytearray, 3 << 30), "__builtin__ bytearray"),  # PyTorch itself allows it
    ):
        path = pickled(tmp_path / "payload.pth", {"state_dict": payload}, is_old)
        peak = traced_mib(lambda path=path, name=name: refused(model, path, f"it names {name}"))
        assert peak < 64
    assert not marker.exists()
    for declared in (b"\x8e" + struct.pack("<Q", 1 << 50), b"X" + struct.pack("<I", 2 << 30)):
        path.write_bytes(b"\x80\x02" + declared + b"text")  # seeds 398 and 3051 of the fuzzing
        refused(model, path, "expected 1125899906842624 bytes|expected 2147483648 bytes")
    assert traced_mib(lambda: refused(model, path, "expected")) < 16


@every_backend
def test_a_state_dict_that_grows_is_refused_before(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "network.pth"
    torch.save({"conv0.conv.weight": torch.zeros(16 * MIB)}, path)
    grown = rewrite(tmp_path / "grown.pth", path, lambda members: None, zipfile.ZIP_DEFLATED)
    refused(one_block(), grown, "is compressed, which PyTorch does not do")
    # A thousand million numbers that are one: nothing is made of it before its shape is known.
    numbers = torch.zeros(1, dtype=torch.half).expand(1 << 30)
    torch.save({"conv0.conv.weight": numbers}, path)
    refused(one_block(), path, "variables are missing")
    torch.save({"weight": numbers}, path)
    refused(one_block(), path, "the PyTorch networks' .*conv0.conv.weight or .* is missing")


@every_backend
@pytest.mark.parametrize(
    "entries, message",
    [
        ({b"a": entry(shard=1)}, "a is not a whole array"),
        ({b"": header(shards=3), b"a": entry(shard=2)}, "data-00002-of-00003 is missing"),
        ({b"../../elsewhere/a": entry(offset=1 << 40)}, "a ends at byte 1,099,511,627,788"),
        ({b"a": entry(dtype=7)}, "a does not hold numbers"),
        ({b"a": entry(dtype=21)}, "a does not hold numbers"),
        ({b"a": entry(shape=(1 << 40,))}, r"a has shape \[1099511627776\]"),
        ({b"a": entry(size=1)}, r"a has shape \[3\] and declares 1 bytes"),
        ({b"a": entry() + b"\x3a\x02\x0a\x00"}, "a is not a whole array"),
        ({b"a": entry() + b"\x08\x01"}, "repeats a field"),
        ({b"a": b"\xff" * 12}, "is unterminated"),
    ],
)
def test_an_index_that_points_elsewhere_is_refused(tmp_path, entries, message):
    (tmp_path / "model.data-00000-of-00001").write_bytes(bytes(12))
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "a").write_bytes(bytes(1000))
    check_index(index(tmp_path / "model.index", {b"": header(), b"a": entry()}))
    refused(one_block(), index(tmp_path / "model.index", {b"": header()} | entries), message)


@every_backend
def test_a_link_is_replaced_and_not_written_through(tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "model.txt"
    victim.write_text("precious")
    for planted in (path, tmp_path / f".{os.getpid()}.{path.name}"):
        planted.symlink_to(victim)
        replace_text(path, planted.name)
        assert victim.read_text() == "precious"
        assert not path.is_symlink()
        assert path.read_text() == planted.name
    path.unlink()
    path.symlink_to(victim)
    with pytest.raises(RuntimeError, match="no"):
        replace_file(path, lambda beside: (_ for _ in ()).throw(RuntimeError("no")))
    assert path.is_symlink(), "what could not be written replaces nothing"


@every_backend
def test_a_link_to_a_weight_file_is_read(tmp_path, saved):
    path = tmp_path / "link.safetensors"
    path.symlink_to(saved / "model.safetensors")
    wanted = weights_of(one_block(weights=saved / "model.safetensors"))
    assert_same_weights(one_block(weights=path), wanted)
    path.unlink()
    path.symlink_to("/etc/hostname")
    refused(one_block(), path, "cannot be loaded")
