"""What is served, and the TensorFlow graphs that every format is made from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np

from keras_nasnet.inference.formats.decode import decode_images
from keras_nasnet.optional import import_optional
from keras_nasnet.tensor import VARIABLE_BYTES, Tensor

Outputs: TypeAlias = dict[str, np.ndarray]  # by name

PROBABILITIES = "probabilities"
FEATURES, MAPS, MAP_CLASSES = "features", "activation_maps", "activation_classes"
WITH_FEATURES = (PROBABILITIES, FEATURES, MAPS, MAP_CLASSES)
PREDICT = "tensorflow/serving/predict"  # TensorFlow Serving's method name for such a signature


@dataclass(frozen=True)
class Runner:
    """An export in its own runtime. A call gives the probabilities of images.

    Args:
        run: from images `(batch, height, width, 3)`, 0 to 255, to arrays by name.
        size: `(height, width)` of the images.
        class_names: list of str.
        precision: as in `export`.
        outputs: names of the arrays that `run` gives.
    """

    run: Callable[[np.ndarray], Outputs]
    size: tuple[int, int]
    class_names: list[str]
    precision: str
    outputs: tuple[str, ...]

    def __call__(self, images: np.ndarray) -> np.ndarray:
        return self.run(images)[PROBABILITIES]

    @property
    def has_features(self) -> bool:
        """Whether `run` also gives what `export(features=True)` adds."""
        return {*WITH_FEATURES} <= {*self.outputs}


@dataclass(frozen=True)
class Servable:
    """An image classifier as a TensorFlow function.

    Args:
        classify: from an image tensor `(batch, height, width, 3)`, 0 to 255, and a list of the
            weights as tensors to a dict of tensors, named as in `outputs`; called while a graph
            is built.
        weights: list of arrays.
        size: `(height, width)`.
        image_dtype: `"float32"` or `"uint8"`.
        class_names: list of str.
        top_k: int, number of classes returned per image.
        outputs: names, the first of which is `"probabilities"`, `(batch, classes)`.
    """

    classify: Callable[[Tensor, list[Tensor]], dict[str, Tensor]]
    weights: list[np.ndarray]
    size: tuple[int, int]
    image_dtype: str
    class_names: list[str]
    top_k: int
    outputs: tuple[str, ...] = (PROBABILITIES,)


def make_graph(servable: Servable) -> Any:
    """A `tf.Graph` from the placeholder `image` to the outputs, with constant weights."""
    tf = import_optional("tensorflow", "tensorflow")
    with tf.Graph().as_default() as graph:
        weights = [tf.constant(array) for array in servable.weights]
        outputs = servable.classify(_image(tf, servable), weights)
        for name in servable.outputs:
            tf.identity(outputs[name], name)
    return graph


def write_graph(servable: Servable, path: Path) -> None:
    """Writes `make_graph` as a SavedModel with one signature, for converters."""
    graph = make_graph(servable)
    sides = [
        {name: graph.get_tensor_by_name(f"{name}:0") for name in names}
        for names in (["image"], servable.outputs)
    ]
    _write(path, graph, {"serving_default": sides})


def write_both_signatures(servable: Servable, path: Path, class_names: Path) -> None:
    """Writes a SavedModel with the signatures `serving_default` and `serving_bytes`.

    Large weights are variables: as constants they would be copied by every step that handles
    the graph, which for NASNetLarge takes longer than everything else. The many small ones are
    constants, which are faster to write and load. Input shapes are checked in the graph, because
    loaders of a SavedModel do not check them against its signatures.

    Args:
        servable: `Servable`.
        path: of the folder to write.
        class_names: path of a text file, which becomes an asset.
    """
    tf = import_optional("tensorflow", "tensorflow")
    v1 = tf.compat.v1

    @tf.function(autograph=False)  # stored once, though both signatures call it
    def outputs(image: Tensor) -> dict[str, Tensor]:
        weights = [
            variables[index] if index in variables else tf.constant(array)
            for index, array in enumerate(servable.weights)
        ]
        found = servable.classify(image, weights)
        scores, indices = tf.math.top_k(found[PROBABILITIES], servable.top_k)
        classes = tf.gather(tf.constant(servable.class_names), indices)
        return found | {"classes": classes, "scores": scores}

    with tf.Graph().as_default() as graph:
        variables = {
            index: tf.Variable(partial(tf.zeros, array.shape, array.dtype))
            for index, array in enumerate(servable.weights)
            if array.nbytes >= VARIABLE_BYTES
        }
        image = _image(tf, servable)
        image_bytes = v1.placeholder(tf.string, (None,), name="image_bytes")
        files = tf.ensure_shape(image_bytes, image_bytes.shape)
        decoded = tf.cast(decode_images(tf, files, servable.size), servable.image_dtype)
        signatures = {
            "serving_default": ({"image": image}, outputs(tf.ensure_shape(image, image.shape))),
            "serving_bytes": ({"image_bytes": image_bytes}, outputs(decoded)),
        }
        v1.add_to_collection(v1.GraphKeys.ASSET_FILEPATHS, tf.constant(str(class_names)))
        values = {
            variable.initializer.inputs[1]: servable.weights[index]
            for index, variable in variables.items()
        }
    _write(path, graph, signatures, values)


def _image(tf: ModuleType, servable: Servable) -> Tensor:
    shape = (None, *servable.size, 3)
    return tf.compat.v1.placeholder(servable.image_dtype, shape, name="image")


def _write(
    path: Path,
    graph: Any,
    signatures: Mapping[str, Sequence[dict[str, Tensor]]],
    values: dict[Tensor, np.ndarray] | None = None,
) -> None:
    """Writes a graph and its signatures, with inputs and outputs by name.

    `tf.saved_model.save` would trace the network and its variables several times: for
    NASNetMobile it takes 13 s, this takes 0.6 s.

    Args:
        path: of the folder to write.
        graph: `tf.Graph`.
        signatures: pairs of inputs and outputs, each a dict of tensors, by name.
        values: arrays of the variables, by the tensors that initialize them. Default: there are
            no variables.
    """
    tf = import_optional("tensorflow", "tensorflow")
    v1 = tf.compat.v1
    info = v1.saved_model.build_tensor_info
    with graph.as_default(), v1.Session() as session:
        session.run(v1.global_variables_initializer(), values)
        definitions = {
            name: v1.saved_model.build_signature_def(
                *({key: info(tensor) for key, tensor in side.items()} for side in sides), PREDICT
            )
            for name, sides in signatures.items()
        }
        builder = v1.saved_model.Builder(str(path))
        builder.add_meta_graph_and_variables(
            session,
            [tf.saved_model.SERVING],
            definitions,
            graph.get_collection(v1.GraphKeys.ASSET_FILEPATHS),
        )
        builder.save()
