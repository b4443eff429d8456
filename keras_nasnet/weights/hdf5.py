"""Reads the HDF5 weight files of Keras, with h5py alone and nothing trusted.

Two layouts: legacy (Keras 1 and 2: an attribute `layer_names`, and for each layer an attribute
`weight_names`), and that of Keras 3 (`layers/.../vars/0`, names of layers as attributes).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, takewhile

import h5py

MAX_DEPTH = 32  # of groups: a damaged file may hold a cycle of links


@dataclass(frozen=True, slots=True)
class WeightFile:
    """The datasets of an open file, not read yet.

    Args:
        layers: for each layer its datasets. The names are the file's; in a Keras 3 file those of
            the layers around it come first, separated by "/".
        legacy: bool. Whether the order of the layers is that of the model's, as in a legacy file.
    """

    layers: dict[str, list[h5py.Dataset]]
    legacy: bool


def read_weights(file: h5py.File) -> WeightFile:
    """The datasets of an open file.

    Raises:
        ValueError: if it holds links to other files or has neither layout.
    """
    link = file.id.links.visit(_link_to_elsewhere, info=True)
    if link is not None:
        raise ValueError(f"{link} is a link to elsewhere")
    root = file.get("model_weights", file)
    names = _attribute_list(root, "layer_names")
    if names:
        layers = {name: _legacy_layer(root[name]) for name in names}
        return WeightFile({name: weights for name, weights in layers.items() if weights}, True)
    if "layers" in root:
        return WeightFile(dict(_walk_groups(root["layers"])), False)
    raise ValueError("it has the layout of neither Keras 2 nor Keras 3 weights")


def _legacy_layer(group: h5py.Group) -> list[h5py.Dataset]:
    return [_dataset(group, name) for name in _attribute_list(group, "weight_names")]


def _attribute_list(group: h5py.Group, name: str) -> list[str]:
    """A list of strings, which Keras splits into `name0`, `name1`, ... where it is long."""
    keys = [name]
    if name not in group.attrs:
        keys = list(takewhile(group.attrs.__contains__, (f"{name}{i}" for i in count())))
    values = [value for key in keys for value in group.attrs[key]]
    return [value.decode() if isinstance(value, bytes) else str(value) for value in values]


def _walk_groups(
    group: h5py.Group, parents: tuple[str, ...] = ()
) -> Iterator[tuple[str, list[h5py.Dataset]]]:
    if len(parents) > MAX_DEPTH:
        raise ValueError("its groups are nested too deeply")
    for key in group:
        if key == "vars":
            continue
        child = group[key]
        names = parents
        if "vars" in child:
            variables = child["vars"]
            # Before it wrote names, Keras 3 had only the class and a counter.
            names = (*parents, str(variables.attrs.get("name", key)))
            if len(variables):
                yield "/".join(names), [_dataset(variables, str(i)) for i in range(len(variables))]
        yield from _walk_groups(child, names)


def _link_to_elsewhere(name: bytes, link: h5py.h5l.LinkInfo) -> str | None:
    return None if link.type == h5py.h5l.TYPE_HARD else name.decode()


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A plain dataset of numbers within this file."""
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{dataset.name} is not a dataset")
    layout = dataset.id.get_create_plist()
    if layout.get_external_count() or layout.get_layout() == h5py.h5d.VIRTUAL:
        raise ValueError(f"{dataset.name} is not a plain dataset: its numbers are elsewhere")
    if dataset.dtype.kind not in "fiu":
        raise ValueError(f"{dataset.name} holds {dataset.dtype}, not numbers")
    return dataset
