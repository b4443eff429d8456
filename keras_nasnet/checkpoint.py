"""The state of a run in one file: weights, optimizer, random states, metrics, step."""

from pathlib import Path

import h5py
import keras
import numpy as np

from keras_nasnet.atomic import replace_file

GROUP = "run"  # beside what `keras.Model.save_weights` writes


def save_checkpoint(model: keras.Model, path: Path, step: int) -> None:
    """Writes the state of a compiled model beside `path`, then puts it in its place.

    Args:
        model: whose weights, optimizer (with moving averages), random states and metrics are kept.
        path: of a file that ends in `.weights.h5`.
        step: int, training steps so far.

    Raises:
        FloatingPointError: if a weight is not finite; the file is as it was.
        OSError: if it cannot be written; the file is as it was.
    """
    for variable in model.trainable_variables:
        if not np.isfinite(keras.ops.convert_to_numpy(variable)).all():
            raise FloatingPointError(f"{variable.path} has values that are not finite")

    def write(beside: Path) -> None:
        model.save_weights(beside)
        with h5py.File(beside, "r+") as file:
            group = file.create_group(GROUP)
            group.attrs["step"] = step
            for name, variables in _unsaved(model).items():
                for i, variable in enumerate(variables):
                    group[f"{name}/{i}"] = keras.ops.convert_to_numpy(variable)

    try:
        replace_file(path, write)
    except (OSError, RuntimeError) as error:  # h5py has both for a full disk
        raise OSError(
            f"{path} could not be written: {error}. What was there before is whole."
        ) from error


def load_checkpoint(model: keras.Model, path: Path) -> tuple[int, list[np.ndarray]]:
    """Loads what `save_checkpoint` wrote into a model compiled in the same way.

    Returns:
        The step, and the values of the metrics' variables.

    Raises:
        ValueError: if the file is damaged or of another model.
    """
    model.optimizer.build(model.trainable_variables)
    try:
        with h5py.File(path, "r") as file:
            step = int(file[GROUP].attrs["step"])
            values = {name: _arrays(file[GROUP].get(name, ())) for name in _unsaved(model)}
        model.load_weights(path)
    except (OSError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is no checkpoint of this run: {error}") from error
    for variable, value in zip(_unsaved(model)["random"], values["random"], strict=True):
        variable.assign(value)
    return step, values["metrics"]


def _unsaved(model: keras.Model) -> dict[str, list[keras.Variable]]:
    """The variables that `keras.Model.save_weights` leaves out."""
    return {
        "random": [v for v in model.variables if v.name == "seed_generator_state"],
        "metrics": model.metrics_variables,
    }


def _arrays(group) -> list[np.ndarray]:
    return [group[str(i)][()] for i in range(len(group))]
