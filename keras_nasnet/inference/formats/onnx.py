"""ONNX, for ONNX Runtime and other readers."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from keras_nasnet.inference.formats.servable import Outputs, Runner, Servable, make_graph
from keras_nasnet.optional import import_optional

EXTRA, RUNTIME = "onnx", "onnxruntime"
PRECISIONS = ("float32",)
FILE = None  # not a folder
OPSET = 18


def write(servable: Servable, path: Path, precision: str, images: np.ndarray | None = None) -> None:
    """Writes a file of opset 18 for batches of any size; `class_names` is in its metadata."""
    onnx = import_optional("onnx", EXTRA)
    converter = import_optional("tf2onnx.tfonnx", EXTRA)
    graph = converter.process_tf_graph(
        make_graph(servable),
        opset=OPSET,
        input_names=["image:0"],
        output_names=[f"{name}:0" for name in servable.outputs],
        tensors_to_rename={f"{name}:0": name for name in ("image", *servable.outputs)},
    )
    model = _optimize(graph.make_model("keras_nasnet").SerializeToString())
    used = {node.domain for node in model.graph.node}
    opsets = [opset for opset in model.opset_import if opset.domain in used]
    del model.opset_import[:]
    model.opset_import.extend(opsets)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]  # which names the batch dimension differently
    onnx.helper.set_model_props(model, {"class_names": json.dumps(servable.class_names)})
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _optimize(model: bytes) -> Any:
    """The model without the transposes around each of TensorFlow's convolutions.

    ONNX Runtime removes them in a second, tf2onnx's optimizer in a minute.
    """
    onnx = import_optional("onnx", EXTRA)
    runtime = import_optional(RUNTIME, EXTRA)
    options = runtime.SessionOptions()
    # The basic level keeps to standard ONNX.
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        return onnx.load(options.optimized_model_filepath)


def load(path: Path) -> Runner:
    """An export as a `Runner`."""
    runtime = import_optional(RUNTIME, EXTRA)
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    dtype = {"tensor(float)": "float32", "tensor(uint8)": "uint8"}[image.type]
    names = tuple(output.name for output in session.get_outputs())
    class_names = json.loads(session.get_modelmeta().custom_metadata_map["class_names"])

    def run(images: np.ndarray) -> Outputs:
        arrays = session.run(names, {"image": images.astype(dtype)})
        return dict(zip(names, arrays, strict=True))

    return Runner(run, tuple(image.shape[1:3]), class_names, "float32", names)
