"""All or nothing: every array of a file is read and checked before a variable changes."""

import logging
from dataclasses import dataclass
from math import prod
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_nasnet.atomic import replace_file
from keras_nasnet.layers.network import AUXILIARY, CLASSIFIER
from keras_nasnet.weights import keras_applications, slim, timm
from keras_nasnet.weights.array import Array, Pairs
from keras_nasnet.weights.download import matches
from keras_nasnet.weights.formats import NamedArrays, open_weights
from keras_nasnet.weights.hdf5 import WeightFile
from keras_nasnet.weights.limit import max_bytes
from keras_nasnet.weights.location import locate

OF_TRAINING = (AUXILIARY, "training_step")  # a file or a model may lack them
STEM = "stem/kernel"
RGB = 3

log = logging.getLogger(__name__)


def load_weights(
    model: keras.Model,
    path,
    *,
    file_hash=None,
    new_classifier=False,
    adapt_channels=False,
    raw=False,
) -> None:
    """Loads a weight file into a network of this package.

    Recognised by content, not by name: this package's models as Keras saves them (`.weights.h5`,
    `.keras`) and as `save_safetensors` does; keras.applications' NASNetMobile and NASNetLarge
    (legacy `.h5`, whole or weights only, and the `.weights.h5` and `.keras` of Keras 3); the
    TensorFlow checkpoints of the authors' code, slim; and the state dicts of timm's and Cadene's
    networks (`.safetensors`, `.pth`). All with or without classifier; a background class, which
    makes 1001 of ImageNet's, is left out. A model without classifier leaves the file's out. The
    auxiliary head and the training step are loaded where file and model have them, and left as
    they are otherwise.

    Args:
        model: from `NASNetMobile` and the other factories.
        path: str or `Path` of the file, of a checkpoint with or without `.index`; or a name on
            the Hugging Face hub, `"hf://timm/nasnetalarge.tf_in1k"`.
        file_hash: hexadecimal MD5 or SHA-256 that the file must have, or None. That of a
            checkpoint's `.index`, which holds checksums of its data.
        new_classifier: bool. If True, a classifier that the file lacks, or has for another number
            of classes, is left as it is and one line is logged. Default False: an error.
        adapt_channels: bool. If True, the stem's kernel of a file for RGB is made one for the
            model's number of channels: summed for one, repeated and scaled for others, as timm
            does it. Default False: another number of channels is an error.
        raw: bool. If True, a checkpoint's weights themselves are loaded where it has moving
            averages of them; default False.

    Raises:
        FileNotFoundError: if there is no such file.
        ConnectionError: if it cannot be had from the hub.
        ValueError: if the file has another hash, is damaged or foreign, or does not fit; the
            message names the layer, what came and what was wanted. The model is as it was.
    """
    path = locate(path)
    if file_hash is not None and not matches(path, file_hash):
        raise ValueError(f"{path} has not the hash {file_hash}: it is damaged or another file")
    variables = model_variables(model)
    for name, array in read_file(
        path, variables, new_classifier, adapt_channels, raw
    ).arrays.items():
        variables[name].assign(array)


@dataclass(frozen=True, slots=True)
class Reading:
    """The checked arrays of a file.

    Args:
        arrays: by the path of our variable.
        names: the file's, by that path.
        skipped: names of what is left out, by the reason.
    """

    arrays: dict[str, np.ndarray]
    names: dict[str, str]
    skipped: dict[str, list[str]]


def read_file(
    path: Path, variables, new_classifier=False, adapt_channels=False, raw=False
) -> Reading:
    """Reads and checks a file for the variables of a model, which stay as they are.

    Args:
        path: as `locate` returns it.
        variables: as `model_variables` returns them.
        new_classifier, adapt_channels, raw: as in `load_weights`.

    Raises:
        ValueError: as in `load_weights`.
    """
    variables = dict(variables)
    params = sum(prod(variable.shape) for variable in variables.values())
    with open_weights(path, max_bytes(params)) as file:
        pairs = _pairs(file, variables, raw)
        found = pairs.found
        if not any(name.startswith(f"{CLASSIFIER}/") for name in variables):
            _leave_out(pairs, CLASSIFIER)
        elif new_classifier:
            _leave_classifier(path, variables, found)
        _leave_parts_of_training(variables, pairs)
        if adapt_channels:
            _adapt_channels(path, variables, found)
        arrays = _check_and_read(variables, found)
        return Reading(arrays, {key: found[key].name for key in arrays}, pairs.skipped)


def save_safetensors(model: keras.Model, path) -> None:
    """Writes the weights of a model to a safetensors file, by the paths of its variables.

    `load_weights` and `weights=` read it; so does any other reader of safetensors.

    Args:
        model: a network of this package.
        path: str or `Path` to write; a file there is replaced once the new one is whole.
    """
    from safetensors.numpy import save_file

    arrays = {
        name: np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        for name, variable in model_variables(model).items()
    }
    metadata = {"format": "keras_nasnet", "model": model.name}
    replace_file(Path(path), lambda beside: save_file(arrays, beside, metadata))


def model_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """The weights of a model by path, such as `cell_07/block_2_left/separable_0/pointwise_kernel`.

    Whatever scope the model was built in is left out of the paths.
    """
    variables = {}
    for layer in model.layers:
        for variable in layer.weights:
            _, _, tail = variable.path.partition(f"{layer.name}/")
            variables[f"{layer.name}/{tail}"] = variable
    return variables


def _pairs(file: WeightFile | NamedArrays, variables, raw: bool) -> Pairs:
    """The file's arrays by the paths of our variables."""
    if isinstance(file, WeightFile):
        return Pairs(_by_layer(file, variables))
    if file.layout == "slim":
        return slim.pair(file.arrays, variables, raw)
    return timm.pair(file.arrays, variables) if file.layout == "torch" else Pairs(file.arrays)


