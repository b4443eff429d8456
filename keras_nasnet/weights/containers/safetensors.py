"""Safetensors files, whose header size is checked before the header is read."""

from functools import partial
from typing import Any

from safetensors import safe_open

from keras_nasnet.weights.array import Array
from keras_nasnet.weights.file import File
from keras_nasnet.weights.limit import MAX_HEADER_BYTES


def read_safetensors(file: File) -> dict[str, Array] | None:
    """The arrays of a safetensors file by name; None if it is not one.

    Raises:
        ValueError: if its header declares too much.
    """
    start = file.start(9)
    if start[8:] != b"{":
        return None
    if int.from_bytes(start[:8], "little") > MAX_HEADER_BYTES:
        raise ValueError(f"its header declares more than {MAX_HEADER_BYTES:,} bytes")
    opened = file.resources.enter_context(safe_open(file.path, "numpy"))
    return {name: _array(opened, name) for name in opened.keys()}  # noqa: SIM118


def _array(opened: Any, name: str) -> Array:
    shape = tuple(opened.get_slice(name).get_shape())
    return Array(name, shape, partial(opened.get_tensor, name))
