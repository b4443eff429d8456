"""Augmentation of batches by Keras's layers, each batch a function of seed and step alone."""

import threading
from collections.abc import Collection
from typing import Any

import keras
import numpy as np
from keras import layers

from keras_nasnet.data.augmentation_name import check_augmentation
from keras_nasnet.data.image import Box
from keras_nasnet.tensor import Size

VALUE_RANGE = (0, 255)
MIXTURES = {"mixup": layers.MixUp, "cutmix": layers.CutMix}  # which mix the labels too


def _layer(name: str, size: Size) -> layers.Layer | None:
    """The Keras layer of a member of `keras_nasnet.training.AUGMENTATIONS`; None for crops."""
    height, width = size
    settings: dict[str, Any] = {"dtype": "float32"}
    if name == "pad_crop":
        # Keras's RandomCrop takes one offset for the whole batch. Whole pixels from -4 to 4.
        pixels = 4.5
        return layers.RandomTranslation(
            pixels / height,
            pixels / width,
            fill_mode="constant",
            interpolation="nearest",
            **settings,
        )
    if name == "cutout":
        # DeVries and Taylor 2017: 16 x 16 of 32 x 32, grey.
        return layers.RandomErasing(
            factor=(1.0, 1.0), scale=(0.25, 0.25), fill_value=127.5, value_range=VALUE_RANGE,
            **settings,
        )  # fmt: skip
    if name == "color":
        # Brightness, contrast, saturation and hue as slim's inception_preprocessing.
        return layers.RandomColorJitter(
            VALUE_RANGE, 32 / 255, 0.5, 0.5, 0.2, **settings
        )  # fmt: skip
    if name == "rand_augment":
        return layers.RandAugment(VALUE_RANGE, **settings)
    if name in MIXTURES:
        return MIXTURES[name](**settings)
    return layers.RandomFlip("horizontal", **settings) if name == "flip" else None


class Augmentation:
    """Random changes of a training batch.

    Args:
        names: members of `keras_nasnet.training.AUGMENTATIONS`. `"resized_crop"` is left to
            whoever reads the images.
        size: `(height, width)` of the images.

    Call arguments:
        images: float32 array `(batch, height, width, 3)` from 0 to 255.
        labels: float32 array `(batch, classes)`, one-hot.
        rng: NumPy's `Generator`; the result is a function of what it gives.

    Returns:
        Images and labels of the same shapes.

    Raises:
        ValueError: if a name is unknown.
    """

    def __init__(self, names: Collection[str], size: Size) -> None:
        check_augmentation(names)
        made = (_layer(name, size) for name in names)
        self.layers = [layer for layer in made if layer is not None]
        self._lock = threading.Lock()  # seeds and the call that uses them belong together

    def __call__(
        self, images: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        batch = {"images": images, "labels": labels}
        with self._lock, keras.device("cpu"):
            for layer in self.layers:
                for state in layer.variables:  # of its random generators alone
                    state.assign(np.array([rng.integers(1 << 31), 0], state.dtype))
                batch = layer(batch, training=True)
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
