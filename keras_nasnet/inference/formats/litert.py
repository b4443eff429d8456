"""LiteRT (formerly TensorFlow Lite), for phones and small devices."""

import os
import tempfile
import zipfile
from pathlib import Path

import numpy as np

from keras_nasnet.inference.formats.servable import Outputs, Runner, Servable, write_graph
from keras_nasnet.optional import import_optional

EXTRA, RUNTIME = "litert", "ai_edge_litert"
PRECISIONS = ("float32", "float16", "int8")
FILE = None  # not a folder


def write(servable: Servable, path: Path, precision: str, images: np.ndarray | None = None) -> None:
    """Writes a file, with the class names packed into it as `labels.txt`.

    `float16` halves the weights; `int8` quantizes weights and activations.
    """
    tf = import_optional("tensorflow", "tensorflow")
    with tempfile.TemporaryDirectory() as folder:
        write_graph(servable, Path(folder) / "graph")
        converter = tf.lite.TFLiteConverter.from_saved_model(str(Path(folder) / "graph"))
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        elif precision == "int8":
            measured = np.asarray(images, servable.image_dtype)
            converter.representative_dataset = lambda: ([image[None]] for image in measured)
        path.write_bytes(converter.convert())
    with zipfile.ZipFile(path, "a") as file:  # where TensorFlow Lite's metadata keeps labels
        file.writestr("labels.txt", "\n".join(servable.class_names) + "\n")


def load(path: Path) -> Runner:
    """An export as a `Runner`."""
    litert = import_optional("ai_edge_litert.interpreter", EXTRA)
    interpreter = litert.Interpreter(str(path), num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner("serving_default")
    image = runner.get_input_details()["image"]
    shape = tuple(image["shape_signature"][1:].tolist())
    dtypes = {np.dtype(tensor["dtype"]).name for tensor in interpreter.get_tensor_details()}
    precision = next((name for name in ("int8", "float16") if name in dtypes), "float32")
    with zipfile.ZipFile(path) as file:
        class_names = file.read("labels.txt").decode().split("\n")[:-1]

    def run(images: np.ndarray) -> Outputs:
        if images.shape[1:] != shape:  # the runtime would resize its input
            raise ValueError(f"image: wanted the shape {(None, *shape)}, got {images.shape}")
        return runner(image=images.astype(image["dtype"]))

    return Runner(run, shape[:2], class_names, precision, tuple(runner.get_output_details()))
