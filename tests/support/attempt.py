"""Small networks, their weight files, and what becomes of loading one."""

from pathlib import Path

import h5py
import numpy as np


def small_network():
    """The network of all files but keras.applications': a block a cell."""
    import keras_nasnet
    from keras_nasnet import Block, CellSpec, Edge, Genotype

    block = Block(Edge("separable_3x3", 0), Edge("identity", 1))
    cell = CellSpec((block,), output=(2,))
    return keras_nasnet.NASNet(
        Genotype(cell, cell, "one block"), 1, 32, stem="cifar", classes=10, input_shape=(32, 32, 3)
    )


def write_files(folder: Path):
    """A small network's weights, legacy and of Keras 3.

    Returns:
        The network to load them into, and the two paths.
    """
    import keras
    from keras.src.applications import nasnet
    from keras.src.legacy.saving import legacy_h5_format

    import keras_nasnet

    theirs = nasnet.NASNet(
        (32, 32, 3), 96, 4, 32, skip_reduction=False, weights=None, classes=10, default_size=224
    )
    with h5py.File(folder / "legacy.h5", "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, theirs)
    ours = keras_nasnet.NASNet(keras_nasnet.NASNET_A, 4, 96, classes=10, input_shape=(32, 32, 3))
    ours.save_weights(folder / "ours.weights.h5")
    keras.utils.clear_session()
    return ours, (folder / "legacy.h5", folder / "ours.weights.h5")


def attempt(model, path: Path, file_hash: str | None) -> str:
    """Loads a file and says what became of it.

    Returns:
        `"loaded"`; `"refused"`: a `ValueError` that names the file, and the model is as it was;
        `"partial"`: the model is changed all the same; `"over memory"`: there was not enough; or
        the name of another exception.
    """
    from keras_nasnet import load_weights

    before = [np.array(value) for value in model.get_weights()]
    try:
        load_weights(model, path, file_hash=file_hash)
    except ValueError as error:
        unchanged = all(map(np.array_equal, before, model.get_weights()))
        if isinstance(error.__cause__, MemoryError):
            return "over memory" if unchanged else "partial"
        named = str(path) in str(error)
        return ("refused" if named else "unnamed file") if unchanged else "partial"
    except Exception as error:
        return type(error).__name__
    return "loaded"


def attempt_model(path: Path) -> str:
    """Loads a whole model and says what became of it, as `attempt` does."""
    from keras_nasnet.inference.classifier import Classifier

    try:
        Classifier.load(path)
    except ValueError as error:
        if isinstance(error.__cause__, MemoryError):
            return "over memory"
        return "refused" if str(path) in str(error) else "unnamed file"
    except Exception as error:
        return type(error).__name__
    return "loaded"


def reset_peak_mib() -> float:
    Path("/proc/self/clear_refs").write_text("5")
    return peak_mib()


def peak_mib() -> float:
    """The most memory of this process since it was reset."""
    status = Path("/proc/self/status").read_text()
    return next(int(row.split()[1]) for row in status.splitlines() if "VmHWM" in row) / 1024
