"""State dicts of the PyTorch networks: timm's, and Cadene's from which timm's come."""

import io
import mmap
import pickletools
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from keras_nasnet.optional import import_optional
from keras_nasnet.weights.archive import check_sizes
from keras_nasnet.weights.array import Array, Pairs
from keras_nasnet.weights.naming import cell_names, counts_reduction, drop_background, names_of

# Cadene's Mobile is Large with cells left out: its numbers are 0-3, 6-9 and 12-15.
STAGE_LENGTH = 6
COUNTER = "num_batches_tracked"
PARTS_OF_OLD_FORMAT = 5  # magic number, version, system, state dict, keys of the storages
ZIP_MAGIC = b"PK\x03\x04"  # by which PyTorch tells its format from that before 1.6
# What a state dict is made of. PyTorch itself allows more, such as a bytearray of any size.
SAFE_NAMES = re.compile(
    r"collections OrderedDict|torch Size|torch\._utils _rebuild_(tensor|tensor_v2|parameter)"
    r"|torch (Double|Float|Half|BFloat16|Long|Int|Short|Char|Byte|Bool)Storage"
)

_EDGE = "{cell}.comb_iter_{block}_{side}"
UNITS = {
    "stem": ("conv0.conv", "conv0.bn"),
    "classifier": ("last_linear", ""),
    "current": ("{cell}.conv_1x1.conv", "{cell}.conv_1x1.bn"),
    "previous": ("{cell}.conv_prev_1x1.conv", "{cell}.conv_prev_1x1.bn"),
    "previous_reduction": ("{cell}.path_{path}.conv", "{cell}.final_path_bn"),
    "separable": (f"{_EDGE}.separable_{{number}}", f"{_EDGE}.bn_sep_{{number}}"),
    "edge": (f"{_EDGE}.conv", f"{_EDGE}.bn"),
}
PNASNET_UNITS = UNITS | {
    "stem": ("conv_0.conv", "conv_0.bn"),
    "previous_reduction": (
        "{cell}.conv_prev_1x1.path_{path}.conv",
        "{cell}.conv_prev_1x1.final_path_bn",
    ),
}
WEIGHTS = {
    "kernel": ".weight",
    "depthwise_kernel": ".depthwise_conv2d.weight",
    "pointwise_kernel": ".pointwise_conv2d.weight",
    "bias": ".bias",
    "gamma": ".weight",
    "beta": ".bias",
    "moving_mean": ".running_mean",
    "moving_variance": ".running_var",
}


def read_pickle(path: Path, limit: int) -> dict[str, Array]:
    """The tensors of a `.pth` file by name; no code in it is run.

    Args:
        path: of the file.
        limit: int, the most bytes that it may declare.

    Raises:
        ValueError: if PyTorch is not installed, or the file declares more or holds something else.
    """
    torch = import_optional("torch", "torch")
    with path.open("rb") as stream:
        _check_pickle(stream, limit)
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = state.get("state_dict", state) if isinstance(state, dict) else None
    if not state or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError("it holds no dictionary of tensors")
    return {
        str(name): Array(
            str(name), tuple(tensor.shape), lambda tensor=tensor: tensor.detach().float().numpy()
        )
        for name, tensor in state.items()
    }


def _check_pickle(stream: BinaryIO, limit: int) -> None:
    """Refuses sizes and names that are those of no state dict."""
    if stream.read(len(ZIP_MAGIC)) == ZIP_MAGIC:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            check_sizes(members, limit)
            for member in members:
                if member.file_size != member.compress_size:
                    raise ValueError(f"{member.filename} is compressed, which PyTorch does not do")
                if member.filename.lower().endswith("/data.pkl"):
                    _check_names(io.BytesIO(archive.read(member)))
        return
    # Not the stream: it takes the memory that a string declares before it reads.
    with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for _ in range(PARTS_OF_OLD_FORMAT):
            _check_names(content)


def _check_names(content) -> None:
    for operation, argument, _ in pickletools.genops(content):
        if operation.name == "GLOBAL" and not SAFE_NAMES.fullmatch(argument):
            raise ValueError(f"it names {argument}, which is no part of a state dict")


def pair(arrays: Mapping[str, Array], variables: Mapping) -> Pairs:
    """What of a state dict goes where, with the axes of our kernels.

    Args:
        arrays: of the state dict, by name.
        variables: ours by path, of which the shapes are used.
    """
    in_one_count = counts_reduction(arrays)
    cells = cell_names(variables, in_one_count, None if in_one_count else STAGE_LENGTH)
    names = names_of(variables, PNASNET_UNITS if in_one_count else UNITS, WEIGHTS, cells)
    pairs = Pairs({p: _transposed(p, arrays[name]) for p, name in names.items() if name in arrays})
    layers = {name.rpartition(".")[0] for name in names.values()}
    for name in sorted(arrays.keys() - names.values()):
        layer, _, last = name.rpartition(".")
        if last == COUNTER and layer in layers:
            pairs.skip("counts of training steps", name)
        else:
            pairs.found[name] = arrays[name]
    drop_background(pairs, variables)
    return pairs


def _transposed(path: str, array: Array) -> Array:
    """From (out, in, height, width) to (height, width, in, out), and the depthwise and dense."""
    if len(array.shape) == 4:
        return array.transposed((2, 3, 0, 1) if path.endswith("depthwise_kernel") else (2, 3, 1, 0))
    return array.transposed((1, 0)) if len(array.shape) == 2 else array
