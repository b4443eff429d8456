"""Reads Keras's HDF5 weight files with h5py alone, trusting nothing.

Two layouts: legacy (Keras 1 and 2: an attribute `layer_names`, and for each layer an attribute
`weight_names`), and that of Keras 3 (`layers/.../vars/0`, names of layers as attributes).
"""

from collections.abc import Iterator
from functools import partial
from itertools import count, takewhile
from math import prod

import h5py
import numpy as np
from h5py import h5d, h5g, h5l, h5o

from keras_nasnet.weights.array import Array
from keras_nasnet.weights.limit import MAX_OBJECTS

MAX_DEPTH = 64  # of groups; the HDF5 library's own walk crashes at about 10,000
MAX_NAME = 1000  # characters
PLAIN_LAYOUTS = (h5d.CONTIGUOUS, h5d.COMPACT)


def legacy_layers(file: h5py.File) -> dict[str, list[Array]] | None:
    """The arrays of each layer, in model order; None for another layout.

    Args:
        file: one that passed `check_objects`.

    Raises:
        ValueError: if a name is not that of a numeric array.
    """
    root = file.get("model_weights", file)
    names = _attribute_list(root, "layer_names")
    if not names:
        return None
    layers = {name: _legacy_layer(root[name]) for name in names}
    return {name: arrays for name, arrays in layers.items() if arrays}


def named_layers(file: h5py.File) -> dict[str, list[Array]] | None:
    """As `legacy_layers`, for the Keras 3 layout, where names start with the enclosing layers'."""
    root = file.get("model_weights", file)
    return dict(_walk_groups(root["layers"])) if "layers" in root else None


def check_objects(file: h5py.File) -> None:
    """Refuses an open file unless it is a tree of groups with every array stored in full.

    Raises:
        ValueError: if it has external links, objects linked twice, too many objects
            or levels, arrays that are compressed or stored elsewhere, or arrays that declare more
            than the file has.
    """
    seen = {h5o.get_info(file.id).addr}
    groups, declared = [(file.id, "", 0)], 0
    while groups:
        group, path, depth = groups.pop()
        for key in group:
            name = f"{path}/{key.decode(errors='replace')}"
            if group.links.get_info(key).type != h5l.TYPE_HARD:
                raise ValueError(f"{name} is not a hard link")
            item = h5o.open(group, key)
            address = h5o.get_info(item).addr
            if address in seen:
                raise ValueError(f"{name} is linked twice")
            seen.add(address)
            if len(seen) > MAX_OBJECTS:
                raise ValueError(f"it has more than {MAX_OBJECTS:,} groups and arrays")
            if isinstance(item, h5g.GroupID):
                if depth == MAX_DEPTH:
                    raise ValueError("its groups are nested too deeply")
                groups.append((item, name, depth + 1))
            elif isinstance(item, h5d.DatasetID):
                declared += _plain_bytes(item, name)
    size = file.id.get_filesize()
    if declared > size:
        raise ValueError(f"its arrays are {declared:,} bytes; the file has {size:,}")


def _plain_bytes(dataset: h5d.DatasetID, name: str) -> int:
    """Bytes of a dataset that is stored plainly in the file."""
    layout = dataset.get_create_plist()
    if layout.get_external_count() or layout.get_layout() == h5d.VIRTUAL:
        raise ValueError(f"{name} is not a plain dataset: its data is stored elsewhere")
    if layout.get_layout() not in PLAIN_LAYOUTS:
        raise ValueError(
            f"{name} is not a plain dataset: it is chunked or compressed, which Keras does not "
            "do; h5repack --layout=CONTI makes it plain"
        )
    return dataset.get_space().get_simple_extent_npoints() * dataset.get_type().get_size()


def _legacy_layer(group: h5py.Group) -> list[Array]:
    return [_array(group, name) for name in _attribute_list(group, "weight_names")]


def _attribute_list(group: h5py.Group, name: str) -> list[str]:
    """A list of unique strings, which Keras splits into `name0`, `name1`, ... if it is long."""
    keys = [name]
    if name not in group.attrs:
        keys = list(takewhile(group.attrs.__contains__, (f"{name}{i}" for i in count())))
    values: list[str] = []
    for key in keys:
        attribute = group.attrs.get_id(key)
        if attribute.dtype.itemsize > MAX_NAME or prod(attribute.shape) > MAX_OBJECTS:
            raise ValueError(f"{key} of {group.name} is not a list of names")
        values += [
            value.decode() if isinstance(value, bytes) else str(value) for value in group.attrs[key]
        ]
    if len(set(values)) != len(values):
        raise ValueError(f"{name} of {group.name} repeats a name")
    return values


def _walk_groups(
    group: h5py.Group, parents: tuple[str, ...] = ()
) -> Iterator[tuple[str, list[Array]]]:
    for key in group:
        if key == "vars":
            continue
        child = group[key]
        names = parents
        if "vars" in child:
            variables = child["vars"]
            # Before Keras 3 wrote names, it wrote only class and counter.
            name = str(variables.attrs.get("name", key))
            if len(name) > MAX_NAME:
                raise ValueError(f"{variables.name} has a name of {len(name):,} characters")
            names = (*parents, name)
            if len(variables):
                yield "/".join(names), [_array(variables, str(i)) for i in range(len(variables))]
        yield from _walk_groups(child, names)


def _array(group: h5py.Group, name: str) -> Array:
    """A numeric dataset, not read yet."""
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"{dataset.name} is not a dataset")
    if dataset.dtype.kind not in "fiu":
        raise ValueError(f"{dataset.name} holds {dataset.dtype}, not numbers")
    return Array(dataset.name, tuple(dataset.shape), partial(np.asarray, dataset))
