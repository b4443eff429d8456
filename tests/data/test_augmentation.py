"""Augmentation: what each name does to a batch, the same for the same random numbers."""

import zlib

import keras
import numpy as np
import pytest
from keras import layers

from keras_nasnet.data.augmentation import Augmentation, resized_crop
from keras_nasnet.data.batches import Batches
from keras_nasnet.data.source import Source
from keras_nasnet.training.recipes import AUGMENTATIONS

every_backend = pytest.mark.every_backend

LABELS = np.eye(4, dtype="float32")[[0, 1, 2, 3, 0, 1]]


def batch():
    return np.random.default_rng(0).uniform(1, 255, (6, 32, 24, 3)).astype("float32")


def augmented(*names, seed=0, images=None):
    images = batch() if images is None else images
    return Augmentation(names)(images, LABELS, np.random.default_rng(seed))


@every_backend
@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "resized_crop"])
def test_a_batch_is_a_function_of_its_seed(name):
    images, labels = augmented(name)
    again = Augmentation([name])
    again(batch(), LABELS, np.random.default_rng(5))  # what came before leaves no trace
    for one, other in zip(
        (images, labels), again(batch(), LABELS, np.random.default_rng(0)), strict=True
    ):
        np.testing.assert_array_equal(one, other)
    assert images.shape == (6, 32, 24, 3)
    assert images.dtype == labels.dtype == "float32"
    assert (images != batch()).any()
    assert (augmented(name, seed=1)[0] != images).any()
    assert images.min() >= -1e-3
    assert images.max() <= 255.001
    np.testing.assert_allclose(labels.sum(-1), 1, rtol=1e-5)
    if name not in ("mixup", "cutmix"):
        np.testing.assert_array_equal(labels, LABELS)


