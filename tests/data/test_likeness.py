"""Near-duplicates, as people come to have them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.pictures import RED

from keras_nasnet.data import likeness
from keras_nasnet.data.likeness import find_alike
from keras_nasnet.data.source import Source


def photo(seed, size=(64, 48)):
    """A smooth random image."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), "uint8")
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def saved_again(image, **options):
    stream = io.BytesIO()
    image.save(stream, "JPEG", **options)
    return Image.open(stream)


def source(pictures):
    return Source([np.asarray(each) for each in pictures], np.zeros(len(pictures), int), ["a"])


OTHERS = [photo(seed) for seed in range(10)]


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image.resize((40, 30)),
        lambda image: image.point(lambda value: min(255, 0.7 * value + 60)),
        ImageOps.grayscale,
        ImageOps.mirror,
        lambda image: saved_again(image, quality=20),
    ],
    ids=["same", "smaller", "brighter", "grey", "mirrored", "saved again"],
)
def test_a_changed_copy_is_found(change):
    [pair], looked, looked_in = find_alike(source([photo(98), change(OTHERS[7])]), source(OTHERS))
    assert (pair.index, pair.other) == (1, 7)
    assert pair.likeness > 0.9
    assert (looked, looked_in) == (2, 10)


def test_other_photographs_are_not_alike():
    plain = [Image.new("RGB", (64, 48), color) for color in (RED, "white")]
    own = [photo(seed) for seed in range(100, 400)]
    assert find_alike(source([*own, *plain]), source([*OTHERS, *plain]))[0] == []


def test_large_sources_are_looked_at_in_part_and_the_unreadable_left_out(tmp_path, monkeypatch):
    monkeypatch.setattr(likeness, "MAX_IMAGES", 4)
    monkeypatch.setattr(likeness, "MAX_OTHERS", 5)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    others = source(OTHERS)
    others.items = [broken, *others.items[1:]]
    pairs, looked, looked_in = find_alike(source(OTHERS), others)
    assert (looked, looked_in) == (4, 4)
    assert [(pair.index, pair.other) for pair in pairs] == [(6, 6), (9, 9)]
    assert find_alike(source(OTHERS), Source([broken], np.array([0]), ["a"])) == ([], 4, 0)
