"""A trained model with its class names, for image files."""

from collections.abc import Iterable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TypeVar

import keras
import numpy as np

from keras_nasnet import layers  # noqa: F401  registers them with Keras
from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.config import MAX_INPUT_SIZE
from keras_nasnet.check import check_size
from keras_nasnet.data.batches import Normalization, normalize
from keras_nasnet.data.image import Picture, UnreadableImageError, load_image
from keras_nasnet.data.imagenet import imagenet_classes
from keras_nasnet.factory import Weights, build_model
from keras_nasnet.layers.network import CLASSIFIER
from keras_nasnet.tensor import Size
from keras_nasnet.training.job import CONFIG, is_run_file, model_file, read_config
from keras_nasnet.weights.containers.archive import check_model

Image = TypeVar("Image", bound=Picture)


class Classifier:
    """Classifies image files.

    Args:
        model: `keras.Model` from images, -1 to 1, to probabilities `(batch, classes)`.
        class_names: list of str; None for ImageNet's if there are 1000 classes, else numbers.
        size: `(height, width)` that images are resized to, up to 16,384; None for the model's own.
        normalization: as in `keras_nasnet.data.Batches`, None (default) for images from -1 to 1.

    Raises:
        ValueError: if the model is not such a classifier, or takes any size and none is given.
    """

    def __init__(
        self,
        model: keras.Model,
        class_names: Sequence[str] | None = None,
        size: Size | None = None,
        normalization: Normalization | None = None,
    ) -> None:
        if len(model.input_shape) != 4 or len(model.output_shape) != 2:
            raise ValueError(
                "wanted a model from images to classes, got one from "
                f"{model.input_shape} to {model.output_shape}"
            )
        classes = model.output_shape[-1]
        if class_names is None:
            imagenet = [name for _, name in imagenet_classes()]
            class_names = imagenet if classes == 1000 else [str(i) for i in range(classes)]
        if len(class_names) != classes:
            raise ValueError(f"{len(class_names)} class names for {classes} classes")
        size = size or model.input_shape[1:3]
        if size == (None, None):
            raise ValueError("the model takes images of any size: say which size to use")
        self.size = check_size(size, 1, MAX_INPUT_SIZE)
        self.model = model
        self.class_names = list(class_names)
        self.normalization = normalization

    @classmethod
    def load(
        cls,
        source: str | PathLike[str],
        size: Size | None = None,
        weights: Weights | None = "imagenet",
    ) -> "Classifier":
        """Loads a model as a classifier.

        Args:
            source: path of a run folder or a `.keras` file, where a `config.json` beside it with
                `class_names` is taken as that of its run, or a name from `list_models()`.
            size: as in `Classifier`. Default: the run's.
            weights: for a name, as in `NASNet`: `"imagenet"` (default), which are downloaded, the
                path of a file, or None for random ones.

        Raises:
            ValueError: if `source` is none of these or cannot be loaded.
        """
        file = model_file(source)
        if file is None:
            name = str(source)
            return cls(build_model(MODELS[name], name, weights=weights), size=size)
        has_config = Path(source).is_dir() and file.with_name(CONFIG).is_file()
        config = read_config(file.parent) if has_config or is_run_file(file) else {}
        size = size or config.get("size")
        try:
            check_model(file)
            model = keras.saving.load_model(file, compile=False)
        except Exception as error:  # Keras raises many kinds for damaged files
            raise ValueError(f"{file} cannot be loaded as a Keras model: {error}") from error
        return cls(model, config.get("class_names"), size, config.get("normalization"))

    def classify(
        self, images: Iterable[Image], top: int = 5, batch_size: int = 16
    ) -> Iterator[tuple[Image, list[tuple[str, float]] | UnreadableImageError]]:
        """Classifies images one batch at a time.

        Args:
            images: what `load_image` takes, such as paths.
            top: int, number of classes per image.
            batch_size: int.

        Yields:
            Each of `images`, in order, with a list of (class name, probability), best first,
            or with the error if it cannot be decoded.
        """
        for image, scores in self._run(self.model, images, batch_size):
            yield image, self._best(scores, top) if isinstance(scores, np.ndarray) else scores

    def features(
        self, images: Iterable[Image], batch_size: int = 16
    ) -> Iterator[tuple[Image, np.ndarray | UnreadableImageError]]:
        """The input of the classifier layer for images: the averaged last feature map.

        Args:
            images: what `load_image` takes, such as paths.
            batch_size: int.

        Yields:
            Each of `images`, in order, with a float32 array `(channels,)`, or with the error if
            it cannot be decoded.

        Raises:
            ValueError: if the model is not a network of this package.
        """
        try:
            vector = self.model.get_layer(CLASSIFIER).input
        except ValueError:
            raise ValueError(f"the model has no layer {CLASSIFIER} to take features from") from None
        yield from self._run(keras.Model(self.model.input, vector), images, batch_size)

    def _load(self, image: Picture) -> np.ndarray | UnreadableImageError:
        try:
            return load_image(image, self.size)
        except UnreadableImageError as error:
            return error

    def _run(
        self, model: keras.Model, images: Iterable[Image], batch_size: int
    ) -> Iterator[tuple[Image, np.ndarray | UnreadableImageError]]:
        """Each image with a row of the model's output, or with the error."""
        images = list(images)
        batch_size = min(batch_size, len(images))
        for start in range(0, len(images), batch_size):
            batch = images[start : start + batch_size]
            loaded = [self._load(image) for image in batch]
            good = [pixels for pixels in loaded if isinstance(pixels, np.ndarray)]
            rows = iter(self._rows(model, good, batch_size) if good else ())
            for image, pixels in zip(batch, loaded, strict=True):
                yield image, next(rows) if isinstance(pixels, np.ndarray) else pixels

    def _rows(self, model: keras.Model, images: list[np.ndarray], batch_size: int) -> np.ndarray:
        batch = normalize(np.stack(images), self.normalization)
        # Always a full batch, because a backend compiles once per batch size.
        padding = ((0, batch_size - len(batch)), (0, 0), (0, 0), (0, 0))
        return model.predict_on_batch(np.pad(batch, padding))[: len(batch)]

    def _best(self, scores: np.ndarray, top: int) -> list[tuple[str, float]]:
        best = np.argsort(-scores, kind="stable")[:top]
        return [(self.class_names[i], float(scores[i])) for i in best]
