"""Image sources: the digits of scikit-learn, image folders, tensorflow-datasets.

A source is a sequence of images with labels, opened one at a time.
"""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.data.cache import Cache
from keras_nasnet.data.folder import ImageFolders
from keras_nasnet.data.image import Crop, Keep, Picture, UnreadableImageError, load_image
from keras_nasnet.optional import import_optional
from keras_nasnet.tensor import Size

log = logging.getLogger(__name__)

VALIDATION_FOLDERS = ("validation", "val", "test")
VALIDATION_SHARE = 0.2  # of the examples, if a source has no validation split


@dataclass(frozen=True, slots=True)
class _View(Sequence[Any]):
    """A view of some items of a sequence."""

    items: Sequence[Any]
    indices: np.ndarray

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        return self.items[self.indices[index]]


@dataclass(slots=True)
class Source:
    """Images with labels.

    Args:
        items: sequence of arguments for `open_item`.
        labels: int array, one per item.
        class_names: list of str.
        open_item: function from an item to what `load_image` takes. Default: the item itself.
        unreadable: dict whose keys are messages of the images that could not be decoded so far;
            shared by all sources that are taken from the same.

    Attributes:
        positions: int array, one for each item: its index in the source that this one was taken
            from at first.
    """

    items: Sequence[Any]
    labels: np.ndarray
    class_names: list[str]
    open_item: Callable[[Any], Picture] = lambda item: item
    unreadable: dict[str, str] = field(default_factory=dict)
    positions: np.ndarray = field(init=False, repr=False, compare=False)
    _caches: dict[Size | None, Cache] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self.positions = np.arange(len(self.items))

    def __len__(self) -> int:
        return len(self.items)

    def image(
        self, index: int, size: Size | None, crop: Crop | None = None, keep: Keep | None = None
    ) -> np.ndarray:
        """The image at an index, as `load_image` returns it."""
        return load_image(self.open_item(self.items[index]), size, crop, keep=keep)

    def read(
        self, index: int, size: Size | None, crop: Crop | None = None, keep: Keep | None = None
    ) -> np.ndarray | None:
        """Like `image`, but None for one that cannot be decoded, which is logged once."""
        try:
            return self.image(index, size, crop, keep)
        except UnreadableImageError as error:
            message = str(error)
            # Other threads may read the same image: the first to set its own message logs it.
            if self.unreadable.setdefault(message, message) is message:
                log.warning("skipped: %s", message)
            return None

    def split(self, held_out: float, seed: int) -> tuple["Source", "Source"]:
        """Two sources, the second with a share `held_out` of every class."""
        rng = np.random.default_rng(seed)
        second = np.zeros(len(self), bool)
        for label in range(len(self.class_names)):
            indices = rng.permutation(np.flatnonzero(self.labels == label))
            second[indices[: math.ceil(held_out * len(indices))]] = True
        return self.take(~second), self.take(second)

    def take(self, mask: np.ndarray) -> "Source":
        """The images for which a bool array of the source's length is true."""
        items = _View(self.items, np.flatnonzero(mask))
        labels = self.labels[mask]
        taken = Source(items, labels, self.class_names, self.open_item, self.unreadable)
        taken.positions, taken._caches = self.positions[mask], self._caches
        return taken

    def cache(self, size: Size | None) -> Cache:
        """Where to keep the decoded images of a size, or whole ones for None.

        Shared by all sources that are taken from the same, and gone with the last of them.
        """
        cache = self._caches.setdefault(size, Cache())
        cache.expect(self.positions)
        return cache

    def sample(self, count: int, size: Size) -> np.ndarray:
        """Up to `count` of the images, evenly spaced: uint8 array `(number, *size, 3)`.

        Those that cannot be decoded are skipped and logged.

        Raises:
            ValueError: if none can be decoded.
        """
        indices = np.linspace(0, len(self) - 1, min(count, len(self))).astype(int)
        images = [image for i in indices if (image := self.read(i, size)) is not None]
        if not images:
            raise ValueError(f"none of {len(indices)} images can be decoded")
        return np.stack(images)

    def first(self, count: int) -> "Source":
        """The first `count` images."""
        return self.take(np.arange(len(self)) < count)


