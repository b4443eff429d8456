"""The page that shows an evaluation."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from matplotlib.figure import Figure
from support.runs import job

from keras_nasnet.data.source import Source
from keras_nasnet.inference.evaluation import Evaluation
from keras_nasnet.inference.report import write_report
from keras_nasnet.training.callback import LOG
from keras_nasnet.training.job import CONFIG
from keras_nasnet.training.log import plot_curves, write_rows

NAMES = ["<b>cat</b>", '"dog" & co', "鳥", "قطة", "\udcff no Unicode"]


class Maps:
    """A classifier of images of 32 x 24."""

    size = (24, 32)

    def activation_maps(self, images):
        for number, image in enumerate(images):
            yield image, np.random.default_rng(number).normal(size=(3, 4, 1000))


def written(path, classes, images, **options):
    rng = np.random.default_rng(0)
    names = [*NAMES, *(f"class {number}" for number in range(classes))][:classes]
    pixels = rng.integers(0, 256, (images, 20, 30, 3), "uint8")
    source = Source(pixels, rng.integers(0, classes, images), names)
    names_of_images = [f"a/<{number}>.jpg" for number in range(images)]
    probabilities = rng.dirichlet([0.5] * classes, images)
    found = Evaluation(
        names, names_of_images, np.arange(images), source.labels, probabilities, ["<x>: empty"]
    )
    write_report(path, found, Maps(), source, name="a <run>", **options)
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """The elements of a page, which are all closed, and the text outside of them."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "img", "br", "!doctype"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


@pytest.mark.parametrize("classes, images", [(2, 40), (5, 100), (1000, 2000)])
def test_a_page_holds_all_it_shows(tmp_path, classes, images):
    text = written(tmp_path / "report.html", classes, images)
    page = Page(text)
    assert not page.open
    assert ("b", {}) in page.tags, "ours, for the classes of an image"
    assert "<b>cat" not in text, "theirs, in a name"
    for name in (*NAMES[: min(4, classes)], "a <run>", "a/<", "<x>: empty"):
        assert name in page.words
    sources = [values["src"] for _, values in page.tags if "src" in values]
    assert all(re.match("data:image/(jpeg|svg.xml);base64,", source) for source in sources)
    assert not [values for _, values in page.tags if "href" in values]
    assert all(values["alt"] for tag, values in page.tags if tag == "img")
    pictures = sum("jpeg" in source for source in sources)
    assert 24 + 24 + 16 * 2 <= pictures <= 112
    assert len(text) < 1_000_000
    is_matrix = any(values.get("class") == "matrix" for _, values in page.tags)
    assert is_matrix == (classes < 1000)
    assert (
        "980 more classes" in page.words or "classes most often confused" in page.words
    ) != is_matrix


def test_drawings_are_dark_where_the_page_is(tmp_path):
    text = written(tmp_path / "report.html", 3, 20)
    assert "prefers-color-scheme: dark" in text
    drawing = base64.b64decode(re.search('svg.xml;base64,([^"]*)', text)[1]).decode()
    assert "prefers-color-scheme:dark" in drawing
    assert "currentColor" in drawing
    assert not re.search("#000000|#ffffff", drawing)


def test_a_run_has_its_curves_and_settings(tmp_path):
    config = job().to_dict() | {"class_names": ["a"], "normalization": None}
    (tmp_path / CONFIG).write_text(json.dumps(config))
    values = {"loss": 1.0, "accuracy": 0.5, "val_loss": 2.0}
    rows = [{"epoch": n, "val_accuracy": (3, 7, 5)[n] / 10} | values for n in range(3)]
    write_rows(tmp_path / LOG, rows)
    text = written(tmp_path / "report.html", 3, 20, run=tmp_path)
    words = Page(text).words
    assert "Best validation accuracy: 70.0%, after epoch 2 of 3." in words
    assert "<tr><td>label_smoothing</td><td>0.0</td></tr>" in text
    assert "<tr><td>whiten</td><td>yes</td></tr>" in text


def test_copies_of_training_images_are_shown(tmp_path):
    rng = np.random.default_rng(1)
    labels, names = np.array([0, 1]), ["left", "right"]
    own = written(tmp_path / "a.html", 3, 4, training="They are gone.")
    assert "They are gone." in own
    pixels = np.random.default_rng(0).integers(0, 256, (4, 20, 30, 3), "uint8")
    others = rng.integers(0, 256, (1, 20, 30, 3), "uint8")
    training = Source(np.concatenate([others, pixels[2:3, :, ::-1]]), labels, names)
    words = Page(written(tmp_path / "b.html", 3, 4, training=training)).words
    assert "1 of 4 images looked at are nearly equal to one of 2 training images" in words
    assert "training: right" in words


def test_curves_begin_where_the_network_was_unfrozen():
    values = {"loss": 1.0, "accuracy": 0.5, "val_loss": 2.0, "val_accuracy": 0.4}
    figure = Figure()
    plot_curves(figure, [values | {"epoch": 0}], {"val_loss": 3.0, "val_accuracy": 0.3})
    for axes, validated in zip(figure.axes, ([3.0, 2.0], [0.3, 0.4]), strict=True):
        lines = {line.get_label(): line for line in axes.lines}
        assert lines["validation"].get_xydata().tolist() == [*map(list, enumerate(validated))]
        assert list(lines["unfrozen"].get_xdata()) == [0, 0]
