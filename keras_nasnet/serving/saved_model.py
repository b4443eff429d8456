"""TensorFlow's SavedModel: for TensorFlow Serving, and what else loads one."""

import tempfile
from pathlib import Path

from keras_nasnet.optional import import_optional
from keras_nasnet.serving.servable import PROBABILITIES, Servable, write_both_signatures

EXTRA, RUNTIME = "tensorflow", "tensorflow"
PRECISIONS = ("float32", "float16", "bfloat16")
FILE = "saved_model.pb"  # in the folder that is written


def write(servable: Servable, path: Path, precision: str, images=None) -> None:
    """Writes the folder; its asset `class_names.txt` has a class in each line."""
    with tempfile.TemporaryDirectory() as folder:
        class_names = Path(folder) / "class_names.txt"
        class_names.write_text("\n".join(servable.class_names) + "\n")
        write_both_signatures(servable, path, class_names)


def load(path: Path):
    """A function from images 0 to 255 `(batch, height, width, 3)` to probabilities."""
    tf = import_optional(RUNTIME, EXTRA)
    function = tf.saved_model.load(str(path)).signatures["serving_default"]
    dtype = function.structured_input_signature[1]["image"].dtype
    return lambda images: function(image=tf.constant(images, dtype))[PROBABILITIES].numpy()
