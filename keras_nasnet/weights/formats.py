"""Weight files of every format, recognised by content and read with nothing in them trusted."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import h5py
from safetensors import safe_open

from keras_nasnet.weights.archive import KERAS_MEMBER, read_member
from keras_nasnet.weights.array import Array
from keras_nasnet.weights.bundle import TABLE_MAGIC
from keras_nasnet.weights.hdf5 import WeightFile, read_weights
from keras_nasnet.weights.limit import MAX_HEADER_BYTES
from keras_nasnet.weights.slim import read_checkpoint
from keras_nasnet.weights.timm import read_pickle

OWN_NAME = "stem/kernel"


@dataclass(frozen=True, slots=True)
class NamedArrays:
    """The arrays of an open file that has a name for each.

    Args:
        arrays: by name.
        layout: whose names they are: slim's, the PyTorch networks', or ours.
    """

    arrays: dict[str, Array]
    layout: Literal["slim", "torch", "own"]


@contextmanager
def open_weights(path: Path, limit: int) -> Iterator[WeightFile | NamedArrays]:
    """Opens a weight file.

    Args:
        path: of an HDF5 file, a `.keras` archive, a `.safetensors` or `.pth` file, or of the
            `.index` of a TensorFlow checkpoint.
        limit: int, the most bytes that a packed file may declare, see `max_bytes`.

    Yields:
        Its arrays, good as long as the context lasts.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file, if it is none of these, or for whatever goes wrong within
            the context: the libraries have many exceptions for damaged files.
    """
    with open(path, "rb") as stream:
        try:
            with _open(path, stream, limit) as file:
                yield file
        except Exception as error:
            reason = getattr(error, "message", None) or (error.args or [type(error).__name__])[0]
            raise ValueError(f"{path} cannot be loaded: {reason}") from error


@contextmanager
def _open(path: Path, stream, limit: int) -> Iterator[WeightFile | NamedArrays]:
    start = stream.read(9)
    stream.seek(0, 2)
    stream.seek(max(0, stream.tell() - len(TABLE_MAGIC)))
    end = stream.read()
    if zipfile.is_zipfile(stream):
        with zipfile.ZipFile(stream) as archive:
            is_pickle = any(name.endswith("/data.pkl") for name in archive.namelist())
            if not is_pickle:
                with h5py.File(read_member(archive, KERAS_MEMBER, limit), "r") as file:
                    yield read_weights(file)
                return
        yield NamedArrays(read_pickle(path, limit), "torch")
    elif end == TABLE_MAGIC:
        yield NamedArrays(read_checkpoint(path), "slim")
    elif start[8:] == b"{":
        if int.from_bytes(start[:8], "little") > MAX_HEADER_BYTES:
            raise ValueError(f"its header declares more than {MAX_HEADER_BYTES:,} bytes")
        with safe_open(path, "numpy") as file:
            arrays = {name: _safetensor(file, name) for name in file.keys()}  # noqa: SIM118
            yield NamedArrays(arrays, "own" if OWN_NAME in arrays else "torch")
    elif start.startswith(b"\x80"):  # PyTorch's format before 1.6
        yield NamedArrays(read_pickle(path, limit), "torch")
    else:
        with h5py.File(path, "r") as file:
            yield read_weights(file)


def _safetensor(file, name: str) -> Array:
    shape = tuple(file.get_slice(name).get_shape())
    return Array(name, shape, lambda: file.get_tensor(name))
