"""KerasHub's detectors and segmenters on our networks."""

from importlib.util import find_spec

import keras
import numpy as np
import pytest
from support.networks import backbone, images, randomize, relative_difference

if find_spec("keras_hub") is None:
    pytest.skip("keras-hub is not installed", allow_module_level=True)

from keras_hub.models import (
    DeepLabV3Backbone,
    DeepLabV3ImageSegmenter,
    RetinaNetBackbone,
    RetinaNetObjectDetector,
)

SIZE = (64, 96)


def test_retinanet(tmp_path):
    encoder = randomize(backbone())
    features = RetinaNetBackbone(encoder, 3, 6, use_p5=False, image_shape=(*SIZE, 3))
    model = RetinaNetObjectDetector(
        features, num_classes=3, bounding_box_format="xyxy", pre_logits_num_conv_layers=1
    )
    model.compile(keras.optimizers.SGD(1e-3), run_eagerly=True)
    boxes = np.array([[[8, 8, 40, 40]], [[20, 10, 60, 50]]], "float32")
    labels = np.array([[1], [2]], "float32")
    x = images(2, *SIZE, 3)
    before = encoder.get_layer("stem").get_weights()[0]
    history = model.fit(x, {"boxes": boxes, "labels": labels}, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert (encoder.get_layer("stem").get_weights()[0] != before).any()
    assert model.predict(x, verbose=0)["boxes"].shape == (2, 100, 4)

    model.save(tmp_path / "detector.keras")
    loaded = keras.saving.load_model(tmp_path / "detector.keras")
    for key, wanted in model(x).items():
        assert relative_difference(loaded(x)[key], np.array(wanted)) <= 1e-4


def test_deeplab():
    encoder = randomize(backbone())
    features = DeepLabV3Backbone(
        image_encoder=encoder,
        spatial_pyramid_pooling_key="P5",
        upsampling_size=8,
        dilation_rates=[2, 4],
        low_level_feature_key="P2",
        projection_filters=8,
        image_shape=(*SIZE, 3),
    )
    model = DeepLabV3ImageSegmenter(features, num_classes=3)
    model.compile(
        keras.optimizers.SGD(1e-3),
        keras.losses.CategoricalCrossentropy(from_logits=True),
        run_eagerly=True,
    )
    x = images(2, *SIZE, 3)
    assert model.predict(x, verbose=0).shape == (2, *SIZE, 3)
    before = encoder.get_layer("stem").get_weights()[0]
    labels = np.eye(3, dtype="float32")[np.random.default_rng(0).integers(0, 3, (2, *SIZE))]
    history = model.fit(x, labels, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert (encoder.get_layer("stem").get_weights()[0] != before).any()
