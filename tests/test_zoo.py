"""The models, against keras.applications and as Keras models."""

import inspect
import pickle
import pydoc

import keras
import numpy as np
import pytest
from support.networks import (
    ONE_BLOCK,
    images,
    one_block,
    outputs,
    randomize,
    relative_difference,
    tiny,
    weights_of,
)

import keras_nasnet
from keras_nasnet import NASNET_A, zoo
from keras_nasnet.factory import Options
from keras_nasnet.layers.variable import skip_initialization

every_backend = pytest.mark.every_backend
NATIVE = {"NASNetMobile": 224, "NASNetLarge": 331}


def test_cells_have_the_filters_of_the_published_network_by_default():
    model = keras_nasnet.NASNet(ONE_BLOCK, 1, stem="cifar", input_shape=(32, 32, 3), classes=10)
    assert model.layers[-2].output.shape[-1] == 2 * 4 * 32  # two states, filters doubled twice


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, include_top, size",
    [
        ("NASNetMobile", True, None),
        ("NASNetMobile", False, (97, 65)),
        ("NASNetLarge", False, (97, 65)),
    ],
)
def test_published_networks_are_those_of_keras_applications(tmp_path, name, include_top, size):
    shape = (*(size or (NATIVE[name],) * 2), 3)
    theirs = getattr(keras.applications, name)(
        input_shape=shape, include_top=include_top, weights=None, classifier_activation=None
    )
    randomize(theirs).save_weights(tmp_path / "theirs.weights.h5")
    ours = getattr(keras_nasnet, name)(
        input_shape=shape,
        include_top=include_top,
        weights=tmp_path / "theirs.weights.h5",
        classifier_activation=None,
        pool_padding="zeros",
    )
    x = images(3, *shape)
    assert relative_difference(ours.predict(x, verbose=0), outputs(theirs, x)) <= 1e-5


@every_backend
def test_one_file_serves_every_size(tmp_path):
    randomize(tiny()).save_weights(tmp_path / "tiny.weights.h5")
    models = {
        shape: tiny(input_shape=shape, weights=tmp_path / "tiny.weights.h5")
        for shape in ((32, 32, 3), (97, 65, 3), (None, None, 3))
    }
    dynamic = models[None, None, 3]
    for shape, model in models.items():
        for ours, wanted in zip(weights_of(dynamic), weights_of(model), strict=True):
            np.testing.assert_array_equal(ours, wanted)
        if shape[0]:
            x = images(2, *shape)
            np.testing.assert_allclose(dynamic.predict(x, verbose=0), outputs(model, x), atol=1e-6)


@every_backend
@pytest.mark.parametrize("pool_padding", ["same", "zeros"])
def test_any_size_is_exact(pool_padding):
    """Odd and even sizes through a model without sizes, without top."""
    dynamic = tiny(include_top=False, input_shape=(None, None, 3), pool_padding=pool_padding)
    static = tiny(include_top=False, input_shape=(53, 70, 3), pool_padding=pool_padding)
    static.set_weights(randomize(dynamic).get_weights())
    x = images(2, 53, 70, 3)
    wanted = outputs(static, x)
    assert wanted.shape == (2, 2, 3, 96)
    assert relative_difference(dynamic.predict(x, verbose=0), wanted) <= 1e-6


@every_backend
def test_a_model_can_be_saved_loaded_cloned_and_trained(tmp_path):
    model = randomize(one_block(dropout_rate=0.5))
    x = images(4, 32, 32, 3)
    wanted = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    clone = keras.models.clone_model(model)
    clone.load_weights(tmp_path / "model.weights.h5")
    rebuilt = keras.Model.from_config(model.get_config())
    rebuilt.set_weights(model.get_weights())
    for copy in (loaded, clone, rebuilt):
        np.testing.assert_array_equal(copy.predict(x, verbose=0), wanted)
    loaded.compile("sgd", loss="sparse_categorical_crossentropy")
    loaded.fit(x, np.arange(4), verbose=0)
    changed = [(a != b).any() for a, b in zip(weights_of(loaded), weights_of(model), strict=True)]
    # Where a state is one pixel wide most taps of a kernel are never used; no variable is unused.
    assert all(changed)


