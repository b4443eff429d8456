"""State dicts of PyTorch networks in safetensors, as timm publishes them."""

from keras_nasnet.weights.array import NamedArrays
from keras_nasnet.weights.containers.safetensors import read_safetensors
from keras_nasnet.weights.file import File
from keras_nasnet.weights.torch_naming import named


def read(file: File) -> NamedArrays | None:
    """The arrays of a safetensors file with these networks' names."""
    return named(file, file.once(read_safetensors))
