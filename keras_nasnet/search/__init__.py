"""The search for cells (Zoph et al. 2018, section 3): decisions, searchers, keras-tuner's tuner.

`SearcherOracle` and `NASNetTuner` import keras-tuner and Keras when they are first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
