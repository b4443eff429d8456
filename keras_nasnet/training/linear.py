"""The best linear classifier on the features of a network: where fine-tuning starts."""

from collections.abc import Callable, Collection
from typing import Any

import keras
import numpy as np

from keras_nasnet.data.augmentation import MIXTURES
from keras_nasnet.data.batches import Batches
from keras_nasnet.data.source import Source
from keras_nasnet.layers.network import CLASSIFIER
from keras_nasnet.optional import import_optional
from keras_nasnet.training.job import Job

MAX_IMAGES = 20_000  # to fit it on
ROUNDS = 4  # of augmented images beside the plain ones
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # scikit-learn's C: the inverse of the regularization


def start_linear(
    model: keras.Model,
    job: Job,
    training: Source,
    held_out: Batches,
    say: Callable[[str], object],
) -> dict[str, float] | None:
    """Starts a compiled model from a linear classifier, if the recipe of its job says so.

    Returns:
        `val_accuracy` and `val_loss` of that classifier, or None.
    """
    if not job.recipe.linear_head:
        return None
    fit_linear_head(model, training, held_out, job.recipe.augmentation, job.seed)
    logs = model.evaluate(held_out, verbose=0, return_dict=True)
    model.reset_metrics()
    say(f"a linear classifier on the frozen network: validation accuracy {logs['accuracy']:.2%}")
    return {f"val_{name}": float(logs[name]) for name in ("accuracy", "loss")}


def fit_linear_head(
    model: keras.Model,
    training: Source,
    held_out: Batches,
    augmentation: Collection[str] = (),
    seed: int = 0,
) -> None:
    """Sets the classifier of a network to a logistic regression on its features.

    The features are those of `keras-nasnet embed`: the averaged last feature map. How much the
    regression is regularized is chosen by the loss on the held-out images. Each class weighs the
    same if those have class weights.

    Args:
        model: `keras.Model`, a network of this package with its classifier.
        training: `Source` to fit it on; of more than 20,000 images a part.
        held_out: `Batches` to validate with, in the source's order.
        augmentation: names from `keras_nasnet.training.AUGMENTATIONS`, default none. The
            regression is fitted on augmented images too, as far as 20,000 images allow; mixtures
            of images are left out.
        seed: int, default 0, of the augmentation.

    Raises:
        ValueError: if scikit-learn is not installed.
    """
    linear_model = import_optional("sklearn.linear_model", "data")
    classifier = model.get_layer(CLASSIFIER)
    features = keras.Model(model.input, classifier.input)
    some = np.zeros(len(training), bool)
    some[np.linspace(0, len(training) - 1, min(MAX_IMAGES, len(training))).astype(int)] = True
    names = [name for name in augmentation if name not in MIXTURES]
    x, y, rounds = _training_features(features, training.take(some), held_out, names, seed)
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    x = (x - mean) / deviation
    held_out_x, held_out_y = _features(features, held_out, held_out.batch_size)
    held_out_x = (held_out_x - mean) / deviation
    best = np.inf
    regression = linear_model.LogisticRegression(
        max_iter=300,
        warm_start=True,
        class_weight=None if held_out.class_weights is None else "balanced",
    )
    for strength in STRENGTHS:
        regression.set_params(C=strength / rounds).fit(x, y)
        kernel, bias = _head(regression, x.shape[1], len(training.class_names))
        loss = _loss(held_out_x @ kernel + bias, held_out_y, held_out.class_weights)
        if loss < best:
            best, kept = loss, (kernel, bias)
    kernel = kept[0] / deviation[:, None]
    classifier.set_weights([kernel, kept[1] - mean @ kernel])


def _training_features(
    model: keras.Model, source: Source, like: Batches, augmentation: Collection[str], seed: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Features and labels, plain and augmented, and how often each image is among them."""
    rounds = min(ROUNDS, MAX_IMAGES // len(source) - 1) if augmentation else 0
    settings: dict[str, Any] = {"normalization": like.normalization}
    parts = [Batches(source, like.size, like.batch_size, **settings)]
    parts += [
        Batches(source, like.size, like.batch_size, seed + i, augmentation=augmentation, **settings)
        for i in range(rounds)
    ]
    found = [_features(model, part, like.batch_size) for part in parts]
    rows, labels = zip(*found, strict=True)
    return np.concatenate(rows), np.concatenate(labels), 1 + rounds


def _features(
    model: keras.Model, batches: Batches, batch_size: int
) -> tuple[np.ndarray, np.ndarray]:
    """Features and labels of all images, in batches of one size: a backend compiles once."""
    rows, labels = [], []
    for index in range(len(batches)):
        images, label, *_ = batches[index]
        missing = batch_size - len(images)
        whole = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
        rows.append(model.predict_on_batch(whole)[: len(images)])
        labels.append(label.argmax(-1) if batches.one_hot else label)
    return np.concatenate(rows).astype("float64"), np.concatenate(labels)


def _head(regression: object, channels: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Kernel and bias for all classes; one without an image to train on is never predicted."""
    kernel, bias = np.zeros((channels, classes)), np.full(classes, -20.0)
    found, coefficients, intercept = (
        getattr(regression, name) for name in ("classes_", "coef_", "intercept_")
    )
    if len(found) == 2:  # scikit-learn has one row for two classes
        coefficients, intercept = (
            np.concatenate([-part, part]) / 2 for part in (coefficients, intercept)
        )
    kernel[:, found], bias[found] = coefficients.T, intercept
    return kernel, bias


def _loss(logits: np.ndarray, labels: np.ndarray, class_weights: object) -> float:
    logits = logits - logits.max(-1, keepdims=True)
    losses = np.log(np.exp(logits).sum(-1)) - logits[np.arange(len(labels)), labels]
    weights = np.ones_like(losses) if class_weights is None else np.array(class_weights)[labels]
    return float((losses * weights).mean())
