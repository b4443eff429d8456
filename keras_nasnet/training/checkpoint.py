"""The state of a run in one file: weights, optimizer, random states, metrics, step."""

import zipfile
from pathlib import Path

import keras
import numpy as np

from keras_nasnet.atomic import replace_file


def save_checkpoint(model: keras.Model, path: Path, step: int) -> None:
    """Writes the state of a compiled model to `path`, replacing it atomically.

    Args:
        model: whose weights, optimizer (with moving averages), random states and metrics are kept.
        path: of an `.npz` file.
        step: int, training steps so far.

    Raises:
        FloatingPointError: if a weight is not finite; the file is unchanged.
        NotWrittenError: if it cannot be written; the file is unchanged.
    """
    arrays = {
        f"{part}/{i}": keras.ops.convert_to_numpy(variable)
        for part, variables in _state(model).items()
        for i, variable in enumerate(variables)
    }
    for i, variable in enumerate(model.variables):
        if not np.isfinite(arrays[f"model/{i}"]).all():
            raise FloatingPointError(f"{variable.path} has non-finite values")
    replace_file(path, lambda beside: np.savez(beside, step=step, **arrays))


def load_checkpoint(model: keras.Model, path: Path) -> tuple[int, list[np.ndarray]]:
    """Loads a checkpoint from `save_checkpoint` into a model compiled in the same way.

    Returns:
        The step, and the values of the metrics' variables, which `fit` resets before an epoch.

    Raises:
        ValueError: if the file is damaged or from another model; the model is unchanged.
    """
    state = _state(model)
    try:
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        step = int(arrays.pop("step"))
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is not a checkpoint: {error}") from error
    metrics = [arrays.pop(name) for name in list(arrays) if name.startswith("metrics/")]
    variables = {
        f"{part}/{i}": variable
        for part in ("model", "optimizer")
        for i, variable in enumerate(state[part])
    }
    shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
    if shapes != {name: array.shape for name, array in arrays.items()}:
        raise ValueError(f"{path} is a checkpoint of another model")
    for name, variable in variables.items():
        variable.assign(arrays[name])
    return step, metrics


def _state(model: keras.Model) -> dict[str, list[keras.Variable]]:
    # A constant learning rate is a variable too, but the recipe sets its value.
    optimizer = [each for each in model.optimizer.variables if each.name != "learning_rate"]
    return {
        "model": model.variables,  # including the states of random generators
        "optimizer": optimizer,
        "metrics": model.metrics_variables,
    }
