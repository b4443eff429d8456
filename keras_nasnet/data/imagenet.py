"""Input and output of ImageNet models: pixels to numbers, scores to class names."""

import sys
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from keras_nasnet.tensor import Tensor


def preprocess_input(x: Tensor, data_format: str | None = None) -> Tensor:
    """Scales pixels from 0..255 to -1..1, as NASNet was trained.

    Args:
        x: array or tensor of any shape and backend, including TensorFlow's in a `tf.data` pipeline.
            among them. A float NumPy array is changed in place, without a copy.
        data_format: ignored, since all channels are scaled alike; for code written for
            keras.applications.

    Returns:
        The scaled input, of the same kind and float dtype; float32 for integers.
    """
    if isinstance(x, list | tuple):
        x = np.asarray(x)
    if isinstance(x, np.ndarray):
        if not np.issubdtype(x.dtype, np.floating):
            x = x.astype("float32")
        x /= 127.5
        x -= 1.0
        return x
    tf = sys.modules.get("tensorflow")
    if tf is not None and tf.is_tensor(x):
        x = x if x.dtype.is_floating else tf.cast(x, tf.float32)
    else:
        from keras import ops

        if not str(x.dtype).rpartition(".")[2].startswith(("float", "bfloat")):
            x = ops.cast(x, "float32")
    return x / 127.5 - 1.0


@cache
def imagenet_classes() -> list[tuple[str, str]]:
    """WordNet id and name of the 1000 classes of ILSVRC 2012, in keras.applications' order."""
    text = resources.files(__package__).joinpath("imagenet_classes.txt").read_text()
    lines = (line.partition(" ") for line in text.splitlines())
    return [(wordnet_id, name) for wordnet_id, _, name in lines]


def decode_predictions(
    preds: Tensor, top: int = 5
) -> list[list[tuple[str, str, np.floating[Any]]]]:
    """Names of the most probable ImageNet classes. Needs no download.

    Args:
        preds: array or tensor `(batch, 1000)` of scores.
        top: int from 1 to 1000, default 5.

    Returns:
        For each image a list of `top` tuples `(WordNet id, name, score)`, best first.

    Raises:
        ValueError: if `preds` or `top` is invalid.
    """
    if not isinstance(preds, np.ndarray):
        from keras import ops

        preds = ops.convert_to_numpy(preds)
    if preds.ndim != 2 or preds.shape[1] != 1000:
        raise ValueError(f"preds: wanted the shape (batch, 1000), got {preds.shape}")
    if not 1 <= top <= 1000:
        raise ValueError(f"top: wanted an integer from 1 to 1000, got {top}")
    classes = imagenet_classes()
    best = np.argsort(-preds, axis=1, kind="stable")[:, :top]
    return [
        [(*classes[i], scores[i]) for i in row] for row, scores in zip(best, preds, strict=True)
    ]
