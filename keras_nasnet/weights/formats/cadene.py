"""Pickled state dicts of PyTorch networks: Cadene's, and timm's, which derive from them."""

from keras_nasnet.weights.array import NamedArrays
from keras_nasnet.weights.containers.state_dict import read_state_dict
from keras_nasnet.weights.file import File
from keras_nasnet.weights.torch_naming import named


def read(file: File) -> NamedArrays | None:
    """The arrays of a state dict with these networks' names."""
    return named(file, file.once(read_state_dict))
