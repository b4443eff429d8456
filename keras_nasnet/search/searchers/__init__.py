"""Searchers with `ask` and `tell` over any list of decisions; no Keras, no keras-tuner."""

from keras_nasnet.search.searchers.controller import PUBLISHED, Controller
from keras_nasnet.search.searchers.evolution import RegularizedEvolution
from keras_nasnet.search.searchers.local_search import LocalSearch
from keras_nasnet.search.searchers.predictor import PredictorSearcher
from keras_nasnet.search.searchers.searcher import RandomSearcher, Searcher

SEARCHERS: dict[str, type[Searcher]] = {
    "controller": Controller,
    "evolution": RegularizedEvolution,
    "local": LocalSearch,
    "predictor": PredictorSearcher,
    "random": RandomSearcher,
}

__all__ = [
    "PUBLISHED",
    "SEARCHERS",
    "Controller",
    "LocalSearch",
    "PredictorSearcher",
    "RandomSearcher",
    "RegularizedEvolution",
    "Searcher",
]
