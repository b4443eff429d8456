"""Weight files of others, whole and damaged."""

import random
from pathlib import Path

import h5py
import numpy as np
import pytest
from safetensors.numpy import save_file as save_numpy

import keras_nasnet
from support.networks import assert_same_weights, weights_of
from support.slim import write_checkpoint


def write_legacy(model, path, group=None):
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        target = file.create_group(group) if group else file
        legacy_h5_format.save_weights_to_hdf5_group(target, model)


def refused(model, path, message, **options):
    before = weights_of(model)
    with pytest.raises(ValueError, match=message) as caught:
        keras_nasnet.load_weights(model, path, **options)
    assert str(path) in str(caught.value)
    assert_same_weights(model, before)


FAULTS = ("missing", "extra", "misshapen", "nan")


def damaged_files(layout, arrays, folder: Path, rng: random.Random, places: int):
    """Writes a file wrongly in every way, one after the other.

    Args:
        layout: `"slim"`, `"timm"` (safetensors), `"cadene"` (pickle) or `"own"` (safetensors).
        arrays: of a whole file, by name.
        folder: where.
        rng: which array and which place.
        places: int, at how many the file is cut off.

    Yields:
        What is wrong, and the path to load.
    """
    averages = [name for name in arrays if name.endswith("/ExponentialMovingAverage")]
    names = sorted(averages or arrays)  # of the arrays that are taken
    for fault in FAULTS:
        changed, name = dict(arrays), rng.choice(names)
        if fault == "missing":
            del changed[name]
        elif fault == "extra":
            changed["another/weights"] = arrays[name]
        elif fault == "misshapen":
            changed[name] = np.concatenate([arrays[name], arrays[name]])
        else:
            changed[name] = np.full_like(arrays[name], np.nan)
        yield fault, write_layout(layout, changed, folder)[0]
    for _ in range(places):
        path, files = write_layout(layout, arrays, folder)
        file = rng.choice(files)
        with file.open("rb+") as stream:
            stream.truncate(rng.randrange(file.stat().st_size))
        yield "truncated", path


def write_layout(layout, arrays, folder: Path) -> tuple[Path, list[Path]]:
    """The path to load and the files it stands for."""
    if layout == "slim":
        prefix = write_checkpoint(arrays, folder / "damaged.ckpt")
        return prefix, sorted(folder.glob("damaged.ckpt.*"))
    if layout == "cadene":
        import torch

        path = folder / "damaged.pth"
        torch.save({name: torch.tensor(array) for name, array in arrays.items()}, path)
    else:
        path = folder / "damaged.safetensors"
        save_numpy(arrays, path)
    return path, [path]
