"""Cells that are evaluated anew for the gradients: the same training, in less memory."""

import keras
import numpy as np
import pytest
from support.networks import ONE_BLOCK, images, one_block, randomize, weights_of

from keras_nasnet import Cell, ScheduledDropPath

every_backend = pytest.mark.every_backend


def trained(remat):
    """The losses and the state of a cell after two steps, that of its random numbers too."""
    drop_path = ScheduledDropPath(0.5, num_steps=2, seed=3)
    cell = Cell(ONE_BLOCK.normal, 4, drop_path=drop_path, remat=remat)
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, keras.layers.GlobalAveragePooling2D()(cell([image, image])))
    randomize(model).compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
    x = images(6, 8, 8, 4)
    losses = [float(model.train_on_batch(x, np.ones((6, 8), "float32"))) for _ in range(2)]
    random_state = keras.ops.convert_to_numpy(drop_path.seed_generator.state)
    return losses, [*weights_of(model), random_state]


@every_backend
def test_trains_as_without(monkeypatch):
    evaluate, evaluations = Cell._evaluate, []

    def counted(*args):
        evaluations.append(args)
        return evaluate(*args)

    monkeypatch.setattr(Cell, "_evaluate", counted)
    wanted_losses, wanted = trained(remat=False)
    kept = len(evaluations)
    losses, weights = trained(remat=True)
    np.testing.assert_allclose(losses, wanted_losses, rtol=1e-5)
    for value, old in zip(weights, wanted, strict=True):
        np.testing.assert_allclose(value, old, rtol=1e-4, atol=1e-5)
    if keras.config.backend() != "jax":  # which evaluates a cell once, and transforms that
        assert len(evaluations) - kept > kept


def test_is_saved(tmp_path):
    model = one_block(remat=True)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert all(layer.remat for layer in loaded.layers if isinstance(layer, Cell))