@every_backend
def test_mixed_precision(tmp_path):
    model = randomize(one_block())
    x = images(2, 32, 32, 3)
    wanted = outputs(model, x)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = one_block()
    finally:
        keras.config.set_dtype_policy("float32")
    half.set_weights(model.get_weights())
    result = half.predict(x, verbose=0)
    assert result.dtype == "float32"
    assert all(weight.dtype == "float32" for weight in half.weights)
    assert half.get_layer("cell_02").compute_dtype == "bfloat16"
    np.testing.assert_allclose(result, wanted, atol=0.1)


@every_backend
def test_arguments_of_keras_applications():
    x = images(2, 40, 36, 3)
    image = keras.Input((40, 36, 3))
    doubled = keras.layers.Rescaling(2.0)(image)
    maps = randomize(one_block(include_top=False, input_tensor=doubled))
    assert maps.input is image
    features = outputs(maps, x)
    assert features.min() == 0, "a ReLU is part of the network without top"
    for pooling, reduce in (("avg", np.mean), ("max", np.max)):
        pooled = one_block(include_top=False, input_tensor=doubled, pooling=pooling)
        pooled.set_weights(maps.get_weights())
        np.testing.assert_allclose(
            outputs(pooled, x), reduce(features, (1, 2)), rtol=1e-4, atol=1e-5
        )
    logits = randomize(one_block(classifier_activation=None, classes=3))
    softmax = one_block(classes=3)
    softmax.set_weights(logits.get_weights())
    x = images(2, 32, 32, 3)
    exp = np.exp(outputs(logits, x))
    np.testing.assert_allclose(outputs(softmax, x), exp / exp.sum(-1, keepdims=True), atol=1e-5)


def test_signatures_begin_as_those_of_keras_applications():
    for name in NATIVE:
        theirs = inspect.signature(getattr(keras.applications, name)).parameters
        ours = inspect.signature(getattr(keras_nasnet, name)).parameters
        assert list(ours)[: len(theirs)] == list(theirs)
        assert all(ours[key].default == theirs[key].default for key in theirs)
        assert list(ours)[len(theirs) :] == ["options"]


@every_backend
@pytest.mark.parametrize("name", keras_nasnet.list_models())
def test_a_factory_is_a_function_of_its_name(name):
    factory = getattr(keras_nasnet, name)
    form = inspect.signature(factory)
    assert pickle.loads(pickle.dumps(factory)) is factory
    assert form.parameters["classes"].default == zoo.MODELS[name].classes
    assert form.return_annotation is keras.Model
    assert "NASNetConfig" not in pydoc.plain(pydoc.render_doc(factory))


@every_backend
def test_arguments_by_position(monkeypatch):
    monkeypatch.setitem(
        zoo.MODELS, "NASNetMobile", zoo.network_of(ONE_BLOCK, num_cells=1, classes=10)
    )
    image = keras.Input((40, 36, 1))
    model = keras_nasnet.NASNetMobile(
        None, False, None, image, "max", 10, None, "small", dropout_rate=0.5
    )
    assert (model.name, model.output.shape) == (
        "small",
        (None, zoo.MODELS["NASNetMobile"].penultimate_filters),
    )
    assert model.input is image
    assert model.layers[-1].name == "max_pool"
    with pytest.raises(
        TypeError, match=r"^NASNetMobile\(\) takes from 0 to 8 positional arguments"
    ):
        keras_nasnet.NASNetMobile(None, True, None, None, None, 10, None, "small", 0.5)
    model = keras_nasnet.NASNet(ONE_BLOCK, 1, 96, weights=None, classes=3)
    assert model.output.shape == (None, 3)


@every_backend
def test_every_option_reaches_the_network():
    options = {
        "drop_path_rate": 0.3,
        "drop_path_steps": 7,
        "drop_path_schedule": "step",
        "auxiliary": 0.25,
        "dropout_rate": 0.5,
        "remat": True,
        "pool_padding": "zeros",
        "batch_norm_momentum": 0.8,
    }
    assert list(options) == [*Options.__annotations__]
    model = one_block(**options)
    cell = model.get_layer("cell_00").get_config()
    drop_path = cell["drop_path"]["config"]
    assert (drop_path["rate"], drop_path["num_steps"], drop_path["schedule"]) == (0.3, 7, "step")
    assert model.get_layer("auxiliary").loss_weight == 0.25
    assert model.get_layer("dropout").rate == 0.5
    assert cell["remat"] is True
    assert (cell["pool_padding"], cell["batch_norm_momentum"]) == ("zeros", 0.8)


