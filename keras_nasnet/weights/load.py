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
LISTED = "one of `keras_nasnet.weights.FORMATS`"  # in a docstring, where the list is inserted

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

    The format is recognised by content, not by name: one of `keras_nasnet.weights.FORMATS`.

    Files may have a classifier or not. A background class, the 1001st ImageNet class in some files,
    is left out, as is the file's classifier if the model has none. The auxiliary head and the
    training step are loaded if file and model both have them, and unchanged otherwise.

    Args:
        model: from `NASNetMobile` and the other factories.
        path: str or `Path` of the file, of a checkpoint with or without `.index`; or a name on
            the Hugging Face hub, `"hf://timm/nasnetalarge.tf_in1k"`.
        file_hash: hexadecimal MD5 or SHA-256 that the file must have, or None. For a
            checkpoint, the hash of its `.index`, which holds checksums of its data.
        new_classifier: bool. If True, a classifier that the file lacks, or has for another number
            of classes, stays as it is and a warning is logged. Default False: an error.
        adapt_channels: bool. If True, the stem's RGB kernel in the file is adapted to the model's
            number of channels: summed for one, repeated and scaled for others, as timm does.
            Default False: another number of channels is an error.
        raw: bool. If True, a checkpoint's raw weights are loaded even where it has moving
            averages of them. Default False.

    Raises:
        FileNotFoundError: if there is no such file.
        ConnectionError: if it cannot be downloaded from the hub.
        ValueError: if the file has another hash, is damaged or unknown, or does not fit; the
            message names the layer, what it got and what it wanted. The model is unchanged.
    """
    file = locate(path)
    if file_hash is not None and not matches(file, file_hash):
        raise ValueError(f"{file} does not match the hash {file_hash}: damaged or another file")
    variables = model_variables(model)
    params = sum(prod(variable.shape) for variable in variables.values())
    with open_weights(file, max_bytes(params)) as (_, named):
        reading = read_arrays(file, named, variables, new_classifier, adapt_channels, raw)
    for name, array in reading.arrays.items():
        variables[name].assign(array)


def with_formats(docstring: str | None) -> str | None:
    """A docstring with the formats inserted after the line that mentions their list."""
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
        names: their names in the file, by that path.
        skipped: names of the arrays left out, by reason.
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
    """Reads and checks the arrays of a file for the variables of a model, without assigning them.

    Args:
        path: of the file.
        named: as `open_weights` yields them.
        model: the model's variables, as `model_variables` returns them.
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
    """Removes a part that the model lacks from the arrays found."""
    for key in [key for key in pairs.found if key.startswith(f"{part}/")]:
        pairs.skip(f"{part}, which the model does not have", pairs.found.pop(key).name)


def _leave_classifier(
    path: Path, variables: dict[str, keras.Variable], found: dict[str, Array]
) -> None:
    """Removes a classifier that does not fit the model's from both dictionaries."""
    keys = [key for key in variables if key.startswith(f"{CLASSIFIER}/")]
    if any(key not in found or found[key].shape != variables[key].shape for key in keys):
        classes = variables[keys[-1]].shape[-1]
        log.warning("%s has no classifier for %d classes: using a new one", path, classes)
        for key in keys:
            del variables[key]
            found.pop(key, None)


def _leave_parts_of_training(variables: dict[str, keras.Variable], pairs: Pairs) -> None:
    """Removes parts that only one side has, or has for other classes or another image size."""
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
    """Adapts the stem's RGB kernel to the model's number of channels."""
    kernel = found.get(STEM)
    *size, channels, filters = variables[STEM].shape
    if channels == RGB or kernel is None or tuple(kernel.shape) != (*size, RGB, filters):
        return
    log.warning("%s is for RGB images: its first kernel is adapted to %d channels", path, channels)

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
                f"{array.name} has shape {tuple(array.shape)}; "
                f"{path} wants {tuple(variables[path].shape)}"
            )
    arrays = {}
    for path, array in found.items():
        is_float = keras.backend.is_float_dtype(variables[path].dtype)
        arrays[path] = np.asarray(array, "float32" if is_float else variables[path].dtype)
        if not np.isfinite(arrays[path]).all():
            raise ValueError(f"{array.name}, for {path}, has values that are not finite")
    return arrays
