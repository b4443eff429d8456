"""OpenVINO's intermediate representation (IR), for its runtime and model server."""

import json
import tempfile
from pathlib import Path

import numpy as np

from keras_nasnet.inference.formats.servable import (
    WITH_FEATURES,
    Outputs,
    Runner,
    Servable,
    write_graph,
)
from keras_nasnet.optional import import_optional

EXTRA, RUNTIME = "openvino", "openvino"
PRECISIONS = ("float32", "float16", "bfloat16", "int8")
FILE = "model.xml"  # in the folder
HINTS = {"float32": "f32", "float16": "f32", "bfloat16": "bf16", "int8": "f32"}  # for activations


def write(servable: Servable, path: Path, precision: str, images: np.ndarray | None = None) -> None:
    """Writes a folder with `model.xml` and `model.bin`.

    `float16` and `bfloat16` halve the weights; `bfloat16` also tells `load` to compute
    in bfloat16; `int8` quantizes weights and activations with NNCF.
    """
    openvino = import_optional(RUNTIME, EXTRA)
    with tempfile.TemporaryDirectory() as folder:
        write_graph(servable, Path(folder) / "graph")
        model = openvino.convert_model(Path(folder) / "graph")
    if precision == "int8":
        nncf = import_optional("nncf", EXTRA)
        measured = np.asarray(images, servable.image_dtype)
        data = nncf.Dataset([image[None] for image in measured])
        model = nncf.quantize(model, data, subset_size=len(measured))
    model.set_rt_info(precision, ["keras_nasnet", "precision"])
    model.set_rt_info(json.dumps(servable.class_names), ["keras_nasnet", "class_names"])
    path.mkdir()
    openvino.save_model(model, path / FILE, precision in ("float16", "bfloat16"))


def load(path: Path) -> Runner:
    """An export as a `Runner`."""
    openvino = import_optional(RUNTIME, EXTRA)
    core = openvino.Core()
    model = core.read_model(path / FILE)
    precision = model.get_rt_info(["keras_nasnet", "precision"]).astype(str)
    settings = {"INFERENCE_PRECISION_HINT": HINTS[precision], "PERFORMANCE_HINT": "LATENCY"}
    compiled = core.compile_model(model, "CPU", settings)
    image = compiled.input("image")
    dtype = image.element_type.to_dtype()
    size = tuple(image.partial_shape[axis].get_length() for axis in (1, 2))
    class_names = json.loads(model.get_rt_info(["keras_nasnet", "class_names"]).astype(str))
    known = {name for output in compiled.outputs for name in output.names}
    names = tuple(name for name in WITH_FEATURES if name in known)

    def run(images: np.ndarray) -> Outputs:
        arrays = compiled(images.astype(dtype))
        return {name: arrays[name] for name in names}

    return Runner(run, size, class_names, precision, names)
