"""
Bring weights
=============

Weights come in many files: HDF5 in several layouts, TensorFlow checkpoints, safetensors, state
dicts of PyTorch. `weights=` takes them all, recognises each by its content, and checks the whole
file before it changes a variable. This page converts one, breaks it, and fits it to other images
and classes.
"""

from pathlib import Path

import keras
import numpy as np

import keras_nasnet
from keras_nasnet.cells import network_of
from keras_nasnet.weights import FORMATS, convert

folder = Path("bring_weights")
folder.mkdir()

# %%
# A network with weights, in Keras's own format. It is small, so that this page is built quickly;
# everything below is the same for NASNetLarge.

network = network_of(keras_nasnet.NASNET_A, num_cells=1, penultimate_filters=192)
settings = {"num_cells": 1, "penultimate_filters": 192, "input_shape": (64, 64, 3)}
model = keras_nasnet.NASNet(keras_nasnet.NASNET_A, **settings)
model.save_weights(folder / "mine.weights.h5")

# %%
# Convert
# -------
# A card is written beside the new file: where the weights come from, under which licence. In a
# terminal this is `keras-nasnet convert mine.weights.h5 mine.safetensors`, with `--model` and its
# numbers for a network that is not published.

convert(folder / "mine.weights.h5", folder / "mine.safetensors", network, licence="CC0-1.0")
print((folder / "mine.safetensors.md").read_text())

# %%
# Load
# ----
# The same network, and the same numbers.

loaded = keras_nasnet.NASNet(keras_nasnet.NASNET_A, weights=folder / "mine.safetensors", **settings)
image = np.random.default_rng(0).uniform(-1, 1, (1, 64, 64, 3)).astype("float32")
print("difference:", float(keras.ops.max(keras.ops.abs(loaded(image) - model(image)))))

# %%
# Damage
# ------
# A file that is cut off, or of another network, is refused with the reason; the model stays as it
# was. `file_hash=` refuses a file with even one other bit.

whole = (folder / "mine.safetensors").read_bytes()
(folder / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
try:
    keras_nasnet.load_weights(loaded, folder / "cut.safetensors")
except ValueError as error:
    print(error)

larger = keras_nasnet.NASNet(keras_nasnet.NASNET_A, **settings | {"penultimate_filters": 384})
try:
    keras_nasnet.load_weights(larger, folder / "mine.safetensors")
except ValueError as error:
    print(error)

# %%
# Other channels, other classes
# -----------------------------
# For one channel the kernel of the stem is summed over colours; for more it is repeated and
# scaled. With other `classes` the classifier is new, and everything else is loaded.

grey = keras_nasnet.NASNet(
    keras_nasnet.NASNET_A,
    weights=folder / "mine.safetensors",
    classes=5,
    **settings | {"input_shape": (64, 64, 1)},
)
print(grey.input_shape, grey.output_shape)

# %%
# Which files
# -----------
# `keras-nasnet list` also prints what is published, with addresses, sizes and licences. Without
# internet access, set `KERAS_NASNET_MIRROR` to a mirror of keras.applications' files.

for each in FORMATS:
    print(f"{each.title}: {each.takes}")