def open_data(name: str, seed: int = 0) -> tuple[Source, Source]:
    """The training and validation sources of a data set.

    Args:
        name: `"digits"`; `"tfds:NAME"`, a data set of tensorflow-datasets, with a config or
            version if wanted; or the path of a folder with one subfolder of images per class,
            or with such folders below `train` and `validation` (or `val`, or `test`).
        seed: int, for the split if the data set has none: a fifth of each class is held out.

    Returns:
        A pair of `Source`.

    Raises:
        ValueError: if there is no such data set, it has no images, or fewer than two classes, its
            splits differ in their classes, or a link leads back into it.
    """
    check_data(name)
    if name == "digits":
        return _digits().split(VALIDATION_SHARE, seed)
    if name.startswith("tfds:"):
        return _tfds(name.removeprefix("tfds:"), seed)
    return _folders(Path(name), seed)


def check_data(name: str) -> None:
    """Raises `ValueError` unless it may be the name of a data set; nothing is opened."""
    if name != "digits" and not name.startswith("tfds:") and not Path(name).is_dir():
        raise ValueError(
            f"{name} is not a folder; allowed are digits, tfds:NAME and the path of a folder"
        )


def open_test(name: str, seed: int = 0) -> Source:
    """The images of a data set to evaluate a model with.

    Args:
        name: as in `open_data`.
        seed: as in `open_data`.

    Returns:
        `Source` of all images if `name` is a folder with one subfolder of images per class, which
        may be a single one; else of the validation images.

    Raises:
        ValueError: as `open_data`.
    """
    folder = Path(name)
    if folder.is_dir() and not (folder / "train").is_dir():
        return _folder(ImageFolders(folder), folder, 1)
    return open_data(name, seed)[1]


def _digits() -> Source:
    datasets = import_optional("sklearn.datasets", "data")
    digits = datasets.load_digits()
    images = (digits.images * (255 / 16)).astype("uint8")
    return Source(images, digits.target, [str(name) for name in digits.target_names])


def _tfds(name: str, seed: int) -> tuple[Source, Source]:
    tfds = import_optional("tensorflow_datasets", "data")
    try:
        builder = tfds.builder(name)
    except tfds.core.registered.DatasetNotFoundError as error:
        raise ValueError(str(error).partition("\n")[0]) from None
    features = builder.info.features
    if not {"image", "label"} <= set(features or ()):
        raise ValueError(
            f"tfds:{name} needs the features image and label, but has {list(features or ())}"
        )
    builder.download_and_prepare(file_format="array_record")
    class_names = features["label"].names
    labels = {"image": tfds.decode.SkipDecoding()}  # without reading the images
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
        raise ValueError(f"tfds:{name} has no split train, only {list(builder.info.splits)}")
    for split in VALIDATION_FOLDERS:
        if split in splits:
            return splits["train"], splits[split]
    return splits["train"].split(VALIDATION_SHARE, seed)


def _folders(folder: Path, seed: int) -> tuple[Source, Source]:
    folders = ImageFolders(folder)
    if not (folder / "train").is_dir():
        return _folder(folders, folder).split(VALIDATION_SHARE, seed)
    train = _folder(folders, folder / "train")
    for name in VALIDATION_FOLDERS:
        if (folder / name).is_dir():
            validation = _folder(folders, folder / name)
            if validation.class_names != train.class_names:
                differing = set(validation.class_names) ^ set(train.class_names)
                raise ValueError(f"{folder}: only one split has the classes {sorted(differing)}")
            return train, validation
    return train.split(VALIDATION_SHARE, seed)


def _folder(folders: ImageFolders, folder: Path, least: int = 2) -> Source:
    by_class = folders.images_by_class(folder)
    if len(by_class) < least:
        raise ValueError(
            f"{folder}: wanted one subfolder of images for each of {least} or more classes, "
            f"got {len(by_class)}"
        )
    empty = [name for name, files in by_class.items() if not files]
    if empty:
        raise ValueError(f"{folder}: no images in {', '.join(empty)}")
    labels = np.repeat(np.arange(len(by_class)), [len(files) for files in by_class.values()])
    return Source([f for files in by_class.values() for f in files], labels, [*by_class])
