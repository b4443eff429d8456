"""The auxiliary head: its size, its loss, and that nothing else knows of it."""

import keras
import numpy as np
import pytest
from support.networks import assert_same_weights, images, one_block, randomize, tiny, weights_of

import keras_nasnet
from keras_nasnet.layers.variable import skip_initialization

every_backend = pytest.mark.every_backend

CLASSES = {"classes": 3}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, params",
    [("NASNetMobile", 2_413_032), ("NASNetLarge", 4_569_576), ("NASNetCIFAR", 1_633_290)],
)
def test_parameters_of_the_published_heads(name, params):
    with skip_initialization():
        model = getattr(keras_nasnet, name)(weights=None, auxiliary=True)
    assert model.get_layer("auxiliary").count_params() == params


@every_backend
def test_its_loss_is_added_with_its_weight(tmp_path):
    """The first step's loss, against both classifiers' evaluated apart."""
    model = randomize(one_block(**CLASSES, auxiliary=0.7))
    x, y = images(6, 32, 32, 3), np.array([0, 1, 2, 0, 1, 2])
    both = keras.Model(model.input, model.outputs)
    losses = [
        float(
            np.mean(
                keras.ops.convert_to_numpy(
                    keras.losses.sparse_categorical_crossentropy(y, probabilities)
                )
            )
        )
        for probabilities in both(x, training=True)
    ]
    kernel = model.get_layer("predictions").kernel
    kernel.regularizer = keras.regularizers.L2(0.1)
    penalty = float((keras.ops.convert_to_numpy(kernel) ** 2).sum()) * 0.1
    model.compile(
        keras.optimizers.SGD(0.0), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    logs = model.train_on_batch(x, y, return_dict=True)
    assert set(logs) == {"loss", "accuracy"}
    np.testing.assert_allclose(logs["loss"], losses[0] + 0.7 * losses[1] + penalty, rtol=1e-4)
    assert set(model.evaluate(x, y, verbose=0, return_dict=True)) == {"loss", "accuracy"}


@every_backend
def test_nothing_but_training_knows_of_it(tmp_path):
    model, plain = randomize(one_block(**CLASSES, auxiliary=True)), one_block(**CLASSES)
    x = images(4, 32, 32, 3)
    model.save_weights(tmp_path / "with.weights.h5")
    keras_nasnet.load_weights(plain, tmp_path / "with.weights.h5")
    wanted = plain.predict(x, verbose=0)
    np.testing.assert_array_equal(model.predict(x, verbose=0), wanted)
    assert model.output_shape == plain.output_shape == (None, 3)
    assert model(x).shape == (4, 3)

    plain.save_weights(tmp_path / "without.weights.h5")
    fresh = one_block(**CLASSES, auxiliary=True)
    head = weights_of(fresh.get_layer("auxiliary"))
    keras_nasnet.load_weights(fresh, tmp_path / "without.weights.h5")
    np.testing.assert_array_equal(fresh.predict(x, verbose=0), wanted)
    assert_same_weights(fresh.get_layer("auxiliary"), head)

    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), wanted)
    loaded.compile("sgd", "sparse_categorical_crossentropy")
    before = weights_of(loaded.get_layer("auxiliary"))
    loaded.fit(x, np.arange(4) % 3, verbose=0)
    after = weights_of(loaded.get_layer("auxiliary"))
    assert all((a != b).any() for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"input_shape": (None, None, 3)}, "fixed size.* map is None x None"),
        ({"include_top": False}, "needs include_top=True"),
        ({"auxiliary": -1}, "loss weight > 0, got -1"),
    ],
)
def test_what_it_cannot_be_used_with_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        one_block(**CLASSES | {"auxiliary": True} | options)


def test_an_input_too_small_for_it_is_named():
    with pytest.raises(ValueError, match="at least 5 x 5 .* map is 2 x 3"):
        tiny(auxiliary=True, input_shape=(32, 40, 3))
