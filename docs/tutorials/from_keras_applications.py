"""
From keras.applications
=======================

You change the import, and what you had works: the same arguments, the same files, the same
numbers. Then some things work that did not.

This page is built without the network, so the weights are random here. keras.applications saves
them, in a file of its own format, and they are loaded from that. For the published ones write
`weights="imagenet"` in both.
"""

from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

import keras_nasnet
from keras_nasnet.data import load_image

folder = Path("from_keras_applications")
folder.mkdir()

theirs = keras.applications.NASNetMobile(weights=None, classifier_activation=None)
theirs.save_weights(folder / "theirs.weights.h5")

# %%
# The same file, with the import changed. Their pools count padded zeros, which the authors' code,
# with which the published weights were trained, does not; `pool_padding="zeros"` does as they do.

ours = keras_nasnet.NASNetMobile(
    weights=folder / "theirs.weights.h5", classifier_activation=None, pool_padding="zeros"
)

# %%
# Two photographs
# ---------------
# `load_image` crops the middle to the aspect ratio that is wanted, and resizes it.

photographs = np.stack([load_image(image, (224, 224)) for image in load_sample_images().images])
_, panels = plt.subplots(1, 2, figsize=(6, 3), layout="constrained")
for axes, photograph in zip(panels, photographs, strict=True):
    axes.imshow(photograph)
    axes.set_axis_off()

# %%
# The same numbers
# ----------------
# Up to the rounding of float32, as a share of the range of the outputs.

x = keras_nasnet.preprocess_input(photographs)
expected = keras.ops.convert_to_numpy(theirs(x))


def difference(model):
    return np.abs(keras.ops.convert_to_numpy(model(x)) - expected).max() / np.ptp(expected)


print(f"padding as theirs: {difference(ours):.1e}")

# %%
# With the padding of the authors, which is the default, there is a difference that you may see: it
# is theirs to the weights' origin.

authors = keras_nasnet.NASNetMobile(
    weights=folder / "theirs.weights.h5", classifier_activation=None
)
print(f"padding as the authors': {difference(authors):.1e}")

# %%
# Sizes that were refused
# -----------------------

try:
    keras.applications.NASNetMobile(weights="imagenet", input_shape=(192, 256, 3))
except ValueError as error:
    print("keras.applications:", str(error).splitlines()[0])

wide = keras_nasnet.NASNetMobile(
    weights=folder / "theirs.weights.h5", input_shape=(None, None, 3), classifier_activation=None
)
print("keras_nasnet:", wide(x[:, 16:-16]).shape, "from", x[:, 16:-16].shape)

# %%
# Cells in place of layers
# ------------------------
# Each cell is one layer. What was a loop over some of hundreds of layers is one line, which also
# keeps batch normalization in inference mode.

print(len(theirs.layers), "layers in keras.applications,", len(ours.layers), "here:")
print(*(layer.name for layer in ours.layers))
keras_nasnet.unfreeze(ours, "reduction_cell_1")
trainable = sum(int(np.prod(weight.shape)) for weight in ours.trainable_weights)
print(f"{trainable:,} of {ours.count_params():,} parameters are trained")
