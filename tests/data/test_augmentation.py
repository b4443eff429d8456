"""Augmentation: what each name does to a batch, the same for the same random numbers."""

import numpy as np
import pytest

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
    return Augmentation(names, (32, 24))(images, LABELS, np.random.default_rng(seed))


@every_backend
@pytest.mark.parametrize("name", [name for name in AUGMENTATIONS if name != "resized_crop"])
def test_a_batch_is_a_function_of_its_seed(name):
    images, labels = augmented(name)
    again = Augmentation([name], (32, 24))
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
def test_pad_crop_moves_each_image_by_whole_pixels():
    rows = np.broadcast_to(np.arange(1, 33, dtype="float32")[:, None, None], (32, 24, 3))
    images, _ = augmented("pad_crop", images=np.stack([rows] * 6))
    moved = images[:, 16, 12, 0] - 17
    assert set(moved) <= set(range(-4, 5))
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
        Augmentation(names, (32, 24))
    images = np.zeros((2, 8, 8, 3), "uint8")
    source = Source(images, np.array([0, 1]), ["cat", "dog"])
    with pytest.raises(ValueError, match=message):
        Batches(source, (8, 8), seed=0, augmentation=names, one_hot=True)
