"""NASNet for Keras 3: published models, cells as layers, weights, training, search.

Names are loaded when they are first used, so that `import keras_nasnet` imports neither Keras nor
a backend.
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

_MODULES = {  # where each public name lives
    "genotype": ("Block", "CellSpec", "Edge", "Genotype"),
    "catalog": ("AMOEBANET_A", "ENAS", "NASNET_A", "PNASNET_5"),
    "layers": ("Cell", "ScheduledDropPath", "feature_pyramid"),
    "fusion": ("fuse",),
    "zoo": ("NASNet", "NASNetCIFAR", "NASNetLarge", "NASNetMobile", "list_models"),
    "network": ("reset_classifier", "unfreeze"),
    "relatives": ("AmoebaNetA", "ENASMicro", "PNASNetLarge", "PNASNetMobile"),
    "exporter": ("export",),
    "weights.load": ("load_weights", "save_safetensors"),
    "imagenet": ("decode_predictions", "preprocess_input"),
}
_SUBPACKAGES = ("search",)
_HOME = {name: module for module, names in _MODULES.items() for name in names}

__all__ = sorted((*_HOME, *_SUBPACKAGES))

if TYPE_CHECKING:
    from keras_nasnet import search as search
    from keras_nasnet.cells.catalog import AMOEBANET_A as AMOEBANET_A
    from keras_nasnet.cells.catalog import ENAS as ENAS
    from keras_nasnet.cells.catalog import NASNET_A as NASNET_A
    from keras_nasnet.cells.catalog import PNASNET_5 as PNASNET_5
    from keras_nasnet.cells.genotype import Block as Block
    from keras_nasnet.cells.genotype import CellSpec as CellSpec
    from keras_nasnet.cells.genotype import Edge as Edge
    from keras_nasnet.cells.genotype import Genotype as Genotype
    from keras_nasnet.data.imagenet import decode_predictions as decode_predictions
    from keras_nasnet.data.imagenet import preprocess_input as preprocess_input
    from keras_nasnet.inference.exporter import export as export
    from keras_nasnet.layers import Cell as Cell
    from keras_nasnet.layers import ScheduledDropPath as ScheduledDropPath
    from keras_nasnet.layers import feature_pyramid as feature_pyramid
    from keras_nasnet.layers.fusion import fuse as fuse
    from keras_nasnet.layers.network import reset_classifier as reset_classifier
    from keras_nasnet.layers.network import unfreeze as unfreeze
    from keras_nasnet.relatives import AmoebaNetA as AmoebaNetA
    from keras_nasnet.relatives import ENASMicro as ENASMicro
    from keras_nasnet.relatives import PNASNetLarge as PNASNetLarge
    from keras_nasnet.relatives import PNASNetMobile as PNASNetMobile
    from keras_nasnet.weights.load import load_weights as load_weights
    from keras_nasnet.weights.load import save_safetensors as save_safetensors
    from keras_nasnet.zoo import NASNet as NASNet
    from keras_nasnet.zoo import NASNetCIFAR as NASNetCIFAR
    from keras_nasnet.zoo import NASNetLarge as NASNetLarge
    from keras_nasnet.zoo import NASNetMobile as NASNetMobile
    from keras_nasnet.zoo import list_models as list_models


def __getattr__(name: str):
    if name in _SUBPACKAGES:
        return import_module(f"{__name__}.{name}")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if "keras" in sys.modules:  # so that keras.saving.load_model knows the layers
    import_module(f"{__name__}.layers")
