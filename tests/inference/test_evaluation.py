"""What an evaluation says of predictions."""

import io
import math

import keras
import numpy as np
import pytest
from rich.console import Console
from sklearn.calibration import calibration_curve
from support.networks import images, one_block, randomize

from keras_nasnet.cli.evaluate import table_of
from keras_nasnet.data.class_name import class_indices
from keras_nasnet.data.imagenet import imagenet_classes
from keras_nasnet.data.source import Source
from keras_nasnet.inference.classifier import Classifier
from keras_nasnet.inference.evaluation import (
    Bin,
    ClassScore,
    Confusion,
    Evaluation,
    evaluate,
)
from keras_nasnet.inference.report import write_report
from keras_nasnet.training.log import write_rows


def evaluation(labels, probabilities, names="abcdefghij"):
    probabilities = np.array(probabilities, "float32")
    names = list(names[: probabilities.shape[1]])
    files = [f"{index}.jpg" for index in range(len(labels))]
    return Evaluation(names, files, np.arange(len(labels)), np.array(labels), probabilities, [])


# Three of the class a, one of them taken for b; one of b, taken for a; none of c.
FEW = evaluation([0, 0, 0, 1], [[0.9, 0.1, 0], [0.6, 0.4, 0], [0.3, 0.7, 0], [0.8, 0, 0.2]])


