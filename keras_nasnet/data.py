"""Image sources as batches: the digits of scikit-learn, image folders, tensorflow-datasets.

A source is a sequence of images with labels, opened one at a time; `Batches` makes of it what
`model.fit` takes under every backend.
"""

import logging
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_nasnet.augmentation import Augmentation, resized_crop
from keras_nasnet.imagenet import preprocess_input

VALIDATION_FOLDERS = ("validation", "val", "test")
HELD_OUT = 0.2  # of the examples, where a source has no validation split of its own

log = logging.getLogger(__name__)


class UnreadableImageError(ValueError):
    """An image that cannot be decoded; the message names it."""


def load_image(source, size=None, crop=None) -> np.ndarray:
    """Reads an image of any format and mode that Pillow knows.

    EXIF rotation is applied; grey, palette, 16-bit and CMYK become RGB; transparent parts white.

    Args:
        source: path, binary stream, or array `(height, width)` or `(height, width, channels)` of
            uint8.
        size: `(height, width)` to resize to after cropping the middle to that aspect ratio; None
            to keep the image's own.
        crop: what to resize to `size` instead: a function from the image's width and height to
            left, top, right and bottom of a box in it.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        UnreadableImageError: if it is no image, truncated, or too large to be decoded safely.
    """
    try:
        if isinstance(source, np.ndarray):
            image = Image.fromarray(source.squeeze())
        else:
            image = Image.open(source)
        image = _to_rgb(ImageOps.exif_transpose(image))
        if crop is not None:
            box = crop(*image.size)
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
        elif size is not None:
            image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BILINEAR)
    # Pillow raises all of these for files that are damaged or not images.
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, UnidentifiedImageError):
            reason = "not an image of a known format"
        raise UnreadableImageError(f"{source}: {reason}") from error
    return np.asarray(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip
        image = Image.fromarray((np.asarray(image, "uint32") >> 8).astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


@dataclass(frozen=True, slots=True)
class _View(Sequence):
    """Some of the items of a sequence, which stay where they are."""

    items: Sequence
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index):
        return self.items[self.indices[index]]


@dataclass(slots=True)
class Source:
    """Images with labels.

    Args:
        items: sequence of what `open_item` takes.
        labels: int array, one for each item.
        class_names: list of str.
        open_item: an item to what `load_image` takes.
        unreadable: messages of the images that could not be decoded so far.
    """

    items: Sequence
    labels: np.ndarray
    class_names: list[str]
    open_item: Callable = lambda item: item
    unreadable: dict = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.items)

    def image(self, index, size, crop=None) -> np.ndarray:
        """The image at an index as `load_image` gives it."""
        return load_image(self.open_item(self.items[index]), size, crop)

    def split(self, held_out: float, seed: int) -> tuple["Source", "Source"]:
        """Two sources, the second with a share `held_out` of every class."""
        rng = np.random.default_rng(seed)
        second = np.zeros(len(self), bool)
        for label in range(len(self.class_names)):
            indices = rng.permutation(np.flatnonzero(self.labels == label))
            second[indices[: math.ceil(held_out * len(indices))]] = True
        return self.take(~second), self.take(second)

    def take(self, mask: np.ndarray) -> "Source":
        """The images where a bool array of the source's length is true."""
        items = _View(self.items, np.flatnonzero(mask))
        return Source(items, self.labels[mask], self.class_names, self.open_item)

    def first(self, count: int) -> "Source":
        """The first `count` images."""
        return self.take(np.arange(len(self)) < count)


def open_data(name: str, seed: int = 0) -> tuple[Source, Source]:
    """Training and validation source of a data set.

    Args:
        name: `"digits"`; `"tfds:NAME"`, a data set of tensorflow-datasets, with a config or
            version if wanted; or the path of a folder with a folder of images for each class,
            or with such folders below `train` and `validation` (or `val`, or `test`).
        seed: int, of the split where the data set has none: a fifth of each class is held out.

    Returns:
        Two `Source`s.

    Raises:
        ValueError: if there is no such data set, it has no images, or fewer than two classes, or
            its splits differ in their classes.
    """
    if name == "digits":
        return _digits().split(HELD_OUT, seed)
    if name.startswith("tfds:"):
        return _tfds(name.removeprefix("tfds:"), seed)
    return _folders(Path(name), seed)


def _digits() -> Source:
    datasets = _import("sklearn.datasets", "data")
    digits = datasets.load_digits()
    images = (digits.images * (255 / 16)).astype("uint8")
    return Source(images, digits.target, [str(name) for name in digits.target_names])


def _tfds(name: str, seed: int) -> tuple[Source, Source]:
    tfds = _import("tensorflow_datasets", "data")
    try:
        builder = tfds.builder(name)
    except tfds.core.registered.DatasetNotFoundError as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()):
        raise ValueError(f"tfds:{name} has no features image and label, but {list(features or ())}")
    builder.download_and_prepare(file_format="array_record")
    class_names = features["label"].names
    labels = {"image": tfds.decode.SkipDecoding()}  # without a look at the images
    splits = {
        split: Source(
            builder.as_data_source(split),
            np.array([item["label"] for item in builder.as_data_source(split, decoders=labels)]),
            class_names,
            lambda item: item["image"],
        )
        for split in builder.info.splits
        if split in ("train", *VALIDATION_FOLDERS)
    }
    if "train" not in splits:
        raise ValueError(f"tfds:{name} has no split train, but {list(builder.info.splits)}")
    for split in VALIDATION_FOLDERS:
        if split in splits:
            return splits["train"], splits[split]
    return splits["train"].split(HELD_OUT, seed)


