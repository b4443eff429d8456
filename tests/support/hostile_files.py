"""Weight files made to harm: small ones that grow, that are walked for ever, that run code.

python tests/support/hostile_files.py PATH    # what loading one costs, in a process of its own
"""

import io
import json
import os
import pickle
import struct
import sys
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np

from support.attempt import attempt, peak_mib, reset_peak_mib, small_network
from support.mutation import masked_crc32c

GROWN_BYTES = 6 << 30
PART_BYTES = 1 << 24
MIB = 1 << 20


def grown_archive(path: Path, size: int = GROWN_BYTES) -> Path:
    """A `.keras` of zeros, a thousandth of what it grows to."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        with archive.open("model.weights.h5", "w", force_zip64=True) as member:
            for _ in range(size // PART_BYTES):
                member.write(bytes(PART_BYTES))
    return path


def lying_archive(path: Path, source: Path, size: int) -> Path:
    """A `.keras` whose weights declare the size of `source` and have zeros behind.

    Its checksum is that of one byte more, which is where a reader stops who looks for one.
    """
    content = source.read_bytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights.h5", content + bytes(size))
    data = bytearray(path.read_bytes())
    truth = struct.pack("<I", zlib.crc32(content + bytes(size)))
    for place in (data.find(truth), data.rfind(truth)):  # the local header, the directory
        data[place : place + 4] = struct.pack("<I", zlib.crc32(content + b"\0"))
        data[place + 8 : place + 12] = struct.pack("<I", len(content))
    path.write_bytes(data)
    return path


def doubled_groups(path: Path, levels: int = 30) -> Path:
    """An HDF5 file of a group for each level, linked twice: 2 ** levels ways to the last."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers")
        for _ in range(levels):
            child = group.create_group("a")
            group["b"] = child
            group = child
        group["vars/0"] = np.zeros(3, "float32")
    return path


def cyclic_groups(path: Path) -> Path:
    """An HDF5 file with a group that holds the root."""
    with h5py.File(path, "w") as file:
        file.create_group("layers")["again"] = file["/"]
    return path


def soft_cycle(path: Path) -> Path:
    """An HDF5 file with two links, each to the other."""
    with h5py.File(path, "w") as file:
        layers = file.create_group("layers")
        layers["a"], layers["b"] = h5py.SoftLink("/layers/b"), h5py.SoftLink("/layers/a")
    return path


def deep_groups(path: Path, levels: int = 20_000) -> Path:
    """An HDF5 file whose groups are nested so deeply that the library's walk overflows."""
    with h5py.File(path, "w") as file:
        group = file.create_group("layers").id
        for _ in range(levels):
            group = h5py.h5g.create(group, b"a")
    return path


def grown_chunk(path: Path, size: int = GROWN_BYTES // 2) -> Path:
    """An HDF5 file with three numbers, in a chunk that inflates to `size` bytes."""
    with h5py.File(path, "w") as file:
        numbers = file.create_dataset(
            "layers/a/vars/0", (3,), "u1", maxshape=(None,), chunks=(size,), compression="gzip"
        )
        packer = zlib.compressobj()
        chunk = b"".join(packer.compress(bytes(PART_BYTES)) for _ in range(size // PART_BYTES))
        numbers.id.write_direct_chunk((0,), chunk + packer.flush())
    return path


def declared_header(path: Path, size: int = 90 << 20) -> Path:
    """A safetensors file with a header of nothing but arrays without numbers."""
    entry = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}
    header = json.dumps({f"{i:07}": entry for i in range(size // 66)}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


class Payload:
    """An object whose pickle calls a function."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def pickled(path: Path, content, is_old: bool = False) -> Path:
    """A `.pth` file with a pickle of its own, in PyTorch's format or that before 1.6."""
    if is_old:  # as torch.serialization._legacy_save
        parts = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}, content, [])
        path.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
        return path
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps(content, protocol=2))
        archive.writestr("a/version", "3\n")
    return path


def index(path: Path, entries: dict[bytes, bytes]) -> Path:
    """The index of a TensorFlow checkpoint with these entries, protocol buffers by name."""
    blocks = io.BytesIO()

    def add(pairs) -> bytes:
        block = b"".join(
            b"\0" + _varint(len(key)) + _varint(len(value)) + key + value
            for key, value in sorted(pairs.items())
        )
        block += struct.pack("<II", 0, 1)  # one restart, at the start
        handle = _varint(blocks.tell()) + _varint(len(block))
        blocks.write(block + b"\0" + masked_crc32c(block + b"\0"))
        return handle

    handle = add(entries)
    footer = add({}) + add({max(entries): handle})
    magic = struct.pack("<Q", 0xDB4775248B80FB57)
    path.write_bytes(blocks.getvalue() + footer.ljust(40, b"\0") + magic)
    return path


def entry(dtype=1, shape=(3,), shard=0, offset=0, size=12) -> bytes:
    """A `BundleEntryProto`."""
    sides = b"".join(b"\x12" + _sized(b"\x08" + _varint(side)) for side in shape)
    numbers = ((0x18, shard), (0x20, offset), (0x28, size))
    fields = b"".join(bytes([tag]) + _varint(number) for tag, number in numbers)
    return b"\x08" + _varint(dtype) + b"\x12" + _sized(sides) + fields


def grown_index(path: Path) -> Path:
    """The index of a checkpoint with an array of 8 GB, which its data file has not."""
    path.with_suffix(".data-00000-of-00001").write_bytes(bytes(12))
    return index(path, {b"": header(), b"a": entry(shape=(1 << 31,), size=1 << 33)})


def header(shards=1) -> bytes:
    """A `BundleHeaderProto`."""
    return b"\x08" + _varint(shards) + b"\x1a\x02\x08\x01"


def rewrite(path, source, change, kind=zipfile.ZIP_STORED):
    """A copy of an archive with other members, from a dictionary of them."""
    with zipfile.ZipFile(source) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def traced_mib(action):
    """The most memory that Python had during an action."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1] / MIB
    finally:
        tracemalloc.stop()


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _varint(number: int) -> bytes:
    data = b""
    while number > 127:
        data += bytes([number & 127 | 128])
        number >>= 7
    return data + bytes([number])


CASES = {
    "6 GB in a .keras": lambda folder: grown_archive(folder / "grown.keras"),
    "groups linked twice": lambda folder: doubled_groups(folder / "doubled.h5"),
    "a group that holds the root": lambda folder: cyclic_groups(folder / "cyclic.h5"),
    "links to each other": lambda folder: soft_cycle(folder / "soft.h5"),
    "20,000 levels": lambda folder: deep_groups(folder / "deep.h5"),
    "3 GB in a chunk": lambda folder: grown_chunk(folder / "chunk.h5"),
    "1.4 million empty arrays": lambda folder: declared_header(folder / "empty.safetensors"),
    "8 GB in an index": lambda folder: grown_index(folder / "grown.index"),
}


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    network = small_network()
    before, start = reset_peak_mib(), time.perf_counter()
    outcome = attempt(network, Path(sys.argv[1]), None)
    row = {"outcome": outcome, "s": time.perf_counter() - start, "mib": peak_mib() - before}
    print(json.dumps(row))
