"""TensorFlow's SavedModel, for TensorFlow Serving and anything else that loads one."""

import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from keras_nasnet.inference.formats.servable import (
    WITH_FEATURES,
    Outputs,
    Runner,
    Servable,
    write_both_signatures,
)
from keras_nasnet.optional import import_optional

EXTRA, RUNTIME = "tensorflow", "tensorflow"
PRECISIONS = ("float32", "float16", "bfloat16")
FILE = "saved_model.pb"  # in the folder
CLASS_NAMES = "class_names.txt"


def write(servable: Servable, path: Path, precision: str, images: np.ndarray | None = None) -> None:
    """Writes the folder; its asset `class_names.txt`, UTF-8, has one class per line."""
    with tempfile.TemporaryDirectory() as folder:
        class_names = Path(folder) / CLASS_NAMES
        class_names.write_bytes(("\n".join(servable.class_names) + "\n").encode())
        write_both_signatures(servable, path, class_names)


def load(path: Path) -> Runner:
    """An export as a `Runner`.

    Uses a session, because `tf.saved_model.load` copies the network several times.
    """
    tf = import_optional(RUNTIME, EXTRA)
    v1 = tf.compat.v1
    session = v1.Session(graph=tf.Graph())
    loaded = v1.saved_model.load(session, [tf.saved_model.SERVING], str(path))
    signature = loaded.signature_def["serving_default"]
    image = signature.inputs["image"]
    dtype = tf.as_dtype(image.dtype).as_numpy_dtype
    tensors = {name: x.name for name, x in signature.outputs.items() if name in WITH_FEATURES}

    def run(images: np.ndarray) -> Outputs:
        return session.run(tensors, {image.name: images.astype(dtype)})

    size = image.tensor_shape.dim[1].size, image.tensor_shape.dim[2].size
    class_names = (path / "assets" / CLASS_NAMES).read_bytes().decode().split("\n")[:-1]
    return Runner(run, size, class_names, _precision(tf, loaded.graph_def), tuple(tensors))


def _precision(tf: ModuleType, graph: Any) -> str:
    """The precision that the convolutions compute in."""
    nodes = (node for function in graph.library.function for node in function.node_def)
    types = {tf.as_dtype(node.attr["T"].type).name for node in nodes if node.op == "Conv2D"}
    return next((name for name in ("bfloat16", "float16") if name in types), "float32")
