"""Fused models against the models they are made of."""

import random

import keras
import numpy as np
import pytest
from conftest import images, one_block, randomize, relative_difference, tiny

import keras_nasnet
from keras_nasnet import NASNET_A, fuse
from keras_nasnet.genotype import COMBINERS
from keras_nasnet.search import SearchSpace

every_backend = pytest.mark.every_backend


def difference(model, fused, *shape):
    x = images(*shape)
    return relative_difference(fused.predict(x, verbose=0), model.predict(x, verbose=0))


@every_backend
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"pool_padding": "zeros", "skip_reduction": True, "input_shape": (45, 70, 3)},
        {"include_top": False, "input_shape": (None, None, 3)},
        {"include_top": False, "pooling": "max", "stem": "cifar"},
        {
            "classifier_activation": None,
            "auxiliary": True,
            "drop_path_rate": 0.3,
            "drop_path_steps": 10,
            "dropout_rate": 0.5,
            "input_shape": (96, 96, 3),
        },
    ],
)
def test_results_are_those_of_the_model(options):
    model = randomize(tiny(**options))
    fused = fuse(model)
    height, width = (size or 53 for size in model.input_shape[1:3])
    assert difference(model, fused, 2, height, width, 3) <= 1e-5
