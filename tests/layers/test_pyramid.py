"""Feature maps at each resolution: which they are, at any size, saved, fused, trained through."""

import keras
import numpy as np
import pytest
from support.networks import backbone, images, one_block, randomize, relative_difference, weights_of

import keras_nasnet
from keras_nasnet.layers.variable import skip_initialization

every_backend = pytest.mark.every_backend
LEVELS = ["P1", "P2", "P3", "P4", "P5"]


@pytest.mark.parametrize(
    "name, channels",
    [
        ("NASNetMobile", {"P1": 32, "P2": 44, "P3": 264, "P4": 528, "P5": 1056}),
        ("NASNetLarge", {"P1": 96, "P2": 168, "P3": 1008, "P4": 2016, "P5": 4032}),
        ("PNASNetLarge", {"P1": 96, "P2": 270, "P3": 1080, "P4": 2160, "P5": 4320}),
        ("NASNetCIFAR", {"P0": 192, "P1": 384, "P2": 768}),
    ],
)
@pytest.mark.slow
def test_channels_of_the_published_networks(name, channels):
    with skip_initialization():
        model = getattr(keras_nasnet, name)(weights=None, include_top=False)
    assert {level: map_.shape[-1] for level, map_ in model.pyramid_outputs.items()} == channels


@every_backend
def test_sizes_of_the_maps():
    dynamic = backbone()
    extractor = keras.Model(dynamic.input, dynamic.pyramid_outputs)
    for size in ((32, 32), (64, 96), (65, 97), (75, 41), (129, 64)):
        fixed = backbone(input_shape=(*size, 3)).pyramid_outputs
        maps = extractor(images(2, *size, 3))
        side = [(length - 1) // 2 for length in size]  # the stem's convolution has no padding
        for level in LEVELS:
            assert tuple(maps[level].shape[1:3]) == tuple(fixed[level].shape[1:3]) == tuple(side)
            side = [-(-length // 2) for length in side]


@every_backend
def test_training_through_each_level_moves_all_below_it():
    for level in ("P2", "P5"):
        model = backbone()
        extractor = keras.Model(model.input, model.pyramid_outputs[level])
        before = weights_of(extractor)
        extractor.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
        x = images(2, 65, 97, 3)
        extractor.train_on_batch(x, np.ones(extractor(x).shape, "float32"))
        for weight, value, old in zip(
            extractor.weights, weights_of(extractor), before, strict=True
        ):
            assert np.isfinite(value).all(), weight.path
            assert (value != old).any(), weight.path
        assert (len(before) == len(model.weights)) == (level == "P5")


def test_a_model_that_was_saved_cloned_or_fused_has_the_same(tmp_path):
    model = randomize(backbone())
    x = images(1, 65, 97, 3)
    wanted = keras.Model(model.input, model.pyramid_outputs).predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    for other in (
        keras.saving.load_model(tmp_path / "model.keras"),
        copy,
        keras_nasnet.fuse(model),
    ):
        maps = keras.Model(other.input, other.pyramid_outputs)(x)
        assert list(maps) == LEVELS
        for level in LEVELS:
            assert relative_difference(maps[level], wanted[level]) <= 1e-5
    extractor = keras.Model(model.input, model.pyramid_outputs)
    extractor.save(tmp_path / "extractor.keras")
    maps = keras.saving.load_model(tmp_path / "extractor.keras")(x)
    assert relative_difference(maps["P4"], wanted["P4"]) <= 1e-5


def test_models_with_a_head_have_it_too():
    options = {"include_top": True, "classes": 3, "input_shape": (96, 96, 3)}
    classifier = one_block(auxiliary=True, classes=3)
    assert list(classifier.pyramid_outputs) == ["P0", "P1", "P2"]
    other = keras_nasnet.reset_classifier(backbone(**options), 5)
    assert list(other.pyramid_outputs) == LEVELS
    functional = keras.Model(other.input, other.output)
    assert list(keras_nasnet.feature_pyramid(functional)) == LEVELS


@pytest.mark.parametrize("model", [None, keras.Sequential([keras.layers.ReLU(name="stem")])])
def test_other_models_are_refused(model):
    with pytest.raises(ValueError, match="model: wanted a NASNet of this package"):
        keras_nasnet.feature_pyramid(model)
