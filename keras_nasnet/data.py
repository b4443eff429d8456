"""Image sources as batches: the digits of scikit-learn, image folders, tensorflow-datasets.

A source is a sequence of images with labels, opened one at a time; `Batches` makes of it what
`model.fit` takes under every backend.
"""

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from keras_nasnet.imagenet import preprocess_input

VALIDATION_FOLDERS = ("validation", "val", "test")
HELD_OUT = 0.2  # of the examples, where a source has no validation split of its own

log = logging.getLogger(__name__)


class UnreadableImageError(ValueError):
    """An image that cannot be decoded; the message names it."""


def load_image(source, size=None) -> np.ndarray:
    """Reads an image of any format and mode that Pillow knows.

    EXIF rotation is applied; grey, palette, 16-bit and CMYK become RGB; transparent parts white.

    Args:
        source: path, binary stream, or array `(height, width)` or `(height, width, channels)` of
            uint8.
        size: `(height, width)` to resize to after cropping the middle to that aspect ratio; None
            to keep the image's own.

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
        if size is not None:
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

    def image(self, index, size) -> np.ndarray:
        """The image at an index as `load_image` gives it."""
        return load_image(self.open_item(self.items[index]), size)

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
        items = [self.items[i] for i in np.flatnonzero(mask)]
        return Source(items, self.labels[mask], self.class_names, self.open_item)


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
    splits = {
        split: Source(
            items := builder.as_data_source(split),
            np.array([item["label"] for item in items]),
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

    Images are float32 `(batch, height, width, 3)` from -1 to 1, labels int32 `(batch,)`. An image
    that cannot be decoded is logged once and the next one stands in.

    Args:
        source: `Source`.
        size: `(height, width)`.
        batch_size: int >= 1, default 32.
        seed: int to shuffle, anew for each epoch; None (default) for the source's order.
        workers, use_multiprocessing, max_queue_size: as in `keras.utils.PyDataset`.
    """

    def __init__(self, source: Source, size, batch_size=32, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.source = source
        self.size = size
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self._order = self._shuffled()

    def __len__(self):
        return math.ceil(len(self.source) / self.batch_size)

    def __getitem__(self, index):
        indices = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        examples = [self._example(i) for i in indices]
        images = np.stack([image for image, _ in examples])
        labels = np.array([label for _, label in examples], "int32")
        return preprocess_input(images), labels

    def on_epoch_end(self):
        self.epoch += 1
        self._order = self._shuffled()

    def _shuffled(self):
        if self.seed is None:
            return np.arange(len(self.source))
        return np.random.default_rng((self.seed, self.epoch)).permutation(len(self.source))

    def _example(self, index):
        """The image and label at an index, or the next that can be decoded."""
        for candidate in self._from(index):
            try:
                return self.source.image(candidate, self.size), self.source.labels[candidate]
            except UnreadableImageError as error:
                if candidate not in self.source.unreadable:
                    self.source.unreadable[candidate] = str(error)
                    log.warning("left out: %s", error)
        raise ValueError("none of the images can be decoded")

    def _from(self, index) -> Iterable[int]:
        return ((index + i) % len(self.source) for i in range(len(self.source)))
