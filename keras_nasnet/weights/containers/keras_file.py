"""Weights saved by Keras: an HDF5 file, or one in a `.keras` archive."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import h5py

from keras_nasnet.weights.array import Array, Pairs
from keras_nasnet.weights.containers.archive import KERAS_MEMBER, read_member
from keras_nasnet.weights.containers.hdf5 import check_objects, legacy_layers, named_layers
from keras_nasnet.weights.file import File


@dataclass(frozen=True, slots=True)
class Layers:
    """The arrays of an open file, not read yet.

    Args:
        of: the arrays of each layer. The names are the file's; in a Keras 3 file those of the
            enclosing layers come first, separated by "/".
        legacy: bool. Whether the layers are in model order, as in a legacy file.
    """

    of: dict[str, list[Array]]
    legacy: bool

    def arrays(self) -> dict[str, Array]:
        """All arrays by their own names."""
        return {array.name: array for arrays in self.of.values() for array in arrays}


def read_layers(file: File) -> Layers | None:
    """The arrays of a Keras file by layer; None if it is not one.

    Raises:
        ValueError: as `read_member` and `check_objects` do.
    """
    if file.archive is not None:
        if KERAS_MEMBER not in file.archive.namelist():
            file.hints.append(f"it is an archive without {KERAS_MEMBER}")
            return None
        opened = h5py.File(read_member(file.archive, KERAS_MEMBER, file.limit), "r")
    elif h5py.is_hdf5(file.path):
        opened = h5py.File(file.path, "r")
    else:
        return None
    root = file.resources.enter_context(opened)
    check_objects(root)
    if (layers := legacy_layers(root)) is not None:
        return Layers(layers, True)
    if (layers := named_layers(root)) is not None:
        return Layers(layers, False)
    file.hints.append("it has neither the Keras 2 nor the Keras 3 layout of weights")
    return None


def pair_layers(layers: Mapping[str, Sequence[Array]], paths: Mapping[str, Sequence[str]]) -> Pairs:
    """Arrays by path, from arrays by layer and paths by layer.

    Raises:
        ValueError: if a layer has no paths, or not as many paths as arrays.
    """
    found: dict[str, Array] = {}
    for name, arrays in layers.items():
        if name not in paths:
            raise ValueError(f"its layer {name} is not in the model")
        if len(arrays) != len(paths[name]):
            raise ValueError(
                f"its layer {name} has {len(arrays)} arrays; wanted {', '.join(paths[name])}"
            )
        found.update(zip(paths[name], arrays, strict=True))
    return Pairs(found)
