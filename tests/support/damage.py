"""Damaged weight files of every format: each follows from its number alone."""

import random
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from support.mutation import (
    mutate_bytes,
    mutate_hdf5,
    mutate_json,
    mutate_safetensors,
    mutate_table,
    mutate_zip,
)

LIGHT = ("keras3", "archive", "safetensors", "checkpoint", "pickle", "old_pickle")
FORMATS = ("legacy", *LIGHT, "model", *LIGHT)  # in turn; a legacy file is of 1,100 variables
FILES = {
    "legacy": "legacy.h5",
    "keras3": "ours.weights.h5",
    "archive": "ours.keras",
    "model": "ours.keras",  # loaded as a whole, by `Classifier.load`
    "safetensors": "ours.safetensors",
    "checkpoint": "ours.ckpt.index",
    "pickle": "ours.pth",
    "old_pickle": "old.pth",
}


def write_small_files(folder: Path, model) -> None:
    """The small network's weights in every format that can be written here."""
    import keras_nasnet
    from keras_nasnet.weights import torch_naming
    from keras_nasnet.weights.formats import slim
    from keras_nasnet.weights.naming import cell_names, names_of
    from keras_nasnet.weights.variable import model_variables

    model.save(folder / FILES["archive"])
    model.save_weights(folder / FILES["keras3"])
    keras_nasnet.save_safetensors(model, folder / FILES["safetensors"])
    variables = model_variables(model)
    values = {path: np.array(variable) for path, variable in variables.items()}
    if find_spec("tensorflow"):
        import tensorflow as tf

        names = names_of(variables, slim.UNITS, slim.WEIGHTS, cell_names(variables, False))
        arrays = {names[path]: tf.constant(value) for path, value in values.items()}
        tf.raw_ops.SaveV2(
            prefix=str(folder / "ours.ckpt"),
            tensor_names=list(arrays),
            shape_and_slices=[""] * len(arrays),
            tensors=list(arrays.values()),
        )
    if find_spec("torch"):
        import torch

        cells = cell_names(variables, False, torch_naming.STAGE_LENGTH)
        names = names_of(variables, torch_naming.UNITS, torch_naming.WEIGHTS, cells)
        state = {names[path]: torch.tensor(_torch_axes(path, values[path])) for path in values}
        torch.save(state, folder / FILES["pickle"])
        torch.save(state, folder / FILES["old_pickle"], _use_new_zipfile_serialization=False)


def _torch_axes(path: str, value: np.ndarray) -> np.ndarray:
    if value.ndim == 4:
        axes = (2, 3, 0, 1) if path.endswith("depthwise_kernel") else (3, 2, 0, 1)
        return np.ascontiguousarray(value.transpose(axes))
    return value.T.copy()


def damage(folder: Path, target: Path, number: int) -> tuple[str, Path]:
    """Writes the file of a number.

    Args:
        folder: of the whole files.
        target: folder to write to.
        number: int.

    Returns:
        Its format and the path to load.
    """
    kind = FORMATS[number % len(FORMATS)]
    rng = random.Random(number)
    data = _whole(folder / FILES[kind])
    path = target / f"{number}_{FILES[kind]}"
    if kind == "checkpoint":
        body = (folder / "ours.ckpt.data-00000-of-00001").read_bytes()
        in_body = rng.random() < 0.15
        body_path = path.with_name(path.name.replace(".index", ".data-00000-of-00001"))
        body_path.write_bytes(mutate_bytes(body, rng) if in_body else body)
        path.write_bytes(data if in_body else mutate_table(data, rng))
        return kind, path
    mutators = {
        "legacy": mutate_hdf5,
        "keras3": mutate_hdf5,
        "safetensors": mutate_safetensors,
        "old_pickle": lambda data, rng: mutate_bytes(data, rng, range(0, 12_000)),
    }
    mutator = mutators.get(kind, lambda data, rng: mutate_zip(data, rng, _mutate_member))
    path.write_bytes(mutator(data, rng))
    return kind, path


@cache
def _whole(path: Path) -> bytes:
    return path.read_bytes()


def _mutate_member(name: str, data: bytes, rng: random.Random) -> bytes:
    if name.endswith(".h5"):
        return mutate_hdf5(data, rng)
    return mutate_json(data, rng) if name.endswith(".json") else mutate_bytes(data, rng)
