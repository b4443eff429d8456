"""Keras layers: the cell, its operations, and what they are made of."""

from keras_nasnet.layers.cell import Cell
from keras_nasnet.layers.ops import ConvolutionUnit, FactorizedReduction, Operation, Pool

__all__ = ["Cell", "ConvolutionUnit", "FactorizedReduction", "Operation", "Pool"]
