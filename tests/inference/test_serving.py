"""Exported SavedModels in the hands of programs that know nothing of Keras."""

import io
import subprocess
import sys

import numpy as np
import pytest
from support.networks import one_block, randomize, relative_difference
from support.pictures import BAD, photo

import keras_nasnet
from keras_nasnet.data.image import load_image
from keras_nasnet.inference.formats import servable

tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")

NAMES = [f"class {i}" for i in range(10)]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A model and the path of its SavedModel."""
    model = randomize(one_block())
    path = tmp_path_factory.mktemp("served") / "1"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(servable, "VARIABLE_BYTES", 1000)  # weights of both kinds
        return model, keras_nasnet.export(model, path, class_names=NAMES, top_k=3)


SESSION = """
import sys
sys.modules.update({"keras": None, "keras_nasnet": None})  # an import of these fails
import numpy as np
import tensorflow as tf
path, good, images, *bad = sys.argv[1:]
read = lambda path: open(path, "rb").read()
v1 = tf.compat.v1
with v1.Session(graph=tf.Graph()) as session:
    loaded = v1.saved_model.load(session, ["serve"], path)
    def call(name, **inputs):
        signature = loaded.signature_def[name]
        feed = {signature.inputs[key].name: value for key, value in inputs.items()}
        return session.run({key: x.name for key, x in signature.outputs.items()}, feed)
    arrays = {}
    def keep(name, outputs):
        arrays.update({f"{name}/{key}": value for key, value in outputs.items()})
    keep("image", call("serving_default", image=np.load(images)))
    keep("bytes", call("serving_bytes", image_bytes=[read(good)] * 2))
    for one in bad:
        try:
            call("serving_bytes", image_bytes=[read(good), read(one)])
            print("NO ERROR", one)
        except tf.errors.InvalidArgumentError as error:
            print("ERROR", one)
        keep("after", call("serving_bytes", image_bytes=[read(good)]))
    arrays = {key: x.astype("U") if x.dtype == object else x for key, x in arrays.items()}
    np.savez("outputs.npz", **arrays)
"""


def test_both_signatures_in_a_session_without_keras(exported, tmp_path):
    """Also: what is no image fails alone, and the next request is answered."""
    model, path = exported
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    np.save(tmp_path / "images.npy", images)
    (tmp_path / "good").write_bytes(photo())
    for name, data in BAD.items():
        (tmp_path / name).write_bytes(data)
    result = subprocess.run(
        [sys.executable, "-c", SESSION, path, "good", "images.npy", *BAD],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [f"ERROR {name}" for name in BAD]
    outputs = np.load(tmp_path / "outputs.npz")

    wanted = model(images / 127.5 - 1).numpy()
    assert relative_difference(outputs["image/probabilities"], wanted) < 1e-5
    best = np.argsort(-wanted)[:, :3]
    assert outputs["image/classes"].tolist() == np.array(NAMES)[best].tolist()
    np.testing.assert_allclose(outputs["image/scores"], -np.sort(-wanted)[:, :3], rtol=1e-4)
    assert outputs["bytes/classes"].tolist() == outputs["after/classes"].tolist() * 2
    np.testing.assert_allclose(
        outputs["bytes/probabilities"][:1], outputs["after/probabilities"], rtol=1e-4
    )


@pytest.mark.parametrize(
    "file",
    [
        photo(),
        photo((20, 90)),
        photo(mode="L"),
        photo((90, 64), file_format="PNG"),
        photo(mode="RGBA", file_format="PNG"),
        photo(mode="LA", file_format="PNG"),
    ],
)
def test_bytes_are_read_as_predict_reads_them(exported, file):
    """The same crop, the same antialiasing, transparent parts white."""
    model, path = exported
    served = tf.saved_model.load(str(path)).signatures["serving_bytes"]
    got = served(image_bytes=tf.constant([file]))["probabilities"].numpy()
    pixels = load_image(io.BytesIO(file), (32, 32))[None]
    wanted = model(pixels / 127.5 - 1).numpy()
    # A pixel or two in a hundred is rounded otherwise.
    assert relative_difference(got, wanted) < 5e-3


@pytest.mark.parametrize("shape", [(8, 32, 32, 1), (8, 16, 32, 3), (8, 32, 32), (32, 32, 3), ()])
def test_images_of_another_shape_are_refused(exported, shape):
    """By the graph: neither `tf.saved_model.load` nor TensorFlow Serving looks at shapes."""
    served = tf.saved_model.load(str(exported[1])).signatures["serving_default"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not compatible.*\[\?,32,32,3\]"):
        served(image=tf.zeros(shape))
    assert served(image=tf.zeros((8, 32, 32, 3)))["probabilities"].shape == (8, 10)


@pytest.mark.parametrize("shape", [(), (2, 1)])
def test_bytes_of_another_shape_are_refused(exported, shape):
    served = tf.saved_model.load(str(exported[1])).signatures["serving_bytes"]
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"not compatible.*\[\?\]"):
        served(image_bytes=tf.fill(shape, photo()))


def test_openvino_converts_the_folder(exported):
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    model, path = exported
    compiled = openvino.compile_model(
        openvino.convert_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3)).astype("float32")
    wanted = model(images / 127.5 - 1).numpy()
    assert relative_difference(compiled(images)["probabilities"], wanted) < 1e-4
    assert compiled(images)["classes"][:, 0].tolist() == [NAMES[i] for i in wanted.argmax(-1)]
