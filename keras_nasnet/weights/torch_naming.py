"""Names in the PyTorch networks: Cadene's, which timm adopted."""

from collections.abc import Mapping
from functools import partial

from keras_nasnet.weights.array import Array, NamedArrays, Pairs, Variables
from keras_nasnet.weights.file import File
from keras_nasnet.weights.naming import cell_names, counts_reduction, names_of

# Cadene's Mobile is Large without some cells: it has the numbers 0-3, 6-9 and 12-15.
STAGE_LENGTH = 6
COUNTER = "num_batches_tracked"

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


def named(file: File, arrays: Mapping[str, Array] | None) -> NamedArrays | None:
    """Arrays with the names of NASNet or PNASNet; None and a hint for others.

    Args:
        file: that they come from.
        arrays: by name; None if the file has none.
    """
    if arrays is None:
        return None
    stems = [units["stem"][0] + WEIGHTS["kernel"] for units in (UNITS, PNASNET_UNITS)]
    if not arrays.keys() & set(stems):
        file.hints.append(f"the PyTorch networks' {' or '.join(stems)} is missing")
        return None
    return NamedArrays(arrays, partial(_pair, arrays), has_background=True)


def _pair(arrays: Mapping[str, Array], variables: Variables, raw: bool) -> Pairs:
    """The array with its axes in the order of our kernels."""
    in_one_count = counts_reduction(arrays)
    cells = cell_names(variables, in_one_count, None if in_one_count else STAGE_LENGTH)
    names = names_of(variables, PNASNET_UNITS if in_one_count else UNITS, WEIGHTS, cells)
    pairs = Pairs({p: _transposed(p, arrays[name]) for p, name in names.items() if name in arrays})
    layers = {name.rpartition(".")[0] for name in names.values()}
    for name in sorted(arrays.keys() - names.values()):
        layer, _, last = name.rpartition(".")
        if last == COUNTER and layer in layers:
            pairs.skip("training step counters", name)
        else:
            pairs.found[name] = arrays[name]
    return pairs


def _transposed(path: str, array: Array) -> Array:
    """From (out, in, height, width) to (height, width, in, out); also depthwise and dense."""
    if len(array.shape) == 4:
        return array.transposed((2, 3, 0, 1) if path.endswith("depthwise_kernel") else (2, 3, 1, 0))
    return array.transposed((1, 0)) if len(array.shape) == 2 else array
