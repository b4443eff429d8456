"""Exports: what each runtime makes of them, what is refused, what is left behind."""

import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace

import keras
import numpy as np
import pytest
from support import TESTS
from support.networks import one_block, randomize, relative_difference, tiny
from support.pictures import write_folder

import keras_nasnet
from keras_nasnet import cli
from keras_nasnet.data.batches import normalize
from keras_nasnet.inference import benchmark, exporter
from keras_nasnet.inference.benchmark import KERAS, Route
from keras_nasnet.inference.classifier import Classifier
from keras_nasnet.inference.formats import FORMATS, format_of

NAMES = [f"class {i}" for i in range(10)]
IMAGES = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), "uint8")
ALL = [(name, precision) for name, module in FORMATS.items() for precision in module.PRECISIONS]


def classifier(**options):
    return randomize(one_block(**options))


def probabilities(model, normalization=None):
    return keras.ops.convert_to_numpy(model(normalize(IMAGES, normalization)))


class Constant:
    """A runner that gives the same probabilities for all images."""

    def __init__(self, probabilities):
        self.run = lambda images: {"probabilities": probabilities}


def need(*names):
    """Skips a test without TensorFlow or the runtimes of these formats."""
    for runtime in ("tensorflow", *(FORMATS[name].RUNTIME for name in names)):
        pytest.importorskip(runtime, reason=f"{runtime} is not installed")


@pytest.mark.parametrize("name, precision", ALL)
def test_the_runtime_gives_what_the_model_gives(tmp_path, name, precision):
    need(name)
    # Quantized, the pools of images of 1 x 1 fail in LiteRT, and a shortcut of strides in OpenVINO.
    model = randomize(tiny()) if (name, precision) == ("openvino", "int8") else classifier()
    data = np.concatenate([IMAGES] * 4) if precision == "int8" else None
    path = tmp_path / "exported"
    assert path == keras_nasnet.export(
        model, path, name, precision=precision, representative_data=data, class_names=NAMES
    )
    assert [path] == list(tmp_path.iterdir())
    wanted = probabilities(model)
    run = FORMATS[name].load(path)
    allowed = {"float32": 1e-5, "float16": 5e-3, "bfloat16": 3e-2, "int8": 0.1}[precision]
    for batch in (3, 1):  # the batch is of any size
        assert relative_difference(run(IMAGES[:batch]), wanted[:batch]) < allowed


@pytest.mark.parametrize("name", FORMATS)
def test_features_and_activation_maps(tmp_path, name):
    """As `Classifier` gives them, of the best classes; and the runner says what it runs."""
    need(name)
    model = classifier()
    path = tmp_path / "exported"
    keras_nasnet.export(model, path, name, features=True, top_k=3, class_names=NAMES)
    run = FORMATS[name].load(path)
    assert format_of(path) == name
    assert (tuple(run.size), run.class_names, run.precision) == ((32, 32), NAMES, "float32")
    assert run.has_features
    got, whole = run.run(IMAGES), Classifier(model)
    wanted = np.stack([row for _, row in whole.features(IMAGES)])
    assert relative_difference(got["features"], wanted) < 1e-5
    maps = np.stack([row for _, row in whole.activation_maps(IMAGES)])
    best = np.argsort(-got["probabilities"])[:, :3]
    np.testing.assert_array_equal(got["activation_classes"], best)
    wanted = np.take_along_axis(maps, best[:, None, None], -1)
    assert got["activation_maps"].shape == (3, *wanted.shape[1:])
    assert relative_difference(got["activation_maps"], wanted) < 1e-5


@pytest.mark.parametrize("output", ["features", "activation maps"])
def test_wrong_features_are_removed(monkeypatch, tmp_path, output):
    need(name := "tf_saved_model")
    load = FORMATS[name].load

    def wrong(path):
        run = load(path)
        change = {output.replace(" ", "_"): np.zeros}
        return replace(run, run=lambda x: run.run(x) | {k: f(1) for k, f in change.items()})

    monkeypatch.setattr(FORMATS[name], "load", wrong)
    with pytest.raises(ValueError, match=f"differs from the model by .* of its {output}"):
        keras_nasnet.export(classifier(), tmp_path / "exported", name, features=True)
    assert not list(tmp_path.iterdir())


