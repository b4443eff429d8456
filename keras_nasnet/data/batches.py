"""A source as what `model.fit` takes under every backend."""

import math
import sys
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, TypeAlias

import keras
import numpy as np

from keras_nasnet.data.augmentation import MIXTURES, Augmentation, resized_crop
from keras_nasnet.data.imagenet import preprocess_input
from keras_nasnet.data.source import Source
from keras_nasnet.optional import import_optional
from keras_nasnet.tensor import Size, Tensor

Normalization: TypeAlias = Sequence[Sequence[float]]  # means and deviations of the channels


class Batches(keras.utils.PyDataset):
    """A source as batches `(images, labels)` for `model.fit`, under every backend.

    Images are float32 `(batch, height, width, 3)` from -1 to 1. An image that cannot be decoded is
    logged once and the next one stands in. A batch is a function of the arguments here and of its
    step alone, so that a run can go on in the middle of an epoch.

    Args:
        source: `Source`.
        size: `(height, width)`.
        batch_size: int >= 1, default 32.
        seed: int to shuffle, anew for each epoch, and to augment; the last batch of an epoch is
            left out if it is not full. None (default) for all images in the source's order.
        augmentation: names from `keras_nasnet.training.AUGMENTATIONS`, with a seed only; `"mixup"`
            and `"cutmix"` with one-hot labels only.
        normalization: mean and standard deviation, each of 3 floats, which images from -1 to 1
            are brought from to 0 and 1; None (default) to leave them.
        one_hot: bool. Labels are int32 `(batch,)` if False (default), else float32
            `(batch, classes)`.
        workers, use_multiprocessing, max_queue_size: as in `keras.utils.PyDataset`.

    Raises:
        ValueError: if an augmentation is unknown, or has no seed or labels that it can have.
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
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if augmentation and seed is None:
            raise ValueError("augmentation: wanted a seed with it, got seed=None")
        names = ", ".join(name for name in sorted(MIXTURES) if name in augmentation)
        if names and not one_hot:
            raise ValueError(f"augmentation: {names} mixes labels, wanted one_hot=True with it")
        self.source = source
        self.size = size
        self.batch_size = batch_size if seed is None else min(batch_size, len(source))
        self.seed = seed
        self.normalization = normalization
        self.one_hot = one_hot
        self.epoch = 0
        self._crops = "resized_crop" in augmentation
        self._augment = Augmentation(augmentation) if augmentation else None
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __len__(self) -> int:
        batches = len(self.source) / self.batch_size
        return math.ceil(batches) if self.seed is None else math.floor(batches)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.batch(self.epoch * len(self) + index)

    def on_epoch_end(self) -> None:
        self.epoch += 1

    def batch(self, step: int) -> tuple[np.ndarray, np.ndarray]:
        """The batch of a training step, counted over all epochs."""
        epoch, index = divmod(step, len(self))
        indices = self._order(epoch)[index * self.batch_size : (index + 1) * self.batch_size]
        rng = None if self.seed is None else np.random.default_rng((self.seed, 1, step))
        examples = [self._example(i, rng) for i in indices]
        images = np.stack([image for image, _ in examples]).astype("float32")
        labels = np.array([label for _, label in examples], "int32")
        if self.one_hot:
            labels = np.eye(len(self.source.class_names), dtype="float32")[labels]
        if self._augment is not None and rng is not None:
            images, labels = self._augment(images, labels, rng)
        return normalize(images, self.normalization), labels

    def stream(self, start: int = 0) -> Any:
        """Batches from a step on without end, read ahead in threads, for `steps_per_epoch`.

        Returns:
            `grain.IterDataset`.
        """
        grain = import_optional("grain", "data")
        steps = grain.MapDataset.range(start, sys.maxsize).map(self.batch)
        return steps.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=8))

    def _shuffled(self, epoch: int) -> np.ndarray:
        if self.seed is None:
            return np.arange(len(self.source))
        return np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.source))

    def _example(self, index: int, rng: np.random.Generator | None) -> tuple[np.ndarray, int]:
        """The image and label at an index, or the next that can be decoded."""
        crop = partial(resized_crop, rng=rng) if self._crops and rng is not None else None
        for candidate in self._from(index):
            image = self.source.read(candidate, self.size, crop)
            if image is not None:
                return image, self.source.labels[candidate]
        raise ValueError("none of the images can be decoded")

    def _from(self, index: int) -> Iterable[int]:
        return ((index + i) % len(self.source) for i in range(len(self.source)))


def normalize(images: Tensor, normalization: Normalization | None = None) -> Tensor:
    """Images from 0 to 255 as networks take them.

    Args:
        images: array, or float32 tensor of TensorFlow, `(batch, height, width, 3)`.
        normalization: mean and standard deviation of the channels of images from -1 to 1, which
            are brought to 0 and 1; None (default) for images from -1 to 1.

    Returns:
        float32 array or tensor of the same shape.
    """
    images = preprocess_input(images)
    if normalization is None:
        return images
    mean, deviation = np.array(normalization, "float32")
    return (images - mean) / deviation


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
    # A constant channel, as of grey images that are all black, has no deviation to divide by.
    return mean.tolist(), np.sqrt(np.maximum(square - mean**2, 1e-4)).tolist()