def _by_layer(file: WeightFile, variables) -> dict[str, h5py.Dataset]:
    """The file's datasets by the paths of our variables."""
    own: dict[str, list[str]] = {}
    for path in variables:
        own.setdefault(path.rpartition("/")[0], []).append(path)
    if file.legacy:
        names = _known_order(file, variables)
        paths = keras_applications.variable_paths(names)
        return _pair(file.layers, dict(zip(file.layers, paths.values(), strict=True)))
    if own.keys() & file.layers.keys() - {CLASSIFIER}:
        layers = {
            name: datasets
            for name, datasets in file.layers.items()
            if not name.endswith("/seed_generator")
            and (name in own or name.partition("/")[0] not in OF_TRAINING)
        }
        own.setdefault(CLASSIFIER, [f"{CLASSIFIER}/kernel", f"{CLASSIFIER}/bias"])
        return _pair(layers, own)
    names = {name: name for name in file.layers}
    if "stem_conv1" not in names:
        names = keras_applications.class_order(_known_order(file, variables))
    paths = keras_applications.variable_paths(names.values())
    return _pair(file.layers, {layer: paths[name] for layer, name in names.items()})


def _known_order(file: WeightFile, variables) -> list[str]:
    """The layers of keras.applications' model of the same structure, as many as the file has."""
    backbone = {
        path for path in variables if path.partition("/")[0] not in (CLASSIFIER, *OF_TRAINING)
    }
    for order in keras_applications.layer_orders().values():
        names = order[:-1]  # without classifier
        paths = keras_applications.variable_paths(names).values()
        if backbone == {path for layer in paths for path in layer}:
            if len(file.layers) in (len(names), len(order)):
                return order[: len(file.layers)]
            raise ValueError(
                f"it has {len(file.layers)} layers with weights; "
                f"wanted {len(order)}, or {len(names)} without classifier"
            )
    raise ValueError(
        "it is no file of this package, and keras.applications has no network like this model"
    )


def _pair(layers, paths) -> dict[str, h5py.Dataset]:
    """Datasets by path, from datasets by layer and paths by layer."""
    pairs = {}
    for name, datasets in layers.items():
        if name not in paths:
            raise ValueError(f"its layer {name} is not in the model")
        if len(datasets) != len(paths[name]):
            raise ValueError(
                f"its layer {name} has {len(datasets)} arrays; wanted {', '.join(paths[name])}"
            )
        pairs.update(zip(paths[name], datasets, strict=True))
    return pairs


def _leave_out(pairs: Pairs, part: str) -> None:
    """Takes a part that the model has not out of what was found."""
    for key in [key for key in pairs.found if key.startswith(f"{part}/")]:
        pairs.skip(f"{part}, which the model has not", pairs.found.pop(key).name)


def _leave_classifier(path, variables, found) -> None:
    """Takes a classifier that does not fit the model's out of both dictionaries."""
    keys = [key for key in variables if key.startswith(f"{CLASSIFIER}/")]
    if any(key not in found or found[key].shape != variables[key].shape for key in keys):
        classes = variables[keys[-1]].shape[-1]
        log.warning("%s has no classifier of %d classes: a new one is used", path, classes)
        for key in keys:
            del variables[key]
            found.pop(key, None)


def _leave_parts_of_training(variables, pairs: Pairs) -> None:
    """Takes out what only one side has, or has for another number of classes or size of image."""
    for part in OF_TRAINING:
        ours, theirs = (
            {key: tuple(value.shape) for key, value in side.items() if key.startswith(f"{part}/")}
            for side in (variables, pairs.found)
        )
        if not ours or not theirs or (ours.keys() == theirs.keys() and ours != theirs):
            for key in ours:
                del variables[key]
            _leave_out(pairs, part)


def _adapt_channels(path, variables, found) -> None:
    """Makes the stem's kernel for RGB one for the model's number of channels."""
    kernel = found.get(STEM)
    *size, channels, filters = variables[STEM].shape
    if channels == RGB or kernel is None or tuple(kernel.shape) != (*size, RGB, filters):
        return
    log.warning("%s is for images in RGB: its first kernel is used for %d channels", path, channels)

    def read():  # as timm's adapt_input_conv
        rgb = np.asarray(kernel)
        if channels == 1:
            return rgb.sum(2, keepdims=True)
        repeats = -(-channels // RGB)
        return np.tile(rgb, (1, 1, repeats, 1))[:, :, :channels] * (RGB / channels)

    found[STEM] = Array(kernel.name, (*size, channels, filters), read)


def _check_and_read(variables, found) -> dict[str, np.ndarray]:
    missing, unknown = variables.keys() - found.keys(), found.keys() - variables.keys()
    if missing or unknown:
        both = [
            f"{len(paths)} variables {what}, such as {min(paths)}"
            for paths, what in ((missing, "are missing"), (unknown, "are not in the model"))
            if paths
        ]
        raise ValueError("; ".join(both))
    for path, dataset in found.items():
        if tuple(dataset.shape) != tuple(variables[path].shape):
            raise ValueError(
                f"{dataset.name} is of shape {tuple(dataset.shape)}; "
                f"{path} wants {tuple(variables[path].shape)}"
            )
    arrays = {}
    for path, dataset in found.items():
        is_float = keras.backend.is_float_dtype(variables[path].dtype)
        arrays[path] = np.asarray(dataset, "float32" if is_float else variables[path].dtype)
        if not np.isfinite(arrays[path]).all():
            raise ValueError(f"{dataset.name}, for {path}, has values that are not finite")
    return arrays