def _folders(folder: Path, seed: int) -> tuple[Source, Source]:
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is no folder; allowed are digits, tfds:NAME and the path of a folder"
        )
    if not (folder / "train").is_dir():
        return _folder(folder).split(HELD_OUT, seed)
    train = _folder(folder / "train")
    for name in VALIDATION_FOLDERS:
        if (folder / name).is_dir():
            validation = _folder(folder / name)
            if validation.class_names != train.class_names:
                differing = set(validation.class_names) ^ set(train.class_names)
                raise ValueError(f"{folder}: only one split has the classes {sorted(differing)}")
            return train, validation
    return train.split(HELD_OUT, seed)


def _folder(folder: Path) -> Source:
    """Images by class; files that Pillow knows no format for by their name are left out."""
    formats = Image.registered_extensions()
    classes = sorted(path for path in folder.iterdir() if path.is_dir())
    by_class = [
        sorted(path for path in c.rglob("*") if path.suffix.lower() in formats) for c in classes
    ]
    if len(classes) < 2:
        raise ValueError(
            f"{folder}: wanted a folder of images for each of two or more classes, "
            f"got {len(classes)}"
        )
    empty = [c.name for c, files in zip(classes, by_class, strict=True) if not files]
    if empty:
        raise ValueError(f"{folder}: no images in {', '.join(empty)}")
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in by_class])
    return Source([f for files in by_class for f in files], labels, [c.name for c in classes])


def _import(module: str, extra: str):
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise ValueError(
            f"{module.partition('.')[0]} is not installed: pip install 'keras_nasnet[{extra}]'"
        ) from None


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
        augmentation: names from `keras_nasnet.recipe.AUGMENTATIONS`, with a seed only.
        normalization: mean and standard deviation, each of 3 floats, which images from -1 to 1
            are brought from to 0 and 1; None (default) to leave them.
        one_hot: bool. Labels are int32 `(batch,)` if False (default), else float32
            `(batch, classes)`.
        workers, use_multiprocessing, max_queue_size: as in `keras.utils.PyDataset`.
    """

    def __init__(
        self,
        source: Source,
        size,
        batch_size=32,
        seed=None,
        *,
        augmentation=(),
        normalization=None,
        one_hot=False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if augmentation and seed is None:
            raise ValueError("augmentation: wanted a seed with it, got seed=None")
        self.source = source
        self.size = size
        self.batch_size = batch_size if seed is None else min(batch_size, len(source))
        self.seed = seed
        self.normalization = normalization
        self.one_hot = one_hot
        self.epoch = 0
        self._crops = "resized_crop" in augmentation
        self._augment = Augmentation(augmentation, size) if augmentation else None
        self._order = lru_cache(maxsize=2)(self._shuffled)

    def __len__(self):
        batches = len(self.source) / self.batch_size
        return math.ceil(batches) if self.seed is None else math.floor(batches)

    def __getitem__(self, index):
        return self.batch(self.epoch * len(self) + index)

    def on_epoch_end(self):
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
        if self._augment is not None:
            images, labels = self._augment(images, labels, rng)
        return normalize(images, self.normalization), labels

    def stream(self, start=0):
        """Batches from a step on without end, read ahead in threads, for `steps_per_epoch`.

        Returns:
            `grain.IterDataset`.
        """
        grain = _import("grain", "data")
        steps = grain.MapDataset.range(start, sys.maxsize).map(self.batch)
        return steps.to_iter_dataset(grain.ReadOptions(num_threads=4, prefetch_buffer_size=8))

    def _shuffled(self, epoch):
        if self.seed is None:
            return np.arange(len(self.source))
        return np.random.default_rng((self.seed, 0, epoch)).permutation(len(self.source))

    def _example(self, index, rng):
        """The image and label at an index, or the next that can be decoded."""
        crop = partial(resized_crop, rng=rng) if self._crops else None
        for candidate in self._from(index):
            try:
                image = self.source.image(candidate, self.size, crop)
            except UnreadableImageError as error:
                if candidate not in self.source.unreadable:
                    self.source.unreadable[candidate] = str(error)
                    log.warning("left out: %s", error)
            else:
                return image, self.source.labels[candidate]
        raise ValueError("none of the images can be decoded")

    def _from(self, index) -> Iterable[int]:
        return ((index + i) % len(self.source) for i in range(len(self.source)))


def normalize(images: np.ndarray, normalization=None) -> np.ndarray:
    """Images from 0 to 255 as networks take them.

    Args:
        images: array `(batch, height, width, 3)`.
        normalization: mean and standard deviation of the channels of images from -1 to 1, which
            are brought to 0 and 1; None (default) for images from -1 to 1.

    Returns:
        float32 array of the same shape.
    """
    images = preprocess_input(images)
    if normalization is None:
        return images
    mean, deviation = np.array(normalization, "float32")
    return (images - mean) / deviation


def measure(source: Source, size, num_images=2048) -> tuple[list[float], list[float]]:
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
    sums = sum(np.stack([x.sum((0, 1, 2)), (x**2).sum((0, 1, 2))]) for x in images)
    mean, square = sums / sum(x[..., 0].size for x in images)
    # A constant channel, as of grey images that are all black, has no deviation to divide by.
    return mean.tolist(), np.sqrt(np.maximum(square - mean**2, 1e-4)).tolist()
