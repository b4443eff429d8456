"""Pixels to numbers and numbers to names."""

import keras
import numpy as np
import pytest

from keras_nasnet import decode_predictions, preprocess_input
from keras_nasnet.data.imagenet import imagenet_classes

pytestmark = pytest.mark.every_backend


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "float16"])
def test_pixels_become_minus_one_to_one(dtype):
    pixels = np.array([[0, 51, 255]], dtype)
    wanted = [[-1, -0.6, 1]]
    for x in (pixels.copy(), keras.ops.convert_to_tensor(pixels)):
        result = keras.ops.convert_to_numpy(preprocess_input(x))
        np.testing.assert_allclose(result, wanted, atol=1e-3)
        assert result.dtype == ("float16" if dtype == "float16" else "float32")
    np.testing.assert_allclose(preprocess_input([[0, 51, 255]]), wanted, atol=1e-6)


def test_a_float_array_is_changed_in_place():
    pixels = np.array([0.0, 255.0])
    assert preprocess_input(pixels) is pixels
    np.testing.assert_array_equal(pixels, [-1, 1])


def test_symbolic_tensors_are_scaled():
    image = keras.Input((4, 4, 3), dtype="uint8")
    model = keras.Model(image, preprocess_input(image))
    result = model.predict(np.full((1, 4, 4, 3), 255, "uint8"), verbose=0)
    np.testing.assert_allclose(result, np.ones((1, 4, 4, 3)), atol=1e-6)


def test_the_classes_are_those_of_ilsvrc_2012():
    classes = imagenet_classes()
    ids = [wordnet_id for wordnet_id, _ in classes]
    assert len(classes) == len(set(ids)) == 1000
    assert ids == sorted(ids), "the classes are in the order of their WordNet ids"
    # From keras.applications' own index; crane and maillot each stand for two classes.
    for index, row in {
        0: ("n01440764", "tench"),
        134: ("n02012849", "crane"),
        207: ("n02099601", "golden_retriever"),
        517: ("n03126707", "crane"),
        638: ("n03710637", "maillot"),
        639: ("n03710721", "maillot"),
        739: ("n03992509", "potter's_wheel"),
        999: ("n15075141", "toilet_tissue"),
    }.items():
        assert classes[index] == row


def test_predictions_are_decoded_best_first():
    scores = np.zeros((2, 1000), "float32")
    scores[0, 207], scores[0, 0], scores[1, 999] = 0.6, 0.4, 1
    for preds in (scores, keras.ops.convert_to_tensor(scores)):
        first, second = decode_predictions(preds, top=2)
        assert [name for _, name, _ in first] == ["golden_retriever", "tench"]
        assert second[0] == ("n15075141", "toilet_tissue", 1)
    assert len(decode_predictions(scores)[0]) == 5


@pytest.mark.parametrize("shape, top", [((2, 10), 5), ((1000,), 5), ((1, 1000), 0)])
def test_what_is_no_prediction_is_refused(shape, top):
    with pytest.raises(ValueError, match="wanted"):
        decode_predictions(np.zeros(shape), top)
