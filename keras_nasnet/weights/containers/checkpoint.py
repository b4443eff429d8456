"""TensorFlow checkpoints, read by TensorFlow once their index has been checked."""

from functools import partial

from keras_nasnet.optional import import_optional
from keras_nasnet.weights.array import Array
from keras_nasnet.weights.containers.bundle import TABLE_MAGIC, check_index
from keras_nasnet.weights.file import File


def read_checkpoint(file: File) -> dict[str, Array] | None:
    """The variables of a checkpoint by name, from its `.index`; None if it is not one.

    Raises:
        ValueError: if TensorFlow is not installed, or as `check_index` does.
    """
    if file.end(len(TABLE_MAGIC)) != TABLE_MAGIC:
        return None
    check_index(file.path)
    tensorflow = import_optional("tensorflow", "tensorflow")
    reader = tensorflow.train.load_checkpoint(str(file.path).removesuffix(".index"))
    return {
        name: Array(name, tuple(shape), partial(reader.get_tensor, name))
        for name, shape in reader.get_variable_to_shape_map().items()
    }