def test_each_number_is_right():
    assert FEW.accuracy == 0.5
    assert FEW.interval == pytest.approx((0.15004, 0.84996), abs=1e-5)  # of 2 of 4, by R's binom
    assert FEW.macro_accuracy == pytest.approx((2 / 3 + 0) / 2), "c has no images and no part"
    assert FEW.top_5 is None
    a, b, c = FEW.classes
    assert a == ClassScore("a", 3, 3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert b == ClassScore("b", 1, 1, 0.0, 0.0)
    assert (c.support, c.predicted) == (0, 0)
    assert math.isnan(c.recall)
    assert math.isnan(c.precision)
    assert [score.name for score in FEW.worst_classes()] == ["b", "a"]
    assert FEW.confusion().tolist() == [[2, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert FEW.confused(9) == [
        Confusion("a", "b", 1, pytest.approx(1 / 3)),
        Confusion("b", "a", 1, 1),
    ]
    assert FEW.mistakes(9).tolist() == [3, 2], "the surest first"
    assert FEW.unsure(2).tolist() == [1, 2]
    assert FEW.predictions()[3] == {
        "image": "3.jpg",
        "true": "b",
        "predicted": "a",
        "probability": 0.8,
        "predicted_2": "c",
        "probability_2": 0.2,
        "predicted_3": "b",
        "probability_3": 0.0,
    }


def test_names_of_any_bytes_are_written_and_printed(tmp_path):
    scores = evaluation([1, 0], [[0.9, 0.1], [0.2, 0.8]], ["[b]", "\udcff"])
    write_rows(tmp_path / "x.csv", scores.predictions())
    lines = (tmp_path / "x.csv").read_bytes().splitlines()
    assert lines[1] == b"0.jpg,\xff,[b],0.9,\xff,0.1"
    stream = io.BytesIO()
    file = io.TextIOWrapper(stream, "utf-8")
    Console(file=file).print(table_of(scores))
    file.flush()
    assert "│ [b]  " in stream.getvalue().decode(), "which is no markup"


def test_the_five_best_classes_are_counted():
    best_last = np.arange(1, 8) / 28
    assert evaluation([1, 2, 3, 6], [best_last] * 4).top_5 == 0.75


def test_calibration_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    scores = evaluation(rng.integers(0, 4, 500), rng.dirichlet([0.3] * 4, 500))
    right, confidence = calibration_curve(scores.is_right, scores.confidence, n_bins=10)
    np.testing.assert_allclose([each.accuracy for each in scores.bins], right)
    np.testing.assert_allclose([each.confidence for each in scores.bins], confidence, rtol=1e-6)
    assert sum(each.count for each in scores.bins) == 500
    sure = evaluation([0, 0, 1, 1], [[0.95, 0.05], [0.65, 0.35], [0.65, 0.35], [0.65, 0.35]])
    sixes, nines = sure.bins
    assert sixes == Bin(3, pytest.approx(0.65), pytest.approx(1 / 3))
    assert nines == Bin(1, pytest.approx(0.95), 1.0)
    assert sure.calibration_error == pytest.approx((3 * abs(0.65 - 1 / 3) + 0.05) / 4)


@pytest.mark.parametrize("row", [[0.5, math.nan], [3.0, -1.0], [math.inf, 0.0]])
def test_only_probabilities_are_evaluated(row):
    with pytest.raises(ValueError, match=r"output is probabilities, .* for 1.jpg they sum to"):
        evaluation([0, 1], [[0.5, 0.5], row])


def test_names_are_looked_up():
    assert class_indices(["dog", "cat"], ["cat", "cow", "dog"]).tolist() == [2, 0]
    with pytest.raises(ValueError, match=r"no class 'dig'; did you mean dog\? its 2 classes are c"):
        class_indices(["cat", "dig"], ["cat", "dog"])
    imagenet = [name for _, name in imagenet_classes()]
    assert class_indices(["n01440764", "goldfish"], imagenet).tolist() == [0, 1]
    with pytest.raises(ValueError, match="2 classes named 'crane'"):
        class_indices(["crane"], imagenet)


@pytest.mark.every_backend
def test_a_network_is_evaluated_on_what_can_be_read(tmp_path):
    """Batch by batch, with maps that add up to what the classifier says."""
    model = randomize(one_block(classes=3))
    classifier = Classifier(model, ["cat", "dog", "owl"])
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"not an image")
    pixels = [*(127.5 + 127.5 * images(7, 32, 32, 3)).astype("uint8")]
    source = Source([*pixels[:2], broken, *pixels[2:]], np.arange(8) % 2, ["owl", "cat"])
    found = evaluate(classifier, source, batch_size=3)
    assert found.positions.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert found.labels.tolist() == [2, 0, 0, 2, 0, 2, 0]
    assert found.images[2] == "image 3"
    assert found.unreadable == [f"{broken}: not an image in a known format"]
    assert [*source.unreadable] == found.unreadable
    named = [dict(scores) for _, scores in classifier.classify(pixels, top=3, batch_size=3)]
    expected = [[scores[name] for name in classifier.class_names] for scores in named]
    np.testing.assert_allclose(found.probabilities, expected, rtol=1e-4)

    maps = np.stack([each for _, each in classifier.activation_maps(pixels, batch_size=3)])
    _, bias = model.get_layer("predictions").get_weights()
    logits = maps.mean((1, 2)) + bias
    exponentials = np.exp(logits - logits.max(1, keepdims=True))
    softmax = exponentials / exponentials.sum(1, keepdims=True)
    np.testing.assert_allclose(softmax, found.probabilities, rtol=1e-3, atol=1e-6)

    with pytest.raises(ValueError, match="no image that can be evaluated, .*broken.jpg: not an i"):
        evaluate(classifier, Source([broken], np.array([0]), ["cat"]))


@pytest.mark.every_backend
def test_a_model_of_others_has_no_maps(tmp_path):
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, "softmax")]
    classifier = Classifier(keras.Sequential([keras.Input((8, 8, 3)), *layers]), ["a", "b"])
    source = Source(np.zeros((3, 8, 8, 3), "uint8"), np.zeros(3, int), ["a"])
    scores = evaluate(classifier, source)
    np.testing.assert_allclose(scores.probabilities.sum(1), 1, rtol=1e-6)
    write_report(tmp_path / "report.html", scores, classifier, source)
    assert "so it has no such maps" in (tmp_path / "report.html").read_text()