@every_backend
def test_the_image_data_format_of_keras_changes_nothing():
    x = images(2, 32, 32, 3)
    model = randomize(one_block())
    keras.config.set_image_data_format("channels_first")
    try:
        other = one_block()
    finally:
        keras.config.set_image_data_format("channels_last")
    other.set_weights(model.get_weights())
    np.testing.assert_array_equal(other.predict(x, verbose=0), model.predict(x, verbose=0))


BAD = [
    ({"input_shape": (31, 64, 3)}, r"at least 32; got \(31, 64, 3\)"),
    ({"input_shape": (64, 64)}, r"input_shape.*got \(64, 64\)"),
    ({"input_shape": (64, 64, None)}, r"input_shape.*None\)"),
    ({"pooling": "mean"}, "pooling: 'mean'"),
    ({"classes": 0}, "classes.*0"),
    ({"dropout_rate": 1.0}, "dropout_rate.*1.0"),
    ({"pool_padding": "valid"}, "pool_padding: 'valid'"),
    ({"batch_norm_momentum": 2}, "batch_norm_momentum"),
    ({"input_shape": 64}, r"input_shape: wanted \(height, width, channels\), such .*; got 64$"),
    ({"input_shape": (10**9, 64, 3)}, r"up to 16,384 .* got \(1000000000, 64, 3\)"),
    ({"input_shape": (64, 64, 10**9)}, r"up to 4,096 channels.* got \(64, 64, 1000000000\)"),
    ({"classes": 10**9}, "classes: wanted an integer of at most 250,000"),
    ({"dropout_rate": "0.5"}, "dropout_rate.*'0.5'"),
    ({"weights": "imagenet"}, "published for NASNetMobile and NASNetLarge only"),
]


@pytest.mark.parametrize("options, message", BAD)
def test_bad_arguments_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        tiny(**options)


@pytest.mark.parametrize(
    "factory, argument, message",
    [
        ("NASNetMobile", "weight", r"^NASNetMobile\(\) .*'weight'; did you mean weights\?"),
        ("NASNetLarge", "config", r"^NASNetLarge\(\) .*'config'; allowed are input_shape"),
        ("NASNetCIFAR", "published_as", r"^NASNetCIFAR\(\) "),
        ("PNASNetLarge", "clases", r"^PNASNetLarge\(\) .*did you mean classes\?"),
        ("NASNet", "drop_rate", r"^NASNet\(\) .*did you mean drop(_path|out)_rate\?"),
        ("NASNet", "stm", r"^NASNet\(\) .*did you mean stem\?"),
    ],
)
def test_an_unknown_argument_is_told_by_the_name_that_was_called(factory, argument, message):
    arguments = {"genotype": NASNET_A, "num_cells": 1} if factory == "NASNet" else {}
    with pytest.raises(TypeError, match=message):
        getattr(keras_nasnet, factory)(**arguments, **{argument: None})


def test_list_models():
    names = keras_nasnet.list_models()
    assert names[:3] == ["NASNetMobile", "NASNetLarge", "NASNetCIFAR"]
    assert names[3:] == ["PNASNetMobile", "PNASNetLarge", "AmoebaNetA", "ENASMicro"]
    assert all(callable(getattr(keras_nasnet, name)) for name in names)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, include_top, params",
    [
        ("NASNetMobile", True, 5_326_716),
        ("NASNetMobile", False, 4_269_716),
        ("NASNetLarge", True, 88_949_818),
        ("NASNetLarge", False, 84_916_818),
        ("NASNetCIFAR", True, 3_383_786),
        ("PNASNetMobile", True, 5_098_151),
        ("PNASNetLarge", True, 86_234_656),
        ("AmoebaNetA", True, 86_908_673),
        ("ENASMicro", True, 3_795_526),
    ],
)
def test_parameters_of_the_built_models(name, include_top, params):
    with skip_initialization():
        model = getattr(keras_nasnet, name)(weights=None, include_top=include_top)
    assert model.count_params() == params
