"""Exports models to files that other programs run."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from os import PathLike
from pathlib import Path
from types import ModuleType
from typing import Any

import keras
import numpy as np

from keras_nasnet.atomic import check_place, replace_file, replace_folder
from keras_nasnet.check import check_integers, check_member
from keras_nasnet.data.batches import Normalization, normalize
from keras_nasnet.inference.classifier import Classifier, with_map
from keras_nasnet.inference.formats import FORMATS, Format
from keras_nasnet.inference.formats.servable import (
    FEATURES,
    MAP_CLASSES,
    MAPS,
    PROBABILITIES,
    WITH_FEATURES,
    Outputs,
    Servable,
)
from keras_nasnet.layers.fusion import PRECISIONS as FUSED_PRECISIONS
from keras_nasnet.layers.fusion import fuse as fuse_model
from keras_nasnet.layers.network import CLASSIFIER
from keras_nasnet.optional import import_optional
from keras_nasnet.tensor import Size, Tensor

NUM_CHECKED = 2  # images
# Largest difference from the model, as a share of the range of its probabilities.
TOLERANCES = {"float32": 1e-3, "float16": 0.02, "bfloat16": 0.1, "int8": 0.5}


def export(
    model: keras.Model,
    path: str | PathLike[str],
    format: str = "tf_saved_model",
    *,
    fuse: bool = True,
    precision: str = "float32",
    representative_data: np.ndarray | None = None,
    image_dtype: str = "float32",
    size: Size | None = None,
    class_names: Sequence[str] | None = None,
    normalization: Normalization | None = None,
    top_k: int = 5,
    features: bool = False,
    overwrite: bool = False,
) -> Path:
    """Exports a classifier for another runtime, and checks the export in that runtime.

    Every format takes `image`, `(batch, height, width, 3)` from 0 to 255 for any batch, and returns
    `probabilities`, `(batch, classes)`; scaling is inside. A SavedModel also returns `scores`
    and `classes`, the `top_k` best probabilities and their names, `(batch, top_k)`, and has a
    second signature, `serving_bytes`, with the same outputs: `image_bytes`, `(batch,)` of JPEG and
    PNG files, which are decoded, cropped and resized as `keras-nasnet predict` does.

    With `features`, every format also returns `features`, `(batch, channels)`, the averaged last
    feature map; and the class activation maps (Zhou et al. 2016, arXiv:1512.04150) of the `top_k`
    best classes: `activation_maps`, float32 `(batch, map height, map width, top_k)`, and
    `activation_classes`, int32 `(batch, top_k)`, the classes they are of.

    TensorFlow makes every export; with other backends, in a separate process.

    Args:
        model: `keras.Model`, a NASNet from images, -1 to 1, to probabilities.
        path: of the folder (`tf_saved_model`, `openvino`) or file (`onnx`, `litert`) to write.
        format: `"tf_saved_model"` (default); `"onnx"`, of opset 18; `"openvino"`, a folder of
            `model.xml` and `model.bin`; or `"litert"`. Class names are the asset
            `class_names.txt`, the metadata `class_names`, the runtime information
            `keras_nasnet/class_names`, and `labels.txt` in the file, in this order.
        fuse: bool, default True. Whether to apply `keras_nasnet.fuse` first.
        precision: `"float32"` (default). `"bfloat16"`: of `tf_saved_model` the network computes
            in it, of `openvino` half of the weights' size, and computed in it where `model.xml`
            asks. `"float16"`: of `tf_saved_model` alike, of `openvino` and `litert` half of the
            size, computed in float32. `"int8"`: of `openvino` and `litert`, a quarter of the size.
        representative_data: for `"int8"`, array `(number, height, width, 3)` of images from 0 to
            255, a few hundred typical ones, to calibrate value ranges on.
        image_dtype: dtype of `image`, `"float32"` (default) or `"uint8"`.
        size: `(height, width)` of `image`. Default: the model's; required if that is any size.
        class_names: list of str. Default: ImageNet's for 1000 classes, else numbers.
        normalization: mean and standard deviation of each channel in the training images, as in
            the `config.json` of a run; None (default) for images from -1 to 1.
        top_k: int >= 1, default 5; at most the number of classes counts.
        features: bool, default False. Whether to add outputs of features and activation maps.
        overwrite: bool, default False. Whether to replace an existing export at `path`.

    Returns:
        `path`.

    Raises:
        ValueError: if an argument is wrong, a required package is missing, the model cannot
            be converted, or the result differs from the model; `path` is then
            unchanged.
        NotWrittenError: if it cannot be written.
        FileExistsError: if `path` exists and `overwrite` is False.
    """
    path = Path(path)
    target = check_target(path, format, precision, fuse, overwrite)
    if image_dtype not in ("float32", "uint8"):
        raise ValueError(f"image_dtype: {image_dtype!r}; allowed are float32 and uint8")
    check_integers(1, top_k=top_k)
    classifier = Classifier(model, class_names, size, normalization)
    if features and with_map(model) is None:
        raise ValueError("features: the model is not a network of this package, so it has none")
    representative_data = _representative(representative_data, precision, classifier.size)
    images = np.random.default_rng(0).integers(0, 256, (NUM_CHECKED, *classifier.size, 3), "uint8")
    job = {
        "format": format,
        "fuse": fuse,
        "precision": precision,
        "image_dtype": image_dtype,
        "size": classifier.size,
        "class_names": classifier.class_names,
        "normalization": normalization,
        "top_k": min(top_k, len(classifier.class_names)),
        "features": features,
    }
    arrays = {"images": images, **_expected(model, images, normalization, features)}
    if representative_data is not None:
        arrays["representative_data"] = representative_data
    in_tensorflow = keras.config.backend() == "tensorflow"
    write = partial(_write if in_tensorflow else _write_in_tensorflow, model, job, arrays)
    path.parent.mkdir(parents=True, exist_ok=True)
    (replace_folder if target.FILE else replace_file)(path, write)
    return path


def check_target(
    path: str | PathLike[str], format: str, precision: str, fuse: bool, overwrite: bool
) -> Format:
    """The format's module, if `export` could write to `path` with these arguments."""
    check_member("format", format, FORMATS)
    target = FORMATS[format]
    # `fuse` sets the precision that a SavedModel computes in.
    allowed = target.PRECISIONS if fuse or format != "tf_saved_model" else ("float32",)
    if precision not in allowed:
        raise ValueError(
            f"precision: {precision!r} is not available for {format}"
            f"{'' if fuse else ' without fusing'}; allowed are {', '.join(allowed)}"
        )
    path = Path(path)
    check_place(path, makes_folders=True)
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} already exists; overwrite=True or --force replaces it")
    if path.exists() and not (path / (target.FILE or "")).is_file():
        raise ValueError(f"{path} is not an export as {format}: it is not replaced")
    import_optional("tensorflow", "tensorflow")
    import_optional(target.RUNTIME, target.EXTRA)
    return target


