"""A trained model with its class names, for image files."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

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
from keras_nasnet.layers.fused import FusedModel
from keras_nasnet.layers.network import AVERAGE_POOL, CLASSIFIER
from keras_nasnet.tensor import Size
from keras_nasnet.training.job import model_file, read_config, run_of
from keras_nasnet.weights.containers.archive import check_model

Image = TypeVar("Image", bound=Picture)


def with_map(model: keras.Model) -> keras.Model | None:
    """A model with its last feature map as a second output; None for models of others."""
    if not {AVERAGE_POOL, CLASSIFIER} <= {layer.name for layer in model.layers}:
        return None
    kind = FusedModel if isinstance(model, FusedModel) else keras.Model
    return kind(model.input, [model.output, model.get_layer(AVERAGE_POOL).input])


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
        run = run_of(Path(source))
        config = read_config(run) if run else {}
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
        for image, scores in self.probabilities(images, batch_size):
            yield image, self._best(scores, top) if isinstance(scores, np.ndarray) else scores

    def probabilities(
        self, images: Iterable[Image], batch_size: int = 16
    ) -> Iterator[tuple[Image, np.ndarray | UnreadableImageError]]:
        """The probabilities of all classes for images, read one batch at a time.

        Args:
            images: what `load_image` takes, such as paths.
            batch_size: int.

        Yields:
            Each of `images`, in order, with a float array `(classes,)`, or with the error if it
            cannot be decoded.
        """
        for image, row in self._run(self._with_map or self.model, images, batch_size):
            yield image, row[0] if isinstance(row, tuple) else row

    def activation_maps(
        self, images: Iterable[Image], batch_size: int = 16
    ) -> Iterator[tuple[Image, np.ndarray | UnreadableImageError]]:
        """Class activation maps: how much each place of an image speaks for each class.

        Args:
            images: what `load_image` takes, such as paths.
            batch_size: int; with that of `probabilities`, nothing is compiled anew.

        Yields:
            Each of `images`, in order, with a float32 array `(height, width, classes)`, of the
            last feature map's height and width, or with the error if it cannot be decoded.

        Raises:
            ValueError: if the model is not a network of this package.

        Reference:
            Zhou et al. 2016, arXiv:1512.04150.
        """
        if self._with_map is None:
            raise ValueError(f"the model has no layers {AVERAGE_POOL} and {CLASSIFIER}")
        kernel = keras.ops.convert_to_numpy(self.model.get_layer(CLASSIFIER).kernel)
        for image, row in self._run(self._with_map, images, batch_size):
            is_row = isinstance(row, tuple)
            yield image, row[1].astype("float32") @ kernel if is_row else row

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

    @cached_property
    def _with_map(self) -> keras.Model | None:
        return with_map(self.model)

    def _load(self, image: Picture) -> np.ndarray | UnreadableImageError:
        try:
            return load_image(image, self.size)
        except UnreadableImageError as error:
            return error

    def _run(
        self, model: keras.Model, images: Iterable[Image], batch_size: int
    ) -> Iterator[tuple[Image, Any]]:
        """Each image with a row of the model's output, or of each of them, or with the error."""
        images, full = iter(images), 0
        while batch := list(islice(images, batch_size)):
            full = full or len(batch)
            loaded = [self._load(image) for image in batch]
            good = [pixels for pixels in loaded if isinstance(pixels, np.ndarray)]
            rows = self._rows(model, good, full) if good else iter(())
            for image, pixels in zip(batch, loaded, strict=True):
                yield image, next(rows) if isinstance(pixels, np.ndarray) else pixels

    def _rows(self, model: keras.Model, images: list[np.ndarray], full: int) -> Iterator[Any]:
        batch = normalize(np.stack(images), self.normalization)
        # Always a full batch, because a backend compiles once per batch size.
        padding = ((0, full - len(batch)), (0, 0), (0, 0), (0, 0))
        output = model.predict_on_batch(np.pad(batch, padding))
        return zip(*output, strict=True) if isinstance(output, list) else iter(output)

    def _best(self, scores: np.ndarray, top: int) -> list[tuple[str, float]]:
        best = np.argsort(-scores, kind="stable")[:top]
        return [(self.class_names[i], float(scores[i])) for i in best]