@every_backend
@pytest.mark.parametrize("height, most", [(32, 4), (16, 2), (64, 8)])
def test_pad_crop_moves_each_image_by_whole_pixels(height, most):
    """By at most an eighth of the side, as CIFAR-10's images by 4 pixels."""
    rows = np.broadcast_to(np.arange(height, dtype="float32")[:, None, None] + 1, (height, 24, 3))
    images, _ = augmented("pad_crop", images=np.stack([rows] * 6))
    moved = images[:, height // 2, 12, 0] - (height // 2 + 1)
    assert set(moved) <= set(range(-most, most + 1))
    assert len(set(moved)) > 1, "each image by its own offset"
    assert (images == 0).any(), "zeros come in at the border"


@every_backend
def test_flip_and_cutout():
    images, _ = augmented("flip")
    flipped = [
        (image == before[:, ::-1]).all() for image, before in zip(images, batch(), strict=True)
    ]
    assert 0 < sum(flipped) < 6
    images, _ = augmented("cutout")
    erased = (images != batch()).all(-1).mean((1, 2))
    assert (erased > 0.02).all(), "of every image"
    assert erased.max() <= 0.26


def shifts(images):
    """Down and right, of images whose pixels are 1 + 100 * row + column."""
    middle = images[:, 16, 10, 0] - (1 + 1600 + 10)
    down = np.round(middle / 100)
    return -np.stack([down, middle - 100 * down], 1).astype(int)


def erased(images):
    """Top, left, height and width of what is no longer 0."""
    is_erased = images[..., 0] != 0
    rows, columns = is_erased.any(2), is_erased.any(1)
    assert (is_erased == rows[:, :, None] & columns[:, None]).all(), "a box in each"
    return np.stack([rows.argmax(1), columns.argmax(1), rows.sum(1), columns.sum(1)], 1)


def shares(values):
    """The share of each value in each column."""
    return [
        {int(value): count / len(values) for value, count in zip(*found, strict=True)}
        for found in (np.unique(column, return_counts=True) for column in values.T)
    ]


@pytest.mark.parametrize(
    "name, layer, measure",
    [
        (
            "pad_crop",
            lambda: layers.RandomTranslation(
                4.5 / 33, 3.5 / 21, fill_mode="constant", interpolation="nearest"
            ),
            shifts,
        ),
        ("cutout", lambda: layers.RandomErasing((1, 1), (0.25, 0.25), fill_value=127.5), erased),
    ],
)
def test_moves_are_spread_as_those_of_keras_layers(name, layer, measure):
    """Which did them up to 0.2, on images of 33 x 21."""
    if name == "pad_crop":
        image = 1.0 + 100 * np.arange(33)[:, None] + np.arange(21)
    else:
        image = np.zeros((33, 21))
    images = np.tile(image[None, :, :, None].astype("float32"), (4000, 1, 1, 3))
    keras.utils.set_random_seed(0)
    theirs = measure(keras.ops.convert_to_numpy(layer()(images, training=True)))
    ours = measure(Augmentation([name])(images, LABELS, np.random.default_rng(0))[0])
    for mine, other in zip(shares(ours), shares(theirs), strict=True):
        assert mine.keys() == other.keys()
        for value in mine:
            assert mine[value] == pytest.approx(other[value], abs=0.03)
    down, right = ours.T[:2]
    assert abs(np.corrcoef(down, right)[0, 1]) < 0.05, "rows and columns each by itself"


def test_what_leaves_and_comes_in_is_that_of_keras_layers():
    """Of an image that both have moved alike, every pixel."""
    images = np.random.default_rng(0).uniform(1, 255, (1, 32, 24, 3)).astype("float32")
    for down, right in ((4, -3), (-1, 0), (0, 3)):
        layer = layers.RandomTranslation(
            (down / 32, down / 32), (right / 24, right / 24), "constant", "nearest"
        )
        moved = keras.ops.convert_to_numpy(layer(images, training=True))
        alike = (
            Augmentation(["pad_crop"])(images, LABELS, np.random.default_rng(seed))[0]
            for seed in range(2000)
        )
        assert any(np.array_equal(image, moved) for image in alike)


def test_half_of_the_images_are_flipped():
    images = np.tile(np.arange(3, dtype="float32")[None, None, :, None], (4000, 2, 1, 3))
    flipped, _ = Augmentation(["flip"])(images, LABELS, np.random.default_rng(0))
    assert (flipped[:, 0, 0, 0] == 2).mean() == pytest.approx(0.5, abs=0.03)


@every_backend
def test_moves_are_the_same_on_every_backend():
    """And with every version, so that a run that was stopped can go on."""
    square = np.round(np.random.default_rng(0).uniform(1, 255, (6, 32, 32, 3))).astype("float32")
    images, _ = augmented("pad_crop", "flip", "cutout", images=square)
    assert zlib.crc32(images.tobytes()) == 0x67F9A790
    assert augmented("flip", "pad_crop")[0].tobytes() != augmented("pad_crop", "flip")[0].tobytes()


@every_backend
def test_what_is_passed_in_stays_as_it_is():
    images = batch()
    augmented("flip", "cutout", "pad_crop", images=images)
    np.testing.assert_array_equal(images, batch())


def test_resized_crops_lie_in_the_image():
    rng = np.random.default_rng(0)
    boxes = np.array([resized_crop(300, 200, rng) for _ in range(500)])
    left, top, right, bottom = boxes.T
    assert min(left.min(), top.min()) >= 0
    assert (np.maximum(right - 300, bottom - 200) <= 0).all()
    area = (right - left) * (bottom - top) / 60_000
    ratio = (right - left) / (bottom - top)
    assert 0.08 <= area.min() < 0.15 < 0.8 < area.max()
    assert 0.74 <= ratio.min() < 0.8 < 1.25 < ratio[area < 0.99].max() <= 1.34


@pytest.mark.parametrize(
    "names, message",
    [
        (["flip", "cut_mix"], "unknown augmentation 'cut_mix'; did you mean cutmix"),
        ([{}], r"unknown augmentation \{\}; .*allowed are pad_crop, resized_crop"),
        ("flip", r"augmentation: wanted names, such as \('flip',\); got 'flip'"),
    ],
)
def test_augmentation_that_is_unknown_is_refused(names, message):
    with pytest.raises(ValueError, match=message):
        Augmentation(names)
    images = np.zeros((2, 8, 8, 3), "uint8")
    source = Source(images, np.array([0, 1]), ["cat", "dog"])
    with pytest.raises(ValueError, match=message):
        Batches(source, (8, 8), seed=0, augmentation=names, one_hot=True)
