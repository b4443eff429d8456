"""This package's models as Keras saves them."""

from functools import partial
from pathlib import Path

import keras

from keras_nasnet.layers.network import CLASSIFIER
from keras_nasnet.weights.array import NamedArrays, Pairs, Variables
from keras_nasnet.weights.containers.keras_file import Layers, pair_layers, read_layers
from keras_nasnet.weights.file import File
from keras_nasnet.weights.naming import OF_TRAINING, OWN_AUXILIARY, STEM

MODEL = ".keras"  # file name ending of a full model; any other means weights


def read(file: File) -> NamedArrays | None:
    """The arrays of a file with named layers, our stem among them."""
    layers = file.once(read_layers)
    stem = STEM.partition("/")[0]
    if layers is None or layers.legacy or all(name.partition("/")[0] != stem for name in layers.of):
        return None
    return NamedArrays(layers.arrays(), partial(_pair, layers), OWN_AUXILIARY)


def save(model: keras.Model, path: Path) -> None:
    """Writes a full model, or its weights."""
    if path.name.endswith(MODEL):
        model.save(path)
    else:
        model.save_weights(path)


def _pair(layers: Layers, variables: Variables, raw: bool) -> Pairs:
    own: dict[str, list[str]] = {}
    for path in variables:
        own.setdefault(path.rpartition("/")[0], []).append(path)
    kept = {
        name: arrays
        for name, arrays in layers.of.items()
        if not name.endswith("/seed_generator")
        and (name in own or name.partition("/")[0] not in OF_TRAINING)
    }
    own.setdefault(CLASSIFIER, [f"{CLASSIFIER}/kernel", f"{CLASSIFIER}/bias"])
    return pair_layers(kept, own)
