"""How good a classifier is on images whose classes are known."""

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.data.class_name import class_indices
from keras_nasnet.data.image import UnreadableImageError
from keras_nasnet.data.source import Source
from keras_nasnet.inference.classifier import Classifier
from keras_nasnet.optional import import_optional
from keras_nasnet.terminal import track

EXTRA = "report"
CONFIDENCE = 0.95  # of the interval
TOP = 5
NUM_BINS = 10  # of probabilities, for calibration


@dataclass(frozen=True, slots=True)
class ClassScore:
    """A class: how many images of it and taken for it, and the shares of both that are right."""

    name: str
    support: int
    predicted: int
    recall: float  # NaN without support
    precision: float  # NaN if nothing was taken for it


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many images of a class were taken for another."""

    name: str
    predicted: str
    count: int
    share: float  # of the images of the class


@dataclass(frozen=True, slots=True)
class Bin:
    """Images with a probability in the same tenth: the mean of it, and the share that is right."""

    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class Evaluation:
    """Predictions for images whose classes are known, and what scikit-learn's metrics say of them.

    Args:
        class_names: list of str.
        images: list of str, the images' names.
        positions: int array `(images,)`, where they are in their source.
        labels: int array `(images,)`, the true classes.
        probabilities: float array `(images, classes)`.
        unreadable: list of str, messages of the images that could not be decoded.

    Attributes:
        predicted: int array `(images,)`, the most probable class.
        confidence: float array `(images,)`, its probability.
        is_right: bool array `(images,)`.
        accuracy: float.
        interval: two floats, the accuracy's 95% interval after Wilson: where the accuracy on many
            more such images is to be expected.
        macro_accuracy: float, the mean of the classes' recalls, in which each class counts alike.
        top_5: float, the share whose class is among the five most probable; None for up to five
            classes.
        classes: list of `ClassScore`, in the order of `class_names`.
        bins: list of `Bin`, those with images.
        calibration_error: float, the expected calibration error: how far off the probability of
            the predicted class is, in the mean.

    Raises:
        ValueError: if there are no images, the probabilities are NaN or do not sum to 1, or
            scikit-learn is not installed.
    """

    class_names: list[str]
    images: list[str]
    positions: np.ndarray
    labels: np.ndarray
    probabilities: np.ndarray
    unreadable: list[str]

    def __post_init__(self) -> None:
        import_optional("sklearn", EXTRA)
        if not len(self.labels):
            reason = f", such as {self.unreadable[0]}" if self.unreadable else ""
            raise ValueError(f"there is no image that can be evaluated{reason}")
        sums = self.probabilities.sum(1)
        worst = int(np.abs(np.nan_to_num(sums, nan=np.inf) - 1).argmax())
        if not abs(sums[worst] - 1) < 1e-2:  # bfloat16 sums to within 4e-3
            raise ValueError(
                "wanted a model whose output is probabilities, which sum to 1; for "
                f"{self.images[worst]} they sum to {sums[worst]:g}"
            )

    @cached_property
    def predicted(self) -> np.ndarray:
        return self.probabilities.argmax(1)

    @cached_property
    def confidence(self) -> np.ndarray:
        return self.probabilities.max(1)

    @cached_property
    def is_right(self) -> np.ndarray:
        return self.predicted == self.labels

    @cached_property
    def accuracy(self) -> float:
        return float(_metrics().accuracy_score(self.labels, self.predicted))

    @cached_property
    def interval(self) -> tuple[float, float]:
        stats: Any = import_optional("scipy.stats", EXTRA)
        test = stats.binomtest(int(self.is_right.sum()), len(self.labels))
        low, high = test.proportion_ci(CONFIDENCE, "wilson")
        return float(low), float(high)

    @cached_property
    def macro_accuracy(self) -> float:
        return float(np.nanmean([score.recall for score in self.classes]))

    @cached_property
    def top_5(self) -> float | None:
        if len(self.class_names) <= TOP:
            return None
        labels = range(len(self.class_names))
        score = _metrics().top_k_accuracy_score
        return float(score(self.labels, self.probabilities, k=TOP, labels=labels))

    @cached_property
    def classes(self) -> list[ClassScore]:
        classes = range(len(self.class_names))
        precision, recall, _, support = _metrics().precision_recall_fscore_support(
            self.labels, self.predicted, labels=classes, zero_division=np.nan
        )
        taken = np.bincount(self.predicted, minlength=len(classes))
        columns = (
            support.astype(int).tolist(),
            taken.tolist(),
            recall.tolist(),
            precision.tolist(),
        )
        return [ClassScore(*row) for row in zip(self.class_names, *columns, strict=True)]

    @cached_property
    def bins(self) -> list[Bin]:
        edges = np.linspace(0, 1, NUM_BINS + 1)[1:-1]
        numbers = np.searchsorted(edges, self.confidence)  # as sklearn.calibration_curve
        found = []
        for number in np.unique(numbers):
            within = numbers == number
            confidence, right = self.confidence[within], self.is_right[within]
            mean = float(confidence.mean(dtype="float64"))
            found.append(Bin(int(within.sum()), mean, float(right.mean())))
        return found

    @cached_property
    def calibration_error(self) -> float:
        errors = [part.count * abs(part.accuracy - part.confidence) for part in self.bins]
        return sum(errors) / len(self.labels)

    def confusion(self) -> np.ndarray:
        """The confusion matrix: int array `(classes, classes)`, true classes by predicted ones."""
        labels = range(len(self.class_names))
        return np.asarray(_metrics().confusion_matrix(self.labels, self.predicted, labels=labels))

    def confused(self, count: int) -> list[Confusion]:
        """The pairs of classes most often confused, up to `count`."""
        wrong = np.stack([self.labels, self.predicted], 1)[~self.is_right]
        pairs, counts = np.unique(wrong, axis=0, return_counts=True)
        names, support = self.class_names, np.bincount(self.labels)
        return [
            Confusion(names[true], names[taken], int(counts[i]), float(counts[i] / support[true]))
            for i in np.argsort(-counts, kind="stable")[:count]
            for true, taken in [pairs[i]]
        ]

    def worst_classes(self) -> list[ClassScore]:
        """The classes of which there are images, the one with the least recall first."""
        scores = [score for score in self.classes if score.support]
        return sorted(scores, key=lambda score: (score.recall, score.name))

    def mistakes(self, count: int) -> np.ndarray:
        """Indices of up to `count` images taken for another class, the surest of it first."""
        wrong = np.flatnonzero(~self.is_right)
        return wrong[np.argsort(-self.confidence[wrong], kind="stable")][:count]

    def unsure(self, count: int) -> np.ndarray:
        """Indices of up to `count` images, those with the least probable best class first."""
        return np.argsort(self.confidence, kind="stable")[:count]

    def predictions(self) -> list[dict[str, Any]]:
        """A row for each image: `image`, `true`, and up to five classes, the best first.

        Those are `predicted` and `probability`, then `predicted_2`, `probability_2` and so on.
        """
        top = np.argsort(-self.probabilities, 1, kind="stable")[:, :TOP]
        rows = []
        for image, label, scores, best in zip(
            self.images, self.labels, self.probabilities, top, strict=True
        ):
            row: dict[str, Any] = {"image": image, "true": self.class_names[label]}
            for rank, index in enumerate(best, 1):
                suffix = f"_{rank}" if rank > 1 else ""
                row[f"predicted{suffix}"] = self.class_names[index]
                row[f"probability{suffix}"] = round(float(scores[index]), 6)
            rows.append(row)
        return rows


def evaluate(classifier: Classifier, source: Source, batch_size: int = 16) -> Evaluation:
    """Classifies all images of a source.

    Args:
        classifier: `Classifier`.
        source: `Source`. Its class names are some of the classifier's, or WordNet IDs (`n01440764`)
            if those are ImageNet's.
        batch_size: int.

    Returns:
        `Evaluation`.

    Raises:
        ValueError: if a class is unknown, no image can be decoded, the output is not probabilities,
            or scikit-learn is not installed.
    """
    import_optional("sklearn", EXTRA)
    labels = class_indices(source.class_names, classifier.class_names)[source.labels]
    images = (source.open_item(item) for item in source.items)
    results = classifier.probabilities(images, batch_size)
    rows, positions, unreadable = [], [], []
    for position, (_, row) in enumerate(track(results, "evaluating", len(source))):
        if isinstance(row, UnreadableImageError):
            unreadable.append(message := str(row))
            source.unreadable.setdefault(message, message)
        else:
            rows.append(row)
            positions.append(position)
    return Evaluation(
        classifier.class_names,
        [image_name(source, position) for position in positions],
        np.array(positions, int),
        labels[positions],
        np.array(rows, "float32").reshape(len(rows), len(classifier.class_names)),
        unreadable,
    )


def image_name(source: Source, position: int) -> str:
    """The name of an image of a source: its path, or a number if it is no file."""
    item = source.items[position]
    return os.fspath(item) if isinstance(item, Path) else f"image {position}"


def _metrics() -> Any:
    return import_optional("sklearn.metrics", EXTRA)