def _representative(images: Any, precision: str, size: Size) -> np.ndarray | None:
    if precision != "int8":
        return None
    if images is None:
        raise ValueError("precision: int8 needs calibration images, representative_data or --data")
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[1:] != (*size, 3) or not len(images):
        raise ValueError(
            f"representative_data: wanted images (number, {size[0]}, {size[1]}, 3), got the shape "
            f"{images.shape}"
        )
    return images


def _expected(
    model: keras.Model, images: np.ndarray, normalization: Normalization | None, features: bool
) -> Outputs:
    """What an export has to give, from a call without the compilation that `predict` would do.

    Activation maps are those of all classes.
    """
    run = (with_map(model) if features else None) or model
    results = [*map(keras.ops.convert_to_numpy, _as_list(run(normalize(images, normalization))))]
    if not np.allclose(results[0].sum(-1), 1, atol=0.01):
        raise ValueError("wanted a model whose outputs are probabilities, as from softmax")
    outputs = {PROBABILITIES: results[0]}
    if features:
        kernel = keras.ops.convert_to_numpy(model.get_layer(CLASSIFIER).kernel)
        feature_map = results[1].astype("float32")
        outputs |= {FEATURES: feature_map.mean((1, 2)), MAPS: feature_map @ kernel}
    return outputs


def _as_list(outputs: Any) -> list[Any]:
    return outputs if isinstance(outputs, list) else [outputs]


