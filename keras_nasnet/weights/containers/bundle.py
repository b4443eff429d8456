"""The index of a TensorFlow checkpoint, checked before TensorFlow reads it.

TensorFlow aborts the process if an entry is not a tensor, and allocates what an entry declares.
The format: tensorflow/core/lib/io/table_format.txt and protobuf/tensor_bundle.proto.
"""

import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Any

from keras_nasnet.weights.limit import MAX_HEADER_BYTES, MAX_OBJECTS

TABLE_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)  # ends the file (table_format.h)
FOOTER_BYTES, TRAILER_BYTES = 48, 5
UNCOMPRESSED = 0
ITEM_BYTES = {  # type numbers of types.proto: floats, integers, bfloat16, half
    1: 4, 2: 8, 3: 4, 4: 1, 5: 2, 6: 1, 9: 8, 14: 2, 17: 2, 19: 2, 22: 4, 23: 8,
}  # fmt: skip
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types of protocol buffers
# Tags, 8 * number + wire type, of BundleHeaderProto, BundleEntryProto and TensorShapeProto.
SHARDS, ENDIANNESS = 8, 16
DTYPE, SHAPE, SHARD, OFFSET, SIZE, CHECKSUM = 8, 18, 24, 32, 40, 53
DIMENSION, DIMENSION_SIZE = 18, 8


def check_index(index: Path) -> None:
    """Refuses an index unless each entry is a numeric array that a data file holds in full.

    The data file is `NAME.data-00000-of-00001` beside the index: no entry can name another.

    Args:
        index: path of the file ending in `.index`.

    Raises:
        ValueError: if it is damaged, compressed, too large or has other entries, or if a data file
            is missing.
    """
    if index.stat().st_size > MAX_HEADER_BYTES:
        raise ValueError(f"its index has more than {MAX_HEADER_BYTES:,} bytes")
    entries = dict(_entries(index.read_bytes()))
    header = _fields(entries.pop(b"", b""))
    if header.get(ENDIANNESS):
        raise ValueError("it was written on a machine with another byte order")
    shards = header.get(SHARDS, 0)
    sizes: dict[int, int] = {}
    for key, message in entries.items():
        name, entry = key.decode(errors="replace"), _fields(message)
        shard = entry.get(SHARD, 0)
        if shard >= shards or entry.keys() - {DTYPE, SHAPE, SHARD, OFFSET, SIZE, CHECKSUM}:
            raise ValueError(f"{name} is not a whole array")
        if shard not in sizes:
            data = index.with_suffix(f".data-{shard:05d}-of-{shards:05d}")
            if not data.is_file():
                raise ValueError(f"its data file {data.name} is missing")
            sizes[shard] = data.stat().st_size
        _check_entry(name, entry, sizes[shard])


def _check_entry(name: str, entry: dict[int, Any], data_bytes: int) -> None:
    if entry.get(DTYPE) not in ITEM_BYTES:
        raise ValueError(f"{name} does not hold numbers")
    dimensions = list(_parse(entry.get(SHAPE, b"")))
    shape = [_fields(message).get(DIMENSION_SIZE, 0) for _, message in dimensions]
    size, end = entry.get(SIZE, 0), entry.get(OFFSET, 0) + entry.get(SIZE, 0)
    is_shape = all(tag == DIMENSION for tag, _ in dimensions) and max(shape, default=0) < 1 << 32
    if not is_shape or prod(shape) * ITEM_BYTES[entry[DTYPE]] != size:
        raise ValueError(f"{name} has shape {shape} and declares {size:,} bytes")
    if end > data_bytes:
        raise ValueError(f"{name} ends at byte {end:,}; its data file has {data_bytes:,}")


def _entries(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a table."""
    footer, place, handles = data[-FOOTER_BYTES:], 0, []
    for _ in range(4):  # offset and size of an unused block, then of the block index
        value, place = _varint(footer, place)
        handles.append(value)
    last = None
    for _, handle in _block(data, *handles[2:]):
        offset, place = _varint(handle, 0)
        size, _ = _varint(handle, place)
        for key, message in _block(data, offset, size):
            if last is not None and key <= last:
                raise ValueError("the entries of its index are out of order")
            last = key
            yield key, message


def _block(data: bytes, offset: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a block; each key stores its shared prefix with the last, and the rest."""
    if offset + size + TRAILER_BYTES > len(data) or size < 4:
        raise ValueError("a block of its index ends beyond the file")
    if data[offset + size] != UNCOMPRESSED:
        raise ValueError("its index is compressed, which TensorFlow does not do")
    block = data[offset : offset + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    end = size - 4 * (restarts + 1)
    place, key, count = 0, b"", 0
    while place < end:
        shared, place = _varint(block, place)
        rest, place = _varint(block, place)
        length, place = _varint(block, place)
        count += 1
        if shared > len(key) or place + rest + length > end or count > MAX_OBJECTS:
            raise ValueError("an entry of its index is damaged")
        key = key[:shared] + block[place : place + rest]
        place += rest + length
        yield key, block[place - length : place]


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number with 7 bits per byte, and where it ends."""
    value = 0
    for shift in range(0, 70, 7):
        if place == len(data):
            break
        byte = data[place]
        place += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, place
    raise ValueError("a number in its index is unterminated")


def _fields(message: bytes) -> dict[int, Any]:
    """The fields of a protocol buffer by tag, each allowed once."""
    pairs = list(_parse(message))
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError("an entry of its index repeats a field")
    return fields


def _parse(message: bytes) -> Iterator[tuple[int, Any]]:
    """Tags and values: a number if that is the wire type, else bytes."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        if tag & 7 == VARINT:
            value, place = _varint(message, place)
            yield tag, value
            continue
        if tag & 7 == BYTES:
            length, place = _varint(message, place)
        else:
            length = {FIXED64: 8, FIXED32: 4}.get(tag & 7, len(message))
        if place + length > len(message):
            raise ValueError("an entry of its index is damaged")
        yield tag, message[place : place + length]
        place += length