def test_a_model_without_feature_maps_is_told(tmp_path):
    need()
    model = keras.Sequential(
        [keras.Input((32, 32, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")]
    )
    with pytest.raises(ValueError, match="features: the model is not a network of this package"):
        keras_nasnet.export(model, tmp_path / "exported", features=True, fuse=False)


@pytest.mark.parametrize("name", FORMATS)
def test_images_of_another_shape_are_refused(tmp_path, name):
    need(name)
    run = FORMATS[name].load(keras_nasnet.export(classifier(), tmp_path / "exported", name))
    for shape in ((2, 32, 32, 1), (2, 16, 32, 3), (32, 32, 3)):
        with pytest.raises(Exception, match="(?i)shape|dimensions|rank"):
            run(np.zeros(shape, "uint8"))
    assert run(IMAGES).shape == (3, 10)


@pytest.mark.every_backend
@pytest.mark.parametrize("name", FORMATS)
def test_from_every_backend(tmp_path, name):
    """Settings of a run, and images as bytes; without TensorFlow, what to install."""
    if keras.config.backend() == "tensorflow" and name != "tf_saved_model":
        pytest.skip("under TensorFlow one format is enough here")
    model = classifier()
    settings = {"normalization": ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7]), "image_dtype": "uint8"}
    try:
        import tensorflow  # noqa: F401
    except ModuleNotFoundError:
        with pytest.raises(ValueError, match=r"pip install 'keras_nasnet\[tensorflow\]'"):
            keras_nasnet.export(model, tmp_path / "exported", name)
        return
    need(name)
    path = keras_nasnet.export(model, tmp_path / "exported", name, class_names=NAMES, **settings)
    wanted = probabilities(model, settings["normalization"])
    assert relative_difference(FORMATS[name].load(path)(IMAGES), wanted) < 1e-4


def test_class_names_are_in_every_format(tmp_path):
    need(*FORMATS)
    import onnx
    import openvino

    model = classifier()
    paths = {
        name: keras_nasnet.export(model, tmp_path / name, name, class_names=NAMES)
        for name in FORMATS
    }
    asset = paths["tf_saved_model"] / "assets" / "class_names.txt"
    assert asset.read_text().split("\n")[:-1] == NAMES
    (metadata,) = onnx.load(paths["onnx"]).metadata_props
    assert (metadata.key, json.loads(metadata.value)) == ("class_names", NAMES)
    information = openvino.Core().read_model(paths["openvino"] / "model.xml").get_rt_info
    assert json.loads(information(["keras_nasnet", "class_names"]).astype(str)) == NAMES
    with zipfile.ZipFile(paths["litert"]) as file:
        assert file.read("labels.txt").decode().split("\n")[:-1] == NAMES


def test_onnx_is_plain(tmp_path):
    need("onnx")
    import onnx

    model = onnx.load(keras_nasnet.export(classifier(), tmp_path / "model.onnx", "onnx"))
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 18)]
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Transpose") <= 3, f"one around each of {kinds.count('Conv')} convolutions"
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"


def test_models_of_any_size_without_fusing(tmp_path):
    need("onnx")
    model = classifier(input_shape=(None, None, 3))
    with pytest.raises(ValueError, match="any size"):
        keras_nasnet.export(model, tmp_path / "model.onnx", "onnx")
    path = keras_nasnet.export(model, tmp_path / "model.onnx", "onnx", size=(32, 32), fuse=False)
    run = FORMATS["onnx"].load(path)
    assert relative_difference(run(IMAGES), probabilities(model)) < 1e-5


