"""Cells that are evaluated anew for the gradients: the same training, in less memory."""

import keras
import numpy as np
import pytest
from conftest import images, one_block, randomize, weights_of

from keras_nasnet import Cell

every_backend = pytest.mark.every_backend


def trained(steps=2, **options):
    """The losses and the weights after a few steps, the last drop path's random state too."""
    keras.utils.set_random_seed(0)
    model = one_block(classes=3, drop_path_rate=0.5, drop_path_steps=2, **options)
    randomize(model)
    for layer in model.layers:
        if isinstance(layer, Cell):
            state = layer.drop_path.seed_generator.state
            state.assign(np.array([5, 7], state.dtype))
    eager = keras.config.backend() == "jax"  # which would compile for long
    model.compile(
        keras.optimizers.SGD(0.1),
        "sparse_categorical_crossentropy",
        jit_compile=False,
        run_eagerly=eager,
    )
    x, y = images(4, 32, 32, 3), np.array([0, 1, 2, 0])
    losses = [float(model.train_on_batch(x, y)) for _ in range(steps)]
    cells = [layer for layer in model.layers if isinstance(layer, Cell)]
    states = [layer.drop_path.seed_generator.state for layer in cells]
    return losses, weights_of(model) + [keras.ops.convert_to_numpy(state) for state in states]


@every_backend
def test_trains_as_without(monkeypatch):
    evaluate, evaluations = Cell._evaluate, []

    def counted(cell, *args):
        evaluations.append(cell.name)
        return evaluate(cell, *args)

    monkeypatch.setattr(Cell, "_evaluate", counted)
    wanted_losses, wanted = trained()
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
