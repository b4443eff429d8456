"""
Serve it
========

From a network to answers over HTTP: a SavedModel that decodes photographs itself, and a server
that takes TensorFlow Serving's requests. In a terminal::

    keras-nasnet export run models/flowers/1
    python examples/serving/server.py models/flowers/1
    python examples/serving/client.py photo.jpg
"""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_sample_images

import keras_nasnet

GENOTYPE = keras_nasnet.NASNET_A  # smoke: keras_nasnet.search.SearchSpace(1).decode([0] * 10)

folder = Path("serve")

# %%
# Export
# ------
# The network is fused for inference, and what was exported is run and compared with it before it
# is moved into place. This one is small, and its weights are random: a run of yours, or
# `NASNetMobile()`, is exported alike.

model = keras_nasnet.NASNet(GENOTYPE, 1, 192, input_shape=(64, 64, 3), classes=2, name="flowers")
path = keras_nasnet.export(model, folder / "flowers" / "1", class_names=["palace", "flower"])
print(*sorted(str(each.relative_to(path)) for each in path.rglob("*.*")), sep="\n")

# %%
# The folder is all that a server needs; it has nothing of Keras in it. `serving_bytes` takes files
# as they are:

for name, picture in zip(("palace", "flower"), load_sample_images().images, strict=True):
    Image.fromarray(picture).save(folder / f"{name}.jpg")
photographs = [(folder / f"{name}.jpg").read_bytes() for name in ("palace", "flower")]

classify = tf.saved_model.load(path).signatures["serving_bytes"]
outputs = classify(image_bytes=tf.constant(photographs))
print(outputs["classes"].numpy(), outputs["scores"].numpy().round(3), sep="\n")

# %%
# Over HTTP
# ---------
# The repository's example server takes TensorFlow Serving's requests. Here it runs beside this
# page; a client needs only the standard library.

with socket.create_server(("127.0.0.1", 0)) as free:
    port = free.getsockname()[1]
server = subprocess.Popen(
    [sys.executable, "../../examples/serving/server.py", str(path), "--port", str(port)],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
)


def ask(files):
    """The server's predictions for files, once it is up."""
    instances = [{"image_bytes": {"b64": base64.b64encode(file).decode()}} for file in files]
    body = {"signature_name": "serving_bytes", "instances": instances}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/models/nasnet:predict",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["predictions"]


while server.poll() is None:
    try:
        print(*ask(photographs), sep="\n")
        break
    except urllib.error.URLError:  # not up yet
        time.sleep(0.5)

# %%
# What is not a photograph gets status 400 and the reason; the server goes on.

try:
    ask([b"not a photograph"])
except urllib.error.HTTPError as error:
    print(error.code, error.read().decode())
print(*ask(photographs[:1]), sep="\n")

# %%

os.killpg(server.pid, signal.SIGKILL)  # with its workers
