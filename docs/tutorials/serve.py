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
# `keras-nasnet serve` starts within seconds for an export. A client needs only the standard
# library.

with socket.create_server(("127.0.0.1", 0)) as free:
    port = str(free.getsockname()[1])
server = subprocess.Popen(
    [sys.executable, "-m", "keras_nasnet", "serve", str(path), "--port", port],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
)


def ask(files):
    """What the server says of files, once it is up."""
    body = {"images": [base64.b64encode(file).decode() for file in files]}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/predict",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["images"]


while server.poll() is None:
    try:
        print(*ask(photographs), sep="\n")
        break
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError:  # not up yet
        time.sleep(0.5)

# %%
# An image that cannot be read is an error in its own place; the others are answered.

print(*ask([b"not a photograph", photographs[0]]), sep="\n")

# %%
# The page at http://127.0.0.1:8000 takes photographs in a browser. SIGTERM stops the server after
# the answers to what came in.

server.terminate()
print(server.wait())
