"""All or nothing: every array of a file is read and checked before a variable changes."""

import logging
from pathlib import Path

import h5py
import keras
import numpy as np

from keras_nasnet.weights import keras_applications
from keras_nasnet.weights.download import matches
from keras_nasnet.weights.hdf5 import WeightFile, open_weights

CLASSIFIER = "predictions"
OF_TRAINING = ("auxiliary", "training_step")  # a file or a model may lack them

log = logging.getLogger(__name__)


def load_weights(model: keras.Model, path, *, file_hash=None, new_classifier=False) -> None:
    """Loads a weight file into a NASNet of this package.

    Recognised by content, not by name: this package's models as Keras saves them (`.weights.h5`,
    `.keras`), and keras.applications' NASNetMobile and NASNetLarge, with or without top (legacy
    `.h5`, whole or weights only, and the `.weights.h5` and `.keras` of Keras 3). A model without
    classifier leaves the file's out. The auxiliary head and the training step are loaded where
    file and model have them, and left as they are otherwise.

    Args:
        model: from `NASNetMobile` and the other factories.
        path: str or `Path` of the file.
        file_hash: hexadecimal MD5 or SHA-256 that the file must have, or None.
        new_classifier: bool. If True, a classifier that the file lacks, or has for another number
            of classes, is left as it is and one line is logged. Default False: an error.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file has another hash, is damaged or foreign, or does not fit; the
            message names the layer, what came and what was wanted. The model is as it was.
    """
    path = Path(path)
    if file_hash is not None and not matches(path, file_hash):
        raise ValueError(f"{path} has not the hash {file_hash}: it is damaged or another file")
    variables = model_variables(model)
    with open_weights(path) as file:
        found = _by_variable(file, variables)
        if not any(name.startswith(f"{CLASSIFIER}/") for name in variables):
            found = {k: v for k, v in found.items() if not k.startswith(f"{CLASSIFIER}/")}
        elif new_classifier:
            _leave_classifier(path, variables, found)
        _leave_parts_of_training(variables, found)
        arrays = _check_and_read(variables, found)
    for name, array in arrays.items():
        variables[name].assign(array)


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


def _by_variable(file: WeightFile, variables) -> dict[str, h5py.Dataset]:
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


def _leave_classifier(path, variables, found) -> None:
    """Takes a classifier that does not fit the model's out of both dictionaries."""
    keys = [key for key in variables if key.startswith(f"{CLASSIFIER}/")]
    if any(key not in found or found[key].shape != variables[key].shape for key in keys):
        classes = variables[keys[-1]].shape[-1]
        log.warning("%s has no classifier of %d classes: a new one is used", path, classes)
        for key in keys:
            del variables[key]
            found.pop(key, None)


def _leave_parts_of_training(variables, found) -> None:
    """Takes what only one side has, or for another number of classes, out of both dictionaries."""
    for part in OF_TRAINING:
        ours, theirs = (
            {key: tuple(value.shape) for key, value in side.items() if key.startswith(f"{part}/")}
            for side in (variables, found)
        )
        if ours != theirs:
            for key in ours:
                del variables[key]
            for key in theirs:
                del found[key]


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
