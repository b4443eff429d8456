"""Sources as batches for `model.fit` on every backend."""

import logging
import math
import sys
from collections.abc import Collection, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_nasnet.data.augmentation import MIXTURES, Augmentation, resized_crop
from keras_nasnet.data.image import Crop
from keras_nasnet.data.imagenet import preprocess_input
from keras_nasnet.data.reader import Reader, num_cores
from keras_nasnet.data.source import Source
from keras_nasnet.optional import import_optional
from keras_nasnet.tensor import Size, Tensor

Normalization: TypeAlias = Sequence[Sequence[float]]  # means and deviations of the channels


class Batches(keras.utils.PyDataset):
    """A source as batches `(images, labels)` for `model.fit`, on every backend.

    With `class_weights`, batches are `(images, labels, weights)`.

    Images are float32 `(batch, height, width, 3)` from -1 to 1. An image that cannot be decoded is
    logged once, and the next one stands in for it. A batch is a function of these arguments and
    of its step alone, so a run can go on in the middle of an epoch.

    Images are decoded once and kept in memory, as uint8 at `size`, or whole for `"resized_crop"`,
    if all of them fit into a quarter of the free memory; else they are decoded in every epoch.
    What is kept belongs to `source` and those taken from the same, and goes with them.

    Args:
        source: `Source`.
        size: `(height, width)`.
        batch_size: int >= 1, default 32.
        seed: int, to shuffle anew for each pass over the images, and to augment; the last batch of
            a pass is dropped if incomplete. None (default) for all images in the source's order.
        augmentation: names from `keras_nasnet.training.AUGMENTATIONS`, with a seed only; `"mixup"`
            and `"cutmix"` with one-hot labels only.
        normalization: mean and standard deviation of images from -1 to 1, each of 3 floats, to
            bring them to 0 and 1; None (default) to leave images as they are.
        one_hot: bool. Labels are int32 `(batch,)` if False (default), else float32
            `(batch, classes)`.
        steps_per_epoch: int, batches of an epoch, which goes on with the images after those of the
            one before; 0 (default) for one pass over the images. With a seed only.
        class_weights: float array, one for each class, that the loss of its images is multiplied
            by; None (default) for no weights. With one-hot labels only.
        workers, use_multiprocessing, max_queue_size: as in `keras.utils.PyDataset`.

    Raises:
        ValueError: if an augmentation is unknown, or it or the weights lack the seed or the labels
            they need.
    """

    def __init__(
        self,
        source: Source,
        size: Size,
        batch_size: int = 32,
        seed: int | None = None,
        *,
        augmentation: Collection[str] = (),
        normalization: Normalization | None = None,
        one_hot: bool = False,
        steps_per_epoch: int = 0,
        class_weights: Sequence[float] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if augmentation and seed is None:
            raise ValueError("augmentation: needs a seed, got seed=None")
        names = ", ".join(name for name in sorted(MIXTURES) if name in augmentation)
        if names and not one_hot:
            raise ValueError(f"augmentation: wanted one_hot=True to mix labels by {names}")
        if steps_per_epoch and seed is None:
            raise ValueError(f"steps_per_epoch: {steps_per_epoch} needs a seed, got seed=None")
        if class_weights is not None and not one_hot:
            raise ValueError("class_weights: wanted one_hot=True to weigh labels")
        self.source = source
        self.size = size
        self.batch_size = batch_size if seed is None else min(batch_size, len(source))
        self.seed = seed
        self.normalization = normalization
        self.one_hot = one_hot
        self.class_weights = class_weights
        self.epoch = 0
        batches = len(source) / self.batch_size
        self._batches = math.ceil(batches) if seed is None else math.floor(batches)  # of a pass
        self._steps_per_epoch = steps_per_epoch or self._batches
        self._crops = "resized_crop" in augmentation
        self._reader = Reader(source, size, self._crops)
        self._augment = Augmentation(augmentation) if augmentation else None
        self._order = lru_cache(maxsize=2)(partial(_order, len(source), seed))

    def __len__(self) -> int:
        return self._steps_per_epoch

    def __getitem__(self, index: int) -> tuple[np.ndarray, ...]:
        return self.batch(self.epoch * len(self) + index)

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def batch(self, step: int) -> tuple[np.ndarray, ...]:
        """The batch for a training step, counted across epochs."""
        shuffle, index = divmod(step, self._batches)
        indices = self._order(shuffle)[index * self.batch_size : (index + 1) * self.batch_size]
        images, found = self._reader.read(indices, self._boxes(step, len(indices)))
        labels = self.source.labels[found].astype("int32")
        if self.one_hot:
            labels = np.eye(len(self.source.class_names), dtype="float32")[labels]
        pixels = images.astype("float32")
        if self._augment is not None and self.seed is not None:
            rng = np.random.default_rng((self.seed, 1, step))
            pixels, labels = self._augment(pixels, labels, rng)
        batch = normalize(pixels, self.normalization), labels
        if self.class_weights is None:
            return batch
        return *batch, labels @ np.array(self.class_weights, "float32")

    def stream(self, start: int = 0) -> Any:
        """Batches from a step on, without end and read ahead, for a `fit` with `steps_per_epoch`.

        Returns:
            `grain.IterDataset`.
        """
        log = logging.getLogger("absl")  # in which grain tells that JAX's profiler is missing
        level = log.level
        log.setLevel(logging.ERROR)
        try:
            grain = import_optional("grain", "data")
        finally:
            log.setLevel(level)
        steps = grain.MapDataset.range(start, sys.maxsize).map(self.batch)
        # Each has the threads of `Reader` at its command; more of them would only wait in turn.
        readers = max(1, min(4, num_cores() // 4))
        return steps.to_iter_dataset(grain.ReadOptions(num_threads=readers, prefetch_buffer_size=8))

    def _boxes(self, step: int, count: int) -> list[Crop | None]:
        """What to crop of each image, by a generator of its own: threads take them in any order."""
        if not self._crops or self.seed is None:
            return [None] * count
        generators = np.random.default_rng((self.seed, 2, step)).spawn(count)
        return [partial(resized_crop, rng=rng) for rng in generators]


def _order(num_images: int, seed: int | None, shuffle: int) -> np.ndarray:
    """Indices of the images in the order of a pass over them."""
    if seed is None:
        return np.arange(num_images)
    return np.random.default_rng((seed, 0, shuffle)).permutation(num_images)


def normalize(images: Tensor, normalization: Normalization | None = None) -> Tensor:
    """Scales images from 0 to 255 as networks expect them.

    Args:
        images: array, or float32 tensor of TensorFlow, `(batch, height, width, 3)`.
        normalization: mean and standard deviation of the channels of images from -1 to 1, to
            bring them to 0 and 1; None (default) for images from -1 to 1.

    Returns:
        float32 array or tensor of the same shape.
    """
    images = preprocess_input(images)
    if normalization is None:
        return images
    mean, deviation = np.array(normalization, "float32")
    if not isinstance(images, np.ndarray):
        return (images - mean) / deviation
    # NumPy is fast along rows, not along 3 channels.
    *_, width, channels = images.shape
    rows = images.reshape(*images.shape[:-2], width * channels) - np.tile(mean, width)
    rows /= np.tile(deviation, width)
    return rows.reshape(images.shape)


def measure(source: Source, size: Size, num_images: int = 2048) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel of images from -1 to 1.

    Args:
        source: `Source`, of which up to `num_images` are read, evenly spaced.
        size: `(height, width)` to read them at.

    Returns:
        Two lists of 3 floats.
    """
    some = np.zeros(len(source), bool)
    some[np.linspace(0, len(source) - 1, min(num_images, len(source))).astype(int)] = True
    batches = Batches(source.take(some), size, 256)
    images = [batches[i][0] for i in range(len(batches))]
    sums = np.sum([[x.sum((0, 1, 2)), (x**2).sum((0, 1, 2))] for x in images], 0)
    mean, square = sums / sum(x[..., 0].size for x in images)
    # A constant channel, as of all-black images, has no deviation to divide by.
    return mean.tolist(), np.sqrt(np.maximum(square - mean**2, 1e-4)).tolist()
