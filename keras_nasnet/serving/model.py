"""The model that is served: an export in its runtime, or a fused network in Keras's backend."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.inference.formats import FORMATS, format_of
from keras_nasnet.inference.formats.servable import (
    FEATURES,
    MAP_CLASSES,
    MAPS,
    PROBABILITIES,
    WITH_FEATURES,
    Outputs,
    Runner,
)
from keras_nasnet.training.job import Job, run_of
from keras_nasnet.training.log import LOG, read_log
from keras_nasnet.weights.manifest import WEIGHTS

if TYPE_CHECKING:
    from keras_nasnet.inference.classifier import Classifier

NUM_MAPS = 5  # activation maps of so many of the best classes, as in exports


@dataclass(frozen=True)
class ServedModel:
    """A classifier in a runtime.

    Args:
        name: str, for people.
        runtime: `"fused"`, or a format of `keras_nasnet.export`.
        runner: `Runner`.
        card: what it is and where it is from, by heading.
    """

    name: str
    runtime: str
    runner: Runner
    card: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def num_features(self) -> int | None:
        """Numbers that describe an image; None if the model has no such output."""
        return self.outputs(self.empty(1))[FEATURES].shape[-1] if self.has_features else None

    @property
    def has_features(self) -> bool:
        """Whether there are features and activation maps."""
        return self.runner.has_features

    @property
    def why_none(self) -> str:
        """Why a model has neither."""
        if self.runtime in FORMATS:
            return f"this {self.runtime} was exported without --features"
        return "the model is not a network of this package"

    def outputs(self, images: np.ndarray) -> Outputs:
        return self.runner.run(images)

    def warm_up(self, max_batch: int) -> None:
        """Runs it once for each size that a backend may compile for."""
        for number in (*(1 << i for i in range(max_batch.bit_length())), max_batch):
            self.outputs(self.empty(number))

    def empty(self, number: int) -> np.ndarray:
        """So many black images."""
        return np.zeros((number, *self.runner.size, 3), "uint8")


def open_export(path: Path, name: str) -> ServedModel:
    """Loads an export into its runtime.

    Raises:
        ValueError: if it is no export of this package, or its runtime is not installed.
    """
    runtime = format_of(path)
    if runtime is None:
        raise ValueError(f"{path} is not an export: {', '.join(FORMATS)}")
    try:
        runner = FORMATS[runtime].load(path)
        model = ServedModel(name, runtime, _clean(runner))
        classes = model.outputs(model.empty(1))[PROBABILITIES].shape[-1]
    except Exception as error:  # runtimes raise every kind
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise ValueError(f"{path} cannot be loaded as {runtime}: {reason}") from error
    if classes != len(runner.class_names):
        raise ValueError(f"{path} has {len(runner.class_names)} class names for {classes} classes")
    return model


def open_fused(classifier: "Classifier", name: str, precision: str) -> ServedModel:
    """A classifier, fused, in Keras's backend.

    Raises:
        ValueError: if it is not a network of this package.
    """
    import keras

    from keras_nasnet.data.batches import normalize
    from keras_nasnet.inference.classifier import with_map
    from keras_nasnet.layers.fusion import fuse
    from keras_nasnet.layers.network import CLASSIFIER

    fused = fuse(classifier.model, precision)
    mapped = with_map(fused)

    def run(images: np.ndarray) -> Outputs:
        number = len(images)
        # A backend compiles once per batch size: there are only powers of two.
        padding = (1 << (number - 1).bit_length()) - number
        batch = np.pad(images, ((0, padding), (0, 0), (0, 0), (0, 0)))
        model = mapped or fused
        found = model.predict_on_batch(normalize(batch, classifier.normalization))
        if mapped is None:
            return {PROBABILITIES: found[:number]}
        probabilities, feature_map = (array[:number].astype("float32") for array in found)
        kernel = keras.ops.convert_to_numpy(fused.get_layer(CLASSIFIER).kernel)
        return _with_maps(probabilities, feature_map, kernel)

    outputs = WITH_FEATURES if mapped else (PROBABILITIES,)
    runner = Runner(run, classifier.size, classifier.class_names, precision, outputs)
    return ServedModel(name, "fused", _clean(runner))


def _with_maps(probabilities: np.ndarray, feature_map: np.ndarray, kernel: np.ndarray) -> Outputs:
    """What an export with features gives, from a network's outputs and its classifier's kernel."""
    best = np.argsort(-probabilities, kind="stable")[:, :NUM_MAPS]
    return {
        PROBABILITIES: probabilities,
        FEATURES: feature_map.mean((1, 2)),
        MAPS: np.einsum("bhwc,cbk->bhwk", feature_map, kernel[:, best], optimize=True),
        MAP_CLASSES: best,
    }


def _clean(runner: Runner) -> Runner:
    """A runner whose class names are Unicode."""
    return replace(runner, class_names=[*map(unicode, runner.class_names)])


def unicode(name: str) -> str:
    """A name of a file or folder, which may be any bytes, as Unicode."""
    return name.encode("utf-8", "replace").decode()


def card_of(source: str | PathLike[str], weights: str) -> dict[str, str]:
    """What is known of the model that a user names.

    Args:
        source: the name of a published network, or the path of a run or a model file.
        weights: those of a name, as in `NASNet`.
    """
    if source in MODELS:
        card = {"network": MODELS[str(source)].title, "weights": weights}
        for known in WEIGHTS:
            if (known.model, known.argument) == (source, weights):
                card |= {"weights": known.source, "licence": known.licence}
                break
        return card
    run = run_of(Path(source))
    if run is None:
        return {}
    try:
        job = Job.of_run(run)
    except ValueError:  # a `config.json` that says no more than how images are read
        return {}
    card = {"network": job.config.title, "epochs": f"{job.recipe.epochs:,}"}
    rows = read_log(run / LOG) if (run / LOG).is_file() else []
    if rows:
        accuracy = max(row["val_accuracy"] for row in rows)
        card["validation accuracy"] = f"{accuracy:.1%}"
    return card
