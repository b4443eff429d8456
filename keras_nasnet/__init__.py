"""NASNet for Keras 3: published models, cells as layers, weights, training, search.

Names are loaded on first use, so that `import keras_nasnet` imports neither Keras nor
a backend.
"""

import sys
from importlib import import_module

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

if "keras" in sys.modules:  # registers the layers for keras.saving.load_model
    import_module(f"{__name__}.layers")
