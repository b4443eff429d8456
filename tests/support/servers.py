"""Servers in a thread or a process, and a model that is quick to compute."""

import base64
import contextlib
import io
import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import uvicorn
from PIL import Image

from keras_nasnet.inference.formats.servable import WITH_FEATURES, Runner
from keras_nasnet.serving.app import make_app
from keras_nasnet.serving.limits import Limits
from keras_nasnet.serving.model import ServedModel
from keras_nasnet.serving.server import bound
from support import TESTS

COLORS = ("red", "green", "фрог 🐸")  # of the image's channels


def colors(features=True, before=lambda images: None, names=COLORS):
    """A model that tells the color of an image; `before` is called with each batch."""

    def run(images):
        before(images)
        maps = images.reshape(len(images), 4, 8, 4, 8, 3).mean((2, 4)) / 255
        scores = np.exp(9 * maps.mean((1, 2)))
        outputs = {"probabilities": scores / scores.sum(-1, keepdims=True)}
        if features:
            outputs["features"] = maps.mean((1, 2))
            outputs["activation_classes"] = np.argsort(-scores)[:, :2]
            best = outputs["activation_classes"][:, None, None]
            outputs["activation_maps"] = np.take_along_axis(maps, best, -1)
        return outputs

    outputs = WITH_FEATURES if features else ("probabilities",)
    runner = Runner(run, (32, 32), list(names), "float32", outputs)
    return ServedModel("colors", "onnx", runner, {"network": "none"})


def picture(color, file_format="PNG", size=(32, 32)):
    """A file of one color, by its index in `COLORS`."""
    pixels = np.zeros((*size, 3), "uint8")
    pixels[..., color] = 200
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, file_format)
    return stream.getvalue()


@contextlib.contextmanager
def serving(model, limits=None, **options):
    """A server in a thread; yields its URL."""
    app = make_app(model, limits or Limits(), **options)
    config = uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with bound("127.0.0.1", 0) as held:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [held]})
        thread.start()
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{held.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def command(*arguments, code=None):
    """`keras-nasnet serve`, or a program like it, as a process; yields it and its URL."""
    words = (
        ["-m", "keras_nasnet", "serve", *arguments, "--port", "0"] if code is None else ["-c", code]
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([TESTS, *sys.path])}
    with started([sys.executable, *words], env=environment) as process_and_url:
        yield process_and_url


@contextlib.contextmanager
def started(words, **options):
    """A server as a process; yields it and its URL once it serves."""
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, **options)
    try:
        line = process.stdout.readline()
        assert " at http://" in line, line
        yield process, line.split(" at ")[1].split()[0]
    finally:
        process.kill()
        process.wait()


def as_json(files):
    return json.dumps({"images": [base64.b64encode(file).decode() for file in files]})