@pytest.mark.parametrize(
    "options, message",
    [
        ({"format": "tflite"}, "'tflite' is not known; did you mean litert"),
        ({"format": "onnx", "precision": "int8"}, "not available for onnx; allowed are float32"),
        ({"precision": "bfloat16", "fuse": False}, "without fusing; allowed are float32"),
        ({"format": "litert", "precision": "int8"}, "int8 needs calibration images"),
        (
            {"format": "litert", "precision": "int8", "representative_data": IMAGES[:, :8]},
            r"wanted images \(number, 32, 32, 3\), got the shape \(3, 8, 32, 3\)",
        ),
        ({"image_dtype": "int8"}, "'int8'; allowed are float32 and uint8"),
        ({"top_k": 0}, "top_k: wanted an integer of at least 1, got 0"),
        ({"class_names": ["cat"]}, "1 class names for 10 classes"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path, options, message):
    need("litert")
    with pytest.raises(ValueError, match=message):
        keras_nasnet.export(classifier(), tmp_path / "exported", **options)
    assert not list(tmp_path.iterdir())


def test_logits_are_refused(tmp_path):
    need()
    with pytest.raises(ValueError, match="outputs are probabilities"):
        keras_nasnet.export(classifier(classifier_activation=None), tmp_path / "exported")


@pytest.mark.parametrize("name", FORMATS)
def test_a_missing_runtime_is_named(monkeypatch, tmp_path, name):
    model = classifier()
    monkeypatch.setitem(sys.modules, FORMATS[name].RUNTIME, None)
    with pytest.raises(ValueError, match=rf"pip install 'keras_nasnet\[{FORMATS[name].EXTRA}\]'"):
        keras_nasnet.export(model, tmp_path / "exported", name)


@pytest.mark.parametrize("name", ["tf_saved_model", "onnx"])
def test_what_differs_from_the_model_is_removed(monkeypatch, tmp_path, name):
    """Nothing stays at the target, and what was there before stays."""
    need(name)
    path, model = tmp_path / "exported", classifier()
    monkeypatch.setattr(FORMATS[name], "load", lambda path: Constant(np.eye(10)[:2]))
    with pytest.raises(ValueError, match="differs from the model by"):
        keras_nasnet.export(model, path, name)
    assert not list(tmp_path.iterdir())
    monkeypatch.undo()
    keras_nasnet.export(model, path, name)
    monkeypatch.setattr(FORMATS[name], "load", lambda path: Constant(np.full((2, 10), np.nan)))
    with pytest.raises(ValueError, match="gives NaN .* beyond the range of float32"):
        keras_nasnet.export(model, path, name, overwrite=True)
    assert [path] == list(tmp_path.iterdir())
    monkeypatch.undo()
    assert relative_difference(FORMATS[name].load(path)(IMAGES), probabilities(model)) < 1e-5


@pytest.mark.parametrize("name", ["tf_saved_model", "onnx"])
def test_what_is_there_is_replaced_only_when_told(tmp_path, name):
    need(name)
    path = tmp_path / "exported"
    keras_nasnet.export(classifier(), path, name)
    other = randomize(one_block(), seed=1)
    with pytest.raises(FileExistsError, match="already exists"):
        keras_nasnet.export(other, path, name)
    keras_nasnet.export(other, path, name, overwrite=True)
    assert relative_difference(FORMATS[name].load(path)(IMAGES), probabilities(other)) < 1e-5
    assert [path] == list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["tf_saved_model", "onnx"])
def test_a_folder_of_something_else_is_never_replaced(tmp_path, name):
    need(name)
    (tmp_path / "photos").mkdir()
    with pytest.raises(ValueError, match="photos is not an export as"):
        keras_nasnet.export(classifier(), tmp_path / "photos", name, overwrite=True)


def test_a_kill_leaves_nothing_at_the_target(tmp_path):
    need(name := "tf_saved_model")
    code = f"""
import os, signal
import keras_nasnet
from support.networks import one_block
from keras_nasnet.inference.formats import FORMATS
FORMATS[{name!r}].load = lambda path: os.kill(os.getpid(), signal.SIGKILL)
keras_nasnet.export(one_block(), {str(tmp_path / "exported")!r}, {name!r})
"""
    paths = os.pathsep.join([TESTS, *sys.path])
    process = subprocess.run([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths})
    assert process.returncode == -9
    assert [path.name.startswith(".") for path in tmp_path.iterdir()] == [True]


def test_export_of_a_run(capsys, tmp_path):
    """Class names and normalization come from the run's settings."""
    need("onnx")
    model = classifier()
    run = tmp_path / "run"
    run.mkdir()
    model.save(run / "model.keras")
    normalization = ([0.1, 0.2, 0.3], [0.5, 0.6, 0.7])
    settings = {"class_names": NAMES, "size": [32, 32], "normalization": normalization}
    (run / "config.json").write_text(json.dumps(settings))
    arguments = ["export", str(run), str(tmp_path / "model.onnx"), "--format", "onnx"]
    assert cli.main(arguments) == 0
    assert capsys.readouterr().out.endswith("model.onnx\n")
    wanted = probabilities(model, normalization)
    assert relative_difference(FORMATS["onnx"].load(tmp_path / "model.onnx")(IMAGES), wanted) < 1e-5
    assert cli.main(arguments) == 2
    assert "--force replaces it" in capsys.readouterr().err
    assert cli.main([*arguments, "--force", "--no-fuse", "--image-dtype", "uint8"]) == 0


@pytest.mark.parametrize("command", ["export", "benchmark"])
def test_unreadable_images_are_left_out_of_those_that_are_measured(
    monkeypatch, caplog, tmp_path, command
):
    need("litert")
    given = []

    def export(*arguments, representative_data, **options):
        given.append(representative_data)

    def measured(*arguments, images, representative_data, **options):
        given.extend([representative_data, images])
        yield Route(KERAS, "float32"), []

    monkeypatch.setattr(exporter, "export", export)
    monkeypatch.setattr(benchmark, "benchmark", measured)
    classifier().save(tmp_path / "model.keras")
    write_folder(tmp_path / "data", ["cat", "dog"], 10)
    for i in (0, 5, 6):
        (tmp_path / "data" / "dog" / f"{i}.jpg").write_bytes(b"text")
    arguments = [command, str(tmp_path / "model.keras"), "--data", str(tmp_path / "data")]
    if command == "export":
        arguments += [str(tmp_path / "out"), "--format", "litert", "--precision", "int8"]
    assert cli.main(arguments) == 0
    assert sum(map(len, given)) == (17 if command == "benchmark" else 16 - len(caplog.messages))
    assert all("dog" in message and "skipped" in message for message in caplog.messages)
    assert len({*caplog.messages}) == len(caplog.messages) >= 1
