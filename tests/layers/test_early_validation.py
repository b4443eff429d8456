"""What networks give in inference mode before training and soon after its beginning."""

from dataclasses import replace

import keras
import numpy as np
import pytest
from support.networks import images, one_block, outputs

from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.layers import Cell
from keras_nasnet.layers.network import build

pytestmark = pytest.mark.every_backend


def untrained(name):
    """A network of the catalog, as deep as it is, with few filters."""
    keras.utils.set_random_seed(0)
    config = MODELS[name]
    config = replace(config, penultimate_filters=8 * config.filters_multiple)
    return build(config, keras.Input((32, 32, 3)))


@pytest.mark.parametrize("name", MODELS)
def test_activations_neither_grow_nor_vanish_in_an_untrained_network(name):
    model = untrained(name)
    states = [layer.output for layer in model.layers if isinstance(layer, Cell)]
    x = images(4, 32, 32, 3)
    deviations = [
        float(np.std(keras.ops.convert_to_numpy(state)))
        for state in keras.Model(model.input, states)(x, training=False)
    ]
    assert min(deviations) > 0.02, deviations
    assert max(deviations) < 5, deviations


@pytest.mark.parametrize("name", ["NASNetMobile", "NASNetCIFAR"])
def test_half_precision_of_an_untrained_network_is_finite(name):
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = untrained(name)
    finally:
        keras.config.set_dtype_policy(policy)
    features = keras.Model(model.input, [model.get_layer("relu").output, model.output])
    last, probabilities = features(images(2, 32, 32, 3), training=False)
    assert keras.backend.standardize_dtype(last.dtype) == "float16"
    assert np.isfinite(keras.ops.convert_to_numpy(last)).all()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(probabilities).sum(-1), 1, atol=1e-3)


def test_inference_agrees_with_training_after_forty_steps():
    """Steps without gradients: the statistics of batch normalization alone are what follows."""
    keras.utils.set_random_seed(0)
    model = one_block(stem="imagenet", input_shape=(96, 96, 3), include_top=False)
    for step in range(40):
        model(images(16, 96, 96, 3, seed=step), training=True)
    x = images(16, 96, 96, 3, seed=40)
    inferred = outputs(model, x)
    trained = keras.ops.convert_to_numpy(model(x, training=True))
    assert np.abs(inferred - trained).mean() < 0.3 * trained.std()
