"""ScheduledDropPath: the rates of the formula, its step under everything that trains."""

import keras
import numpy as np
import pytest
from support.networks import assert_same_weights, images, one_block, randomize, weights_of

import keras_nasnet
from keras_nasnet import NASNET_A, Cell, ScheduledDropPath
from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.config import DROP_PATH_SCHEDULES
from keras_nasnet.cells.plan import plan

every_backend = pytest.mark.every_backend

RATE, STEPS = 0.4, 100
DROPS = {"drop_path_rate": RATE, "drop_path_steps": STEPS}


def share_dropped(layer, step, examples=4000):
    ones = np.ones((examples, 2, 2, 1), "float32")
    output = keras.ops.convert_to_numpy(layer(ones, step=step, training=True))
    assert np.ptp(output, axis=(1, 2, 3)).max() == 0, "an example is dropped whole or not at all"
    return (output[:, 0, 0, 0] == 0).mean(), output.mean()


@every_backend
@pytest.mark.parametrize("schedule", DROP_PATH_SCHEDULES)
def test_rates_of_every_cell_are_those_of_the_formula(schedule):
    placements = plan(MODELS["NASNetCIFAR"])
    for cell in (0, len(placements) // 2, len(placements) - 1):
        ratio = placements[cell].depth_ratio
        assert ratio == (cell + 1) / 20
        layer = ScheduledDropPath(RATE, ratio, STEPS, schedule, seed=1)
        for step in (0, STEPS // 2, STEPS, 3 * STEPS):
            rate = RATE
            rate *= ratio if schedule in ("linear", "depth") else 1
            rate *= min(1, step / STEPS) if schedule in ("linear", "step") else 1
            dropped, mean = share_dropped(layer, step)
            error = np.sqrt(rate * (1 - rate) / 4000)
            assert abs(dropped - rate) <= 4 * error
            assert abs(mean - 1) <= 4 * error / (1 - rate) + 1e-6, "expectation stays"


def test_cells_of_the_published_networks_count_their_stems():
    for name, cells in (("NASNetMobile", 16), ("NASNetLarge", 22), ("NASNetCIFAR", 20)):
        ratios = [placement.depth_ratio for placement in plan(MODELS[name])]
        assert ratios == [(i + 1) / cells for i in range(cells)]


@every_backend
def test_masks_are_independent_between_paths_and_calls():
    layer = ScheduledDropPath(0.5, schedule="constant", seed=2)
    draws = [
        keras.ops.convert_to_numpy(layer.drop(np.ones((2000, 1), "float32"), 0.5))[:, 0] > 0
        for _ in range(3)
    ]
    for first, second in ((0, 1), (1, 2), (0, 2)):
        assert abs((draws[first] == draws[second]).mean() - 0.5) <= 3 * 0.5 / np.sqrt(2000)


@every_backend
def test_alone_it_counts_its_own_training_calls():
    layer = ScheduledDropPath(0.9, num_steps=4)
    x = np.ones((64, 3), "float32")
    layer(x)
    layer(x, training=False)
    assert (keras.ops.convert_to_numpy(layer(x, training=True)) == 1).all(), "rate 0 at step 0"
    layer(x, training=True)
    (step,) = layer.weights
    assert int(keras.ops.convert_to_numpy(step)) == 2
    model = keras.Sequential([keras.Input((3,)), ScheduledDropPath(0.5, num_steps=4)])
    model.add(keras.layers.Dense(1))
    model.compile("sgd", "mse")
    model.fit(x, x[:, :1], batch_size=16, epochs=2, verbose=0)
    assert int(keras.ops.convert_to_numpy(model.layers[0].weights[0])) == 8
    clone = ScheduledDropPath.from_config(layer.get_config())
    assert clone.get_config() == layer.get_config()


@every_backend
def test_built_with_a_step_it_wants_one_at_each_training_call():
    layer = ScheduledDropPath(0.5, num_steps=4)
    x = np.ones((2, 3), "float32")
    layer(x, step=keras.ops.zeros((), "int32"), training=True)
    layer(x)
    with pytest.raises(ValueError, match="step: wanted one"):
        layer(x, training=True)


def step_of(model):
    return int(keras.ops.convert_to_numpy(model.get_layer("training_step").step))


@every_backend
def test_the_models_step(tmp_path):
    """One a training step; saved and loaded; untouched by all else."""
    model = one_block(**DROPS)
    x, y = images(8, 32, 32, 3), np.arange(8)
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=4, verbose=0, validation_data=(x, y))
    assert step_of(model) == 2
    model.train_on_batch(x, y)
    model.predict(x, verbose=0)
    assert step_of(model) == 3
    model.save(tmp_path / "model.keras")
    assert step_of(keras.saving.load_model(tmp_path / "model.keras")) == 3
    assert step_of(one_block(**DROPS, weights=tmp_path / "model.keras")) == 3
    # A network without drop path takes the same file, and one with it takes files without.
    plain = one_block(weights=tmp_path / "model.keras")
    np.testing.assert_allclose(
        plain.predict(x, verbose=0), model.predict(x, verbose=0), rtol=1e-5, atol=1e-6
    )
    plain.save_weights(tmp_path / "plain.weights.h5")
    other = one_block(**DROPS, weights=tmp_path / "plain.weights.h5")
    assert step_of(other) == 0
    assert_same_weights(plain, [w for w in weights_of(other) if w.ndim])


@every_backend
@pytest.mark.parametrize("options", [{"jit_compile": True}, {"steps_per_execution": 2}])
def test_the_step_under_other_ways_to_compile(options):
    if keras.config.backend() == "torch":
        pytest.skip("has no steps_per_execution; torch.compile takes minutes")
    image = keras.Input((6, 6, 3))
    x = keras_nasnet.layers.ConvolutionUnit(4, 1)(image)
    step = keras_nasnet.layers.TrainingStep(name="training_step")(image)
    x = ScheduledDropPath(0.5, num_steps=3)(x, step=step)
    model = keras.Model(image, keras.layers.Flatten()(x))
    optimizer = keras.optimizers.SGD(0.1, gradient_accumulation_steps=2)
    model.compile(optimizer, "mse", **options)
    x = images(8, 6, 6, 3)
    model.fit(x, np.zeros((8, 144)), batch_size=2, verbose=0)
    assert step_of(model) == 4


@every_backend
def test_identities_are_never_dropped():
    """At a rate near 1 little more than the identities and the previous state is left."""
    always = ScheduledDropPath(0.9999, schedule="constant")
    cells = [Cell(NASNET_A.normal, 4, drop_path=drop_path) for drop_path in (always, None)]
    states = [images(4, 8, 8, 12), images(4, 8, 8, 20, seed=1)]
    for cell in cells:
        cell(states)
        randomize(cell).trainable = False  # statistics of inference
    dropped, whole = (
        np.split(keras.ops.convert_to_numpy(cell(states, training=True)), 6, axis=-1)
        for cell in cells
    )
    np.testing.assert_array_equal(dropped[0], whole[0])  # p itself
    np.testing.assert_array_equal(dropped[3], dropped[0])  # avg3(h) + p
    assert not dropped[1].any()  # sep5(h) + sep3(p)
    assert not dropped[4].any()  # avg3(p) + avg3(p)
    assert dropped[5].any()  # sep3(h) + h


def test_nothing_of_it_is_in_a_network_without():
    model = one_block(drop_path_rate=0.0)
    assert all(cell.drop_path is None for cell in model.layers if hasattr(cell, "drop_path"))
    assert "training_step" not in [layer.name for layer in model.layers]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"drop_path_rate": 1.0, "drop_path_steps": 3}, "rate.*1.0"),
        ({"drop_path_rate": 0.5}, "num_steps.*None"),
        ({"drop_path_rate": 0.5, "drop_path_steps": 0}, "num_steps.*0"),
        ({"drop_path_rate": 0.5, "drop_path_schedule": "cosine"}, "schedule.*'cosine'"),
    ],
)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        one_block(**options)