def _write(
    model: keras.Model, job: dict[str, Any], arrays: dict[str, np.ndarray], path: Path
) -> None:
    """Writes and checks the export with TensorFlow."""
    import tensorflow as tf

    precision = job["precision"]
    if job["fuse"]:
        of_network = job["format"] == "tf_saved_model" and precision in FUSED_PRECISIONS
        model = fuse_model(model, precision if of_network else "float32")
    run = (with_map(model) if job["features"] else None) or model
    variables = [*run.trainable_variables, *run.non_trainable_variables]
    num_trainable = len(run.trainable_variables)

    def classify(image: Tensor, weights: list[Tensor]) -> dict[str, Tensor]:
        x = normalize(tf.cast(image, tf.float32), job["normalization"])
        parts = weights[:num_trainable], weights[num_trainable:]
        probabilities, *rest = _as_list(run.stateless_call(*parts, x, training=False)[0])
        if not rest:
            return {PROBABILITIES: probabilities}
        kernel = model.get_layer(CLASSIFIER).kernel
        index = next(i for i, variable in enumerate(variables) if variable is kernel)
        return _with_features(tf, probabilities, rest[0], weights[index], job["top_k"])

    servable = Servable(
        classify,
        [variable.numpy() for variable in variables],
        tuple(job["size"]),
        job["image_dtype"],
        job["class_names"],
        job["top_k"],
        WITH_FEATURES if job["features"] else (PROBABILITIES,),
    )
    target = FORMATS[job["format"]]
    try:
        target.write(servable, path, precision, arrays.get("representative_data"))
        runner = target.load(path)
        got = runner.run(arrays["images"])
    except Exception as error:  # converters and runtimes raise every kind
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"the model cannot run as {job['format']}: {reason}") from error
    _check(got, arrays, precision)


def _with_features(
    tf: ModuleType, probabilities: Tensor, feature_map: Tensor, kernel: Tensor, top_k: int
) -> dict[str, Tensor]:
    """All outputs of an export, from a network's and its classifier's kernel."""
    feature_map = tf.cast(feature_map, tf.float32)
    height, width, channels = feature_map.shape[1:]
    _, best = tf.math.top_k(probabilities, top_k)
    columns = tf.gather(tf.transpose(kernel), best)
    places = tf.reshape(feature_map, (-1, height * width, channels))
    maps = tf.matmul(places, columns, transpose_b=True)
    return {
        PROBABILITIES: probabilities,
        FEATURES: tf.reduce_mean(feature_map, (1, 2)),
        MAPS: tf.reshape(maps, (-1, height, width, top_k)),
        MAP_CLASSES: best,
    }


def _check(got: Outputs, expected: Outputs, precision: str) -> None:
    """Raises `ValueError` if outputs differ from the model's."""
    for name in (PROBABILITIES, FEATURES, MAPS):
        if name not in expected:
            continue
        wanted = expected[name]
        if name == MAPS:
            classes = got[MAP_CLASSES][:, None, None].astype(int)
            wanted = np.take_along_axis(wanted, classes, -1)
        if not np.isfinite(got[name]).all():
            raise ValueError(
                f"the export gives NaN instead of {_named(name)}, unlike the model, as happens if "
                f"values in the network are beyond the range of {precision}; it was removed"
            )
        difference = np.abs(got[name] - wanted).max() / np.ptp(wanted)
        if not difference <= TOLERANCES[precision]:
            raise ValueError(
                f"the export differs from the model by {difference:.2g} of the range of its "
                f"{_named(name)}, at most {TOLERANCES[precision]} is allowed; it was removed"
            )


def _named(output: str) -> str:
    return output.replace("_", " ")


def _write_in_tensorflow(
    model: keras.Model, job: dict[str, Any], arrays: dict[str, Any], path: Path
) -> None:
    """Like `_write`, in a process whose backend is TensorFlow."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model.save(folder / "model.keras")
        (folder / "job.json").write_text(json.dumps(job))
        np.savez(folder / "arrays.npz", **arrays)
        result = subprocess.run(
            [sys.executable, "-m", __name__, folder, path],
            env=os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    if result.returncode:
        reason = result.stderr.strip().rpartition("\n")[2] or f"exit status {result.returncode}"
        raise ValueError(f"export by TensorFlow: {reason}")


def _main(folder: Path, path: Path) -> None:
    try:
        model = keras.saving.load_model(folder / "model.keras", compile=False)
        job = json.loads((folder / "job.json").read_text())
        with np.load(folder / "arrays.npz") as arrays:
            _write(model, job, dict(arrays), path)
    except ValueError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    _main(*map(Path, sys.argv[1:]))
