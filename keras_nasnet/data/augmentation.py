"""Augmentation of batches, each batch a function of seed and step alone."""

import threading
from collections.abc import Collection
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_nasnet.data.augmentation_name import check_augmentation
from keras_nasnet.data.image import Box

VALUE_RANGE = (0, 255)
MIXTURES = {"mixup": layers.MixUp, "cutmix": layers.CutMix}  # these also mix labels
MAX_SHIFT = 1 / 8  # of the image's side: He et al. 2015 move by 4 pixels of 32
CUTOUT_SIDE = 0.5  # of the image's: DeVries and Taylor 2017 erase 16 x 16 of 32 x 32
GREY = 127.5


def _pad_crop(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image moved by whole pixels, black at the border (He et al. 2015, section 4.2)."""
    _, height, width, _ = images.shape
    down, right = np.round(np.array([height, width]) * MAX_SHIFT).astype(int)
    padded = np.pad(images, ((0, 0), (down, down), (right, right), (0, 0)))
    corners = rng.integers(0, (2 * down + 1, 2 * right + 1), (len(images), 2))
    moved = np.empty_like(images)
    for i, (top, left) in enumerate(corners):
        moved[i] = padded[i, top : top + height, left : left + width]
    return moved


def _flip(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each image mirrored left to right, or not."""
    is_flipped = rng.random(len(images)) < 0.5
    flipped = images.copy()
    flipped[is_flipped] = images[is_flipped, :, ::-1]
    return flipped


def _cutout(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A grey box in each image, of half its height and width."""
    sides = np.array(images.shape[1:3]) * CUTOUT_SIDE
    starts = rng.uniform(0, images.shape[1:3] - sides, (len(images), 2))
    boxes = np.ceil(np.concatenate([starts, starts + sides], 1)).astype(int)
    erased = images.copy()
    for image, (top, left, bottom, right) in zip(erased, boxes, strict=True):
        image[top:bottom, left:right] = GREY
    return erased


# What is quick for NumPy on a whole batch. The others are Keras's layers.
MOVES = {"pad_crop": _pad_crop, "flip": _flip, "cutout": _cutout}


def _layer(name: str) -> layers.Layer:
    """The Keras layer for a member of `keras_nasnet.training.AUGMENTATIONS`."""
    settings: dict[str, Any] = {"dtype": "float32"}
    if name == "color":
        # Brightness, contrast, saturation and hue as slim's inception_preprocessing.
        return layers.RandomColorJitter(
            VALUE_RANGE, 32 / 255, 0.5, 0.5, 0.2, **settings
        )  # fmt: skip
    if name == "rand_augment":
        return layers.RandAugment(VALUE_RANGE, **settings)
    return MIXTURES[name](**settings)


class Augmentation:
    """Randomly augments a training batch.

    Args:
        names: members of `keras_nasnet.training.AUGMENTATIONS`, done in this order.
            `"resized_crop"` is left to the image reader.

    Call arguments:
        images: float32 array `(batch, height, width, 3)` from 0 to 255.
        labels: float32 array `(batch, classes)`, one-hot.
        rng: NumPy `Generator`; determines the result.

    Returns:
        Images and labels of the same shapes.

    Raises:
        ValueError: if a name is unknown.
    """

    def __init__(self, names: Collection[str]) -> None:
        check_augmentation(names)
        self._steps = [MOVES.get(name) or _layer(name) for name in names if name != "resized_crop"]
        self._lock = threading.Lock()  # setting seeds and the call that uses them are one unit

    def __call__(
        self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        for step in self._steps:
            if isinstance(step, layers.Layer):
                images, labels = self._call(step, images, labels, rng)
            else:
                images = step(images, rng)
        return images, labels

    def _call(
        self,
        layer: layers.Layer,
        images: np.ndarray,
        labels: np.ndarray,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        with self._lock, keras.device("cpu"):
            for state in layer.variables:  # only those of its random generators
                state.assign(np.array([rng.integers(1 << 31), 0], state.dtype))
            batch = layer({"images": images, "labels": labels}, training=True)
            return np.array(batch["images"]), np.array(batch["labels"])


def resized_crop(width: int, height: int, rng: np.random.Generator) -> Box:
    """A random box of 8% to 100% of the area, 3:4 to 4:3 (Szegedy et al. 2015, section 6).

    Returns:
        Left, top, right and bottom, in pixels.
    """
    for _ in range(10):
        area = width * height * rng.uniform(0.08, 1)
        ratio = np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3)))
        box_width, box_height = np.sqrt(area * ratio), np.sqrt(area / ratio)
        if box_width <= width and box_height <= height:
            left, top = rng.uniform(0, width - box_width), rng.uniform(0, height - box_height)
            return left, top, left + box_width, top + box_height
    return 0, 0, width, height
