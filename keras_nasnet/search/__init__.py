"""Cell search (Zoph et al. 2018, section 3): decisions, searchers, a keras-tuner tuner.

`SearcherOracle` and `NASNetTuner` import keras-tuner and Keras on first use.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
