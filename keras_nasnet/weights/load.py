"""All or nothing: every array of a file is read and checked before a variable changes."""

import logging
from dataclasses import dataclass
from math import prod
from os import PathLike
from pathlib import Path
from textwrap import fill

import keras
import numpy as np

from keras_nasnet.layers.network import CLASSIFIER
from keras_nasnet.weights import formats
from keras_nasnet.weights.array import Array, NamedArrays, Pairs
from keras_nasnet.weights.download import matches
from keras_nasnet.weights.file import open_weights
from keras_nasnet.weights.limit import max_bytes
from keras_nasnet.weights.location import locate
from keras_nasnet.weights.naming import OF_TRAINING, STEM, drop_background
from keras_nasnet.weights.variable import model_variables

RGB = 3
LISTED = "one of `keras_nasnet.weights.FORMATS`"  # in a docstring, before they are listed

log = logging.getLogger(__name__)


def load_weights(
    model: keras.Model,
    path: str | PathLike[str],
    *,
    file_hash: str | None = None,
    new_classifier: bool = False,
    adapt_channels: bool = False,
    raw: bool = False,
) -> None:
    """Loads a weight file into a network of this package.

    Recognised by content, not by name, as one of `keras_nasnet.weights.FORMATS`.

    All may be with or without classifier; a background class, which makes 1001 of ImageNet's in
    files of others, is left out. A model without classifier leaves the file's out. The auxiliary
    head and the training step are loaded where file and model have them, and left as they are
    otherwise.

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
    file = locate(path)
    if file_hash is not None and not matches(file, file_hash):
        raise ValueError(f"{file} has not the hash {file_hash}: it is damaged or another file")
    variables = model_variables(model)
    params = sum(prod(variable.shape) for variable in variables.values())
    with open_weights(file, max_bytes(params)) as (_, named):
        reading = read_arrays(file, named, variables, new_classifier, adapt_channels, raw)
    for name, array in reading.arrays.items():
        variables[name].assign(array)


def with_formats(docstring: str | None) -> str | None:
    """The formats after where a docstring names their list."""
    rows = [
        fill(f"{each.title}: {each.takes}", 99, initial_indent="    - ", subsequent_indent=" " * 6)
        for each in formats.FORMATS
    ]
    return docstring and docstring.replace(f"{LISTED}.", "\n".join((f"{LISTED}:\n", *rows)))


load_weights.__doc__ = with_formats(load_weights.__doc__)


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


def read_arrays(
    path: Path,
    named: NamedArrays,
    model: dict[str, keras.Variable],
    new_classifier: bool = False,
    adapt_channels: bool = False,
    raw: bool = False,
) -> Reading:
    """Reads and checks the arrays of a file for the variables of a model, which stay as they are.

    Args:
        path: of the file.
        named: as `open_weights` yields them.
        model: its variables, as `model_variables` returns them.
        new_classifier, adapt_channels, raw: as in `load_weights`.

    Raises:
        ValueError: as in `load_weights`.
    """
    variables = dict(model)
    pairs = named.pair(variables, raw)
    if named.has_background:
        drop_background(pairs, variables)
    if not any(name.startswith(f"{CLASSIFIER}/") for name in variables):
        _leave_out(pairs, CLASSIFIER)
    elif new_classifier:
        _leave_classifier(path, variables, pairs.found)
    _leave_parts_of_training(variables, pairs)
    if adapt_channels:
        _adapt_channels(path, variables, pairs.found)
    arrays = _check_and_read(variables, pairs.found)
    return Reading(arrays, {key: pairs.found[key].name for key in arrays}, pairs.skipped)


def _leave_out(pairs: Pairs, part: str) -> None:
    """Takes a part that the model has not out of what was found."""
    for key in [key for key in pairs.found if key.startswith(f"{part}/")]:
        pairs.skip(f"{part}, which the model has not", pairs.found.pop(key).name)


def _leave_classifier(
    path: Path, variables: dict[str, keras.Variable], found: dict[str, Array]
) -> None:
    """Takes a classifier that does not fit the model's out of both dictionaries."""
    keys = [key for key in variables if key.startswith(f"{CLASSIFIER}/")]
    if any(key not in found or found[key].shape != variables[key].shape for key in keys):
        classes = variables[keys[-1]].shape[-1]
        log.warning("%s has no classifier of %d classes: a new one is used", path, classes)
        for key in keys:
            del variables[key]
            found.pop(key, None)


def _leave_parts_of_training(variables: dict[str, keras.Variable], pairs: Pairs) -> None:
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


def _adapt_channels(
    path: Path, variables: dict[str, keras.Variable], found: dict[str, Array]
) -> None:
    """Makes the stem's kernel for RGB one for the model's number of channels."""
    kernel = found.get(STEM)
    *size, channels, filters = variables[STEM].shape
    if channels == RGB or kernel is None or tuple(kernel.shape) != (*size, RGB, filters):
        return
    log.warning("%s is for images in RGB: its first kernel is used for %d channels", path, channels)

    def read() -> np.ndarray:  # as timm's adapt_input_conv
        rgb = np.asarray(kernel)
        if channels == 1:
            return rgb.sum(2, keepdims=True)
        repeats = -(-channels // RGB)
        return np.tile(rgb, (1, 1, repeats, 1))[:, :, :channels] * (RGB / channels)

    found[STEM] = Array(kernel.name, (*size, channels, filters), read)


def _check_and_read(
    variables: dict[str, keras.Variable], found: dict[str, Array]
) -> dict[str, np.ndarray]:
    missing, unknown = variables.keys() - found.keys(), found.keys() - variables.keys()
    if missing or unknown:
        both = [
            f"{len(paths)} variables {what}, such as {min(paths)}"
            for paths, what in ((missing, "are missing"), (unknown, "are not in the model"))
            if paths
        ]
        raise ValueError("; ".join(both))
    for path, array in found.items():
        if tuple(array.shape) != tuple(variables[path].shape):
            raise ValueError(
                f"{array.name} is of shape {tuple(array.shape)}; "
                f"{path} wants {tuple(variables[path].shape)}"
            )
    arrays = {}
    for path, array in found.items():
        is_float = keras.backend.is_float_dtype(variables[path].dtype)
        arrays[path] = np.asarray(array, "float32" if is_float else variables[path].dtype)
        if not np.isfinite(arrays[path]).all():
            raise ValueError(f"{array.name}, for {path}, has values that are not finite")
    return arrays
