"""Weight files into models: download, recognise, check everything, then assign."""

from keras_nasnet.weights.load import load_weights

__all__ = ["load_weights"]
