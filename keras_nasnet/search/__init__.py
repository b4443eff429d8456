"""The search: decisions, and searchers that make them (Zoph et al. 2018, section 3)."""

from keras_nasnet.search.controller import PUBLISHED, Controller
from keras_nasnet.search.evolution import RegularizedEvolution
from keras_nasnet.search.local_search import LocalSearch
from keras_nasnet.search.predictor import PredictorSearcher
from keras_nasnet.search.searcher import RandomSearcher, Searcher
from keras_nasnet.search.space import SearchSpace

__all__ = [
    "PUBLISHED",
    "Controller",
    "LocalSearch",
    "PredictorSearcher",
    "RandomSearcher",
    "RegularizedEvolution",
    "SearchSpace",
    "Searcher",
]
