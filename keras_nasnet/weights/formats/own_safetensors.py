"""This package's safetensors files: our variables by path."""

from os import PathLike
from pathlib import Path

import keras
import numpy as np
from safetensors.numpy import save_file

from keras_nasnet.atomic import replace_file
from keras_nasnet.weights.array import NamedArrays, Pairs
from keras_nasnet.weights.containers.safetensors import read_safetensors
from keras_nasnet.weights.file import File
from keras_nasnet.weights.naming import OWN_AUXILIARY, STEM
from keras_nasnet.weights.variable import model_variables


def read(file: File) -> NamedArrays | None:
    """The arrays of a safetensors file with our stem."""
    arrays = file.once(read_safetensors)
    if arrays is None:
        return None
    if STEM not in arrays:
        file.hints.append(f"this package's {STEM} is missing")
        return None
    return NamedArrays(arrays, lambda variables, raw: Pairs(dict(arrays)), OWN_AUXILIARY)


def save(model: keras.Model, path: Path) -> None:
    """Writes the weights of a model directly to this path."""
    arrays = {
        name: np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        for name, variable in model_variables(model).items()
    }
    save_file(arrays, path, {"format": "keras_nasnet", "model": model.name})


def save_safetensors(model: keras.Model, path: str | PathLike[str]) -> None:
    """Writes the weights of a model to a safetensors file, named by variable path.

    `load_weights` and `weights=` read it, as does any safetensors reader.

    Args:
        model: a network of this package.
        path: str or `Path` to write; an existing file is replaced once the new one is complete.

    Raises:
        NotWrittenError: if it cannot be written.
    """
    replace_file(Path(path), lambda beside: save(model, beside))
