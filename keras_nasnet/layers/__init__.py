"""Keras layers: the cell, its operations, and their building blocks."""

from keras_nasnet.layers.auxiliary import AuxiliaryHead
from keras_nasnet.layers.cell import Cell
from keras_nasnet.layers.drop_path import ScheduledDropPath, TrainingStep
from keras_nasnet.layers.fused import FusedCell
from keras_nasnet.layers.operation import Operation
from keras_nasnet.layers.pool import Pool
from keras_nasnet.layers.pyramid import feature_pyramid
from keras_nasnet.layers.unit import ConvolutionUnit, FactorizedReduction

__all__ = [
    "AuxiliaryHead",
    "Cell",
    "ConvolutionUnit",
    "FactorizedReduction",
    "FusedCell",
    "Operation",
    "Pool",
    "ScheduledDropPath",
    "TrainingStep",
    "feature_pyramid",
]
