"""The search for cells (Zoph et al. 2018, section 3): decisions, searchers, keras-tuner's tuner.

`SearcherOracle` and `NASNetTuner` import keras-tuner and Keras when they are first used.
"""

from importlib import import_module

from keras_nasnet.search.searchers.controller import PUBLISHED, Controller
from keras_nasnet.search.searchers.evolution import RegularizedEvolution
from keras_nasnet.search.searchers.local_search import LocalSearch
from keras_nasnet.search.searchers.predictor import PredictorSearcher
from keras_nasnet.search.searchers.searcher import RandomSearcher, Searcher
from keras_nasnet.search.space import SearchSpace

SEARCHERS = {
    "controller": Controller,
    "evolution": RegularizedEvolution,
    "local": LocalSearch,
    "predictor": PredictorSearcher,
    "random": RandomSearcher,
}

_LAZY = {"SearcherOracle": "oracle", "NASNetTuner": "tuner"}

__all__ = [
    "PUBLISHED",
    "SEARCHERS",
    "Controller",
    "LocalSearch",
    "NASNetTuner",
    "PredictorSearcher",
    "RandomSearcher",
    "RegularizedEvolution",
    "SearchSpace",
    "Searcher",
    "SearcherOracle",
]


def __getattr__(name: str):
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
