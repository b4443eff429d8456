"""Files of keras.applications' NASNets: layer names, and their order in legacy files.

The order, `keras_applications.json`, is written by the repository's
`weights/write_keras_applications_order.py`.
"""

import json
import re
from collections.abc import Collection
from functools import cache, partial
from importlib import resources

from keras_nasnet.layers.network import CLASSIFIER
from keras_nasnet.weights.array import NamedArrays, Pairs, Variables
from keras_nasnet.weights.containers.keras_file import Layers, pair_layers, read_layers
from keras_nasnet.weights.file import File
from keras_nasnet.weights.naming import BATCH_NORMALIZATION, OF_TRAINING

STEM = "stem_conv1"
UNNAMED = "conv2d"  # the stem's class: before Keras 3 wrote names, it wrote only that
OPERATIONS = {  # keras.applications' branches with weights
    "normal_left1": "block_0_left",
    "normal_right1": "block_0_right",
    "normal_left2": "block_1_left",
    "normal_right2": "block_1_right",
    "normal_left5": "block_4_left",
    "reduction_left1": "block_0_left",
    "reduction_right1": "block_0_right",
    "reduction_right2": "block_1_right",
    "reduction_right3": "block_2_right",
    "reduction_left4": "block_4_left",
}


def read(file: File) -> NamedArrays | None:
    """The arrays of a legacy file, or of one that names layers as keras.applications does."""
    layers = file.once(read_layers)
    if layers is None:
        return None
    if not layers.legacy and not layers.of.keys() & {STEM, UNNAMED}:
        first = next(iter(layers.of), "(none)")
        file.hints.append(f"its layer {first} is not in keras.applications' NASNets or ours")
        return None
    return NamedArrays(layers.arrays(), partial(_pair, layers))


def _pair(layers: Layers, variables: Variables, raw: bool) -> Pairs:
    if layers.legacy:
        paths = variable_paths(_known_order(layers, variables))
        return pair_layers(layers.of, dict(zip(layers.of, paths.values(), strict=True)))
    names = {name: name for name in layers.of}
    if STEM not in names:
        names = class_order(_known_order(layers, variables))
    paths = variable_paths(names.values())
    return pair_layers(layers.of, {layer: paths[name] for layer, name in names.items()})


def _known_order(layers: Layers, variables: Variables) -> list[str]:
    """The layers of keras.applications' model of the same structure, if the file has as many."""
    backbone = {
        path for path in variables if path.partition("/")[0] not in (CLASSIFIER, *OF_TRAINING)
    }
    for order in layer_orders().values():
        names = order[:-1]  # without classifier
        paths = variable_paths(names).values()
        if backbone == {path for layer in paths for path in layer}:
            if len(layers.of) in (len(names), len(order)):
                return order[: len(layers.of)]
            raise ValueError(
                f"it has {len(layers.of)} layers with weights; "
                f"wanted {len(order)}, or {len(names)} without classifier"
            )
    raise ValueError(
        "it is not from this package, and keras.applications has no network like this model"
    )


@cache
def layer_orders() -> dict[str, list[str]]:
    """For each model, the names of its layers with weights in the order of a legacy file."""
    text = resources.files(__package__).joinpath("keras_applications.json").read_text()
    return json.loads(text)


def variable_paths(names: Collection[str]) -> dict[str, list[str]]:
    """Our variables for each layer of a keras.applications NASNet.

    Args:
        names: names of all its layers with weights.

    Returns:
        For each name, the paths of our variables in the order of the layer's weights.

    Raises:
        ValueError: if a name is not one of such a network.
    """
    reductions = [
        int(m[1]) for m in map(re.compile(r"adjust_bn_reduce_(\d+)").fullmatch, names) if m
    ]
    num_cells = min(reductions, default=0)
    return {name: _paths(name, names, num_cells) for name in names}


def _paths(name: str, names: Collection[str], num_cells: int) -> list[str]:
    if name == "predictions":
        return ["predictions/kernel", "predictions/bias"]
    if name in ("stem_conv1", "stem_bn1"):
        return ["stem/kernel"] if name == "stem_conv1" else _batch_normalization("stem")

    if match := re.fullmatch(r"separable_conv_([12])(_bn)?_([a-z]+_[a-z]+\d)_(\w+)", name):
        layer, is_norm, branch, cell = match.groups()
        if branch in OPERATIONS:
            unit = f"{_cell(cell, num_cells)}/{OPERATIONS[branch]}/separable_{int(layer) - 1}"
            if is_norm:
                return _batch_normalization(unit)
            return [f"{unit}/depthwise_kernel", f"{unit}/pointwise_kernel"]

    if match := re.fullmatch(r"(?:normal|reduction)_(conv|bn)_1_(\w+)", name):
        kind, cell = match.groups()
        unit = f"{_cell(cell, num_cells)}/current/convolution_0"
        return [f"{unit}/kernel"] if kind == "conv" else _batch_normalization(unit)

    if match := re.fullmatch(r"adjust_(?:conv_([12]|projection)|bn)_(\w+)", name):
        path, cell = match.groups()
        factorized = f"adjust_conv_1_{cell}" in names
        step = "factorized_reduction_0" if factorized else "convolution_0"
        unit = f"{_cell(cell, num_cells)}/previous/{step}"
        if path is None:
            return _batch_normalization(unit)
        return [f"{unit}/path_{path}_kernel" if factorized else f"{unit}/kernel"]

    raise ValueError(f"{name!r} is not a layer of a keras.applications NASNet")


def _batch_normalization(unit: str) -> list[str]:
    return [f"{unit}/batch_normalization/{weight}" for weight in BATCH_NORMALIZATION]


def _cell(name: str, num_cells: int) -> str:
    """Our name for a cell. Their numbers skip one after the first stage's `num_cells`."""
    if name in ("stem_1", "stem_2"):
        return f"stem_cell_{int(name[-1]) - 1}"
    if name in (f"reduce_{num_cells}", f"reduce_{2 * num_cells}"):
        return f"reduction_cell_{int(name != f'reduce_{num_cells}')}"
    if not name.isdigit():
        raise ValueError(f"{name!r} is not a cell of a keras.applications NASNet")
    return f"cell_{int(name) - (int(name) > num_cells):02d}"


def class_order(names: Collection[str]) -> dict[str, str]:
    """Layer names by class and counter, which Keras 3 used before it wrote names."""
    counts: dict[str, int] = {}
    result = {}
    for name in names:
        kind = _class_name(name)
        counter = counts.get(kind, 0)
        counts[kind] = counter + 1
        result[f"{kind}_{counter}" if counter else kind] = name
    return result


def _class_name(name: str) -> str:
    if name == "predictions":
        return "dense"
    if "bn" in name:
        return "batch_normalization"
    return "separable_conv2d" if name.startswith("separable") else "conv2d"
