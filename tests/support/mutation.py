"""Damaged copies of weight files: their headers, their bodies, and headers that hold together.

Every damage follows from its random numbers alone. Where a format has checksums, they are made
right again, so that what lies behind them is reached too.
"""

import copy
import io
import json
import random
import shutil
import struct
import zipfile
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np

MUTATIONS = ("flip", "truncate", "swap", "remove")
NUMBERS = (0, 1, 2, 7, 255, 256, 65535, 1 << 24, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 40)
NUMBERS += ((1 << 63) - 1, 1 << 63, (1 << 64) - 1)
TYPES = ("F64", "F16", "BF16", "I64", "U8", "BOOL", "F8_E4M3", "text", "")
TABLE_FOOTER_BYTES, BLOCK_TRAILER_BYTES = 48, 5  # table/format.h


def mutate(source: Path, target: Path, kind: str, rng: random.Random) -> None:
    """Writes a damaged copy of an HDF5 file.

    Args:
        source: the file.
        target: the copy.
        kind: `"flip"` one to eight bits, `"truncate"`, `"swap"` or `"remove"` groups of layers.
        rng: where.
    """
    if kind in ("flip", "truncate"):
        data = bytearray(source.read_bytes())
        if kind == "truncate":
            del data[rng.randrange(len(data)) :]
        else:
            for _ in range(rng.randint(1, 8)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        target.write_bytes(data)
        return
    shutil.copy(source, target)
    with h5py.File(target, "r+") as file:
        groups = sorted({str(parent) for name in _datasets(file) for parent in Path(name).parents})
        first, second = rng.sample(groups[1:], 2)  # the first is the root
        if kind == "remove":
            del file[first]
        elif not first.startswith(second + "/") and not second.startswith(first + "/"):
            file.move(first, "moved")
            file.move(second, first)
            file.move("moved", second)
        else:
            file.move(first, "moved")


def mutate_bytes(data: bytes, rng: random.Random, places=None) -> bytes:
    """Damages one to four places.

    Args:
        data: of a file or a part of it.
        rng: which places, and how.
        places: list of positions to choose from; None (default) for all.
    """
    changed = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        place = int(rng.choice(places)) if places is not None else rng.randrange(max(1, len(data)))
        length = rng.choice((1, 2, 4, 8, 64))
        kind = rng.choice(("flip", "flip", "number", "number", "zero", "remove", "repeat", "cut"))
        part = changed[place : place + length]
        if kind == "flip" and part:
            part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
        elif kind == "number":
            number = rng.choice(NUMBERS).to_bytes(8, rng.choice(("little", "big")))
            part = (number[:length] if rng.random() < 0.8 else number[-length:])[: len(part)]
        elif kind == "zero":
            part = bytes(len(part))
        elif kind == "repeat":
            part = part * 2
        elif kind == "remove":
            part = b""
        elif kind == "cut" and rng.random() < 0.3:
            del changed[place:]
            continue
        changed[place : place + length] = part
    return bytes(changed)


def mutate_json(text: bytes, rng: random.Random) -> bytes:
    """Changes one to three values, keys or lengths of lists."""
    tree = json.loads(text)
    for _ in range(rng.randint(1, 3)):
        node = tree
        while isinstance(node, dict | list) and node:
            parent, keys = node, list(node) if isinstance(node, dict) else range(len(node))
            key = rng.choice(keys)
            node = parent[key]
            if rng.random() < 0.2:
                break
        node = copy.deepcopy(node)
        others = (rng.choice(NUMBERS), -1, 0.5, None, True, "", rng.choice(TYPES), [], {}, [node])
        kind = rng.random()
        if kind < 0.7:
            parent[key] = rng.choice(others)
        elif kind < 0.85:
            del parent[key]
        elif isinstance(parent, list):
            parent.append(rng.choice(NUMBERS))
        else:
            parent[rng.choice(("", "module", "class_name", "shape", "a" * 1000))] = node
    return json.dumps(tree).encode()


def mutate_hdf5(data: bytes, rng: random.Random) -> bytes:
    """Damages an HDF5 file: what is around the numbers, by bytes or as a whole file of its own."""
    if rng.random() < 0.75:
        return mutate_bytes(data, rng, _structure(data) if rng.random() < 0.9 else None)
    content = io.BytesIO(data)
    with h5py.File(content, "r+") as file:
        for _ in range(rng.randint(1, 3)):
            _change_object(file, rng)
    return content.getvalue()


def mutate_zip(data: bytes, rng: random.Random, inner) -> bytes:
    """Damages an archive: what its headers say, or a member of which the checksum is right again.

    Args:
        data: the archive.
        rng: which, and how.
        inner: function of a member's name, its content and `rng` that damages it.
    """
    if rng.random() < 0.35:
        places = [
            i + rng.randrange(46)
            for magic in (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06")
            for i in _positions(data, magic)
        ]
        return mutate_bytes(data, rng, [place for place in places if place < len(data)])
    content = io.BytesIO()
    kind = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(content, "w", kind) as new:
        chosen = rng.choice(old.namelist())
        for name in old.namelist():
            member = old.read(name)
            if name == chosen or name.endswith((".h5", "data.pkl")):
                member = inner(name, member, rng)
            if name != chosen or rng.random() < 0.9:
                new.writestr(rng.choice(("../", "/", "x")) + name if rng.random() < 0.02 else name,
                             member)  # fmt: skip
    return content.getvalue()


def mutate_safetensors(data: bytes, rng: random.Random) -> bytes:
    """Damages a safetensors file, mostly its header."""
    length = int.from_bytes(data[:8], "little")
    if rng.random() < 0.6:
        header = mutate_json(data[8 : 8 + length], rng)
        return struct.pack("<Q", len(header)) + header + data[8 + length :]
    return mutate_bytes(data, rng, range(8 + length) if rng.random() < 0.8 else None)


def mutate_table(data: bytes, rng: random.Random) -> bytes:
    """Damages the index of a TensorFlow checkpoint; its checksums are right again, mostly."""
    end = len(data) - TABLE_FOOTER_BYTES
    if rng.random() < 0.2:
        return mutate_bytes(data, rng)
    changed = bytearray(data)
    start, size = _first_block(data)
    place = rng.randrange(start, start + size)
    width = rng.choice((1, 1, 2, 4))
    part = rng.choice(NUMBERS).to_bytes(8, "little")[:width]
    if rng.random() < 0.5:
        part = bytes([data[place] ^ (1 << rng.randrange(8))])
    changed[place : place + len(part)] = part
    if rng.random() < 0.9:
        block = bytes(changed[start : start + size + 1])
        changed[start + size + 1 : start + size + BLOCK_TRAILER_BYTES] = masked_crc32c(block)
    return bytes(changed[:end]) + data[end:]


def _datasets(file: h5py.File) -> list[str]:
    names: list[str] = []
    file.visititems(lambda name, x: names.append(name) if isinstance(x, h5py.Dataset) else None)
    return names


@lru_cache(2)
def _structure(data: bytes) -> np.ndarray:
    """Positions that hold no numbers of an array."""
    is_around = np.ones(len(data), bool)
    with h5py.File(io.BytesIO(data), "r") as file:
        for name in _datasets(file):
            start, length = file[name].id.get_offset(), file[name].nbytes
            if start is not None:
                is_around[start : start + length] = False
    return np.flatnonzero(is_around)


def _change_object(file: h5py.File, rng: random.Random) -> None:
    names = _datasets(file)
    name, other = rng.choice(names), rng.choice(names)
    group, shape = file[name].parent, file[name].shape
    kind = rng.randrange(8)
    if kind == 0:
        group.attrs[rng.choice(("name", "layer_names", "weight_names"))] = rng.choice(
            ("", "x" * 5000, 3, [b"a", b"a"], ["../../x"], [1.5])
        )
        return
    if kind == 1:
        twice = rng.choice(("vars", "0", "again"))
        if twice not in file[other].parent:
            file[other].parent[twice] = group
        return
    del file[name]
    if kind == 2:
        file[name] = rng.choice((h5py.SoftLink("/"), h5py.SoftLink(other), group))
    elif kind == 3:
        file.create_dataset(name, shape, rng.choice(("f8", "f2", "i8", "u1", "S4", "c8", "V8")))
    elif kind == 4:
        file.create_dataset(name, (rng.choice(NUMBERS[:11]),), "f4")
    elif kind == 5:
        file.create_dataset(name, shape or (1,), "f4", chunks=True, compression="gzip")
    elif kind == 6:
        file.create_group(name)


def _positions(data: bytes, part: bytes) -> list[int]:
    found, place = [], data.find(part)
    while place >= 0:
        found.append(place)
        place = data.find(part, place + 1)
    return found


def _first_block(data: bytes) -> tuple[int, int]:
    """Start and length of the block that holds the entries: all before the two small ones."""
    footer, numbers = data[-TABLE_FOOTER_BYTES:], []
    for _ in range(4):
        value = shift = 0
        while True:
            byte, footer = footer[0], footer[1:]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        numbers.append(value)
    return 0, min(numbers[0], numbers[2]) - BLOCK_TRAILER_BYTES


def masked_crc32c(data: bytes) -> bytes:
    """The checksum of a block of a table."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)
