"""Pickled PyTorch state dicts, read without running their code."""

import io
import mmap
import pickletools
import re
import zipfile
from functools import partial
from typing import IO, Any, BinaryIO, cast

import numpy as np

from keras_nasnet.optional import import_optional
from keras_nasnet.weights.array import Array
from keras_nasnet.weights.containers.archive import check_sizes
from keras_nasnet.weights.file import File

PICKLE = "/data.pkl"  # a member of PyTorch's archives
OLD_MAGIC = b"\x80"  # of PyTorch's format before 1.6
PARTS_OF_OLD_FORMAT = 5  # magic number, version, system, state dict, keys of the storages
ZIP_MAGIC = b"PK\x03\x04"  # by which PyTorch tells its current format from the one before 1.6
# The globals a state dict needs. PyTorch allows more, such as a bytearray of any size.
SAFE_NAMES = re.compile(
    r"collections OrderedDict|torch Size|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
    r"|torch (Double|Float|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
)


def read_state_dict(file: File) -> dict[str, Array] | None:
    """The tensors of a state dict by name; None if it is not one.

    Raises:
        ValueError: if PyTorch is not installed, or the file declares too much or holds anything
            else.
    """
    if file.archive is None:
        if file.start(len(OLD_MAGIC)) != OLD_MAGIC:
            return None
    elif not any(name.endswith(PICKLE) for name in file.archive.namelist()):
        return None
    torch = import_optional("torch", "torch")
    with file.path.open("rb") as stream:
        _check_pickle(stream, file.limit)
    state = torch.load(file.path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError("it is not a dictionary of tensors")
    return {
        str(name): Array(str(name), tuple(tensor.shape), partial(_numbers, tensor))
        for name, tensor in state.items()
    }


def _numbers(tensor: Any) -> np.ndarray:
    return tensor.detach().float().numpy()


def _check_pickle(stream: BinaryIO, limit: int) -> None:
    """Refuses sizes and names that no state dict has."""
    if stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            check_sizes(members, limit)
            for member in members:
                if member.file_size != member.compress_size:
                    raise ValueError(f"{member.filename} is compressed, which PyTorch does not do")
                if member.filename.lower().endswith(PICKLE):
                    _check_names(io.BytesIO(archive.read(member)))
        return
    # Not the stream: with it, the memory that a string declares is allocated before reading.
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for _ in range(PARTS_OF_OLD_FORMAT):
            _check_names(cast(IO[bytes], content))


def _check_names(content: IO[bytes]) -> None:
    for operation, argument, _ in pickletools.genops(content):
        if operation.name == "GLOBAL" and not SAFE_NAMES.fullmatch(str(argument)):
            raise ValueError(f"it names {argument}, which is not part of a state dict")
