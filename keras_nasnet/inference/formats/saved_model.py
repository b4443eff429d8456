"""TensorFlow's SavedModel, for TensorFlow Serving and anything else that loads one."""

import tempfile
from pathlib import Path

import numpy as np

from keras_nasnet.inference.formats.servable import (
    PROBABILITIES,
    Runner,
    Servable,
    write_both_signatures,
)
from keras_nasnet.optional import import_optional

EXTRA, RUNTIME = "tensorflow", "tensorflow"
PRECISIONS = ("float32", "float16", "bfloat16")
FILE = "saved_model.pb"  # in the folder


def write(servable: Servable, path: Path, precision: str, images: np.ndarray | None = None) -> None:
    """Writes the folder; its asset `class_names.txt` has one class per line."""
    with tempfile.TemporaryDirectory() as folder:
        class_names = Path(folder) / "class_names.txt"
        class_names.write_text("\n".join(servable.class_names) + "\n")
        write_both_signatures(servable, path, class_names)


def load(path: Path) -> Runner:
    """A function from images `(batch, height, width, 3)`, 0 to 255, to probabilities.

    Uses a session, because `tf.saved_model.load` copies the network several times.
    """
    tf = import_optional(RUNTIME, EXTRA)
    v1 = tf.compat.v1
    session = v1.Session(graph=tf.Graph())
    loaded = v1.saved_model.load(session, [tf.saved_model.SERVING], str(path))
    signature = loaded.signature_def["serving_default"]
    image, probabilities = signature.inputs["image"], signature.outputs[PROBABILITIES]
    dtype = tf.as_dtype(image.dtype).as_numpy_dtype
    return lambda images: session.run(probabilities.name, {image.name: images.astype(dtype)})
