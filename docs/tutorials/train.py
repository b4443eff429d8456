"""
Train as the authors did
========================

ScheduledDropPath, the auxiliary head, the learning rate, the augmentation: each setting of the
paper and of the authors' code is in the model or in a recipe. This page trains a small network so,
first with Keras's own `fit`, then with a recipe in a folder that resumes.
"""

from pathlib import Path

import keras
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

import keras_nasnet
from keras_nasnet.cells import network_of
from keras_nasnet.data import open_data
from keras_nasnet.training import RECIPES, Job, recipe, train

GENOTYPE = keras_nasnet.NASNET_A  # smoke: keras_nasnet.search.SearchSpace(1).decode([0] * 10)
TRAINED = 1440  # smoke: 32
EPOCHS = 12  # smoke: 1
CELLS = 2  # smoke: 1

folder = Path("train")

# %%
# With `fit`
# ----------
# The network has one cell in a stage where the authors have six. The drop rate of a path grows
# with the depth of its cell, and over `drop_path_steps`. The loss of the auxiliary head is added
# in training only; labels are one array.

digits = load_digits()
images = keras.ops.image.resize(digits.images[..., None].repeat(3, -1), (32, 32)) / 8 - 1
images, labels = keras.ops.convert_to_numpy(images), digits.target

model = keras_nasnet.NASNet(
    GENOTYPE,
    num_cells=1,
    penultimate_filters=96,
    stem="cifar",
    input_shape=(32, 32, 3),
    classes=10,
    drop_path_rate=0.4,
    drop_path_steps=45,
    auxiliary=True,
)
model.compile(keras.optimizers.SGD(0.05, momentum=0.9), "sparse_categorical_crossentropy")
model.fit(images[:TRAINED], labels[:TRAINED], epochs=1, verbose=2)

# %%
# The step is a weight of the model. It is saved and loaded with it, so a model that is trained on
# goes on with the schedule.

print({weight.path: int(weight) for weight in model.weights if "step" in weight.path})

# %%
# What the schedule is:

steps = np.arange(900)
for cell in (1, 3, 5):
    rates = 0.4 * cell / 5 * np.minimum(1, steps / 600)
    plt.plot(steps, rates, label=f"cell {cell} of 5")
plt.gcf().set_size_inches(6, 3)
plt.xlabel("training step")
plt.ylabel("drop rate")
_ = plt.legend()

# %%
# With a recipe
# -------------
# A recipe is a table of values, each with its source. These are the authors' for CIFAR-10:

for name, choice in list(RECIPES["cifar10"].items())[:12]:
    print(f"{name:20} {choice.value!s:8} {choice.source}")

# %%
# What is changed here, so that it is trained in a minute: fewer epochs, a larger rate, and no
# augmentation that mirrors digits.

settings = recipe(
    "cifar10", epochs=EPOCHS, learning_rate=0.05, augmentation=("pad_crop",), drop_path_rate=0.1
)
network = network_of(GENOTYPE, "cifar", num_cells=CELLS, penultimate_filters=192)
job = Job(network, settings, "digits", (32, 32))
train(job, open_data("digits"), folder / "run", verbose=2)

# %%
# In a terminal, ``keras-nasnet train --data digits --recipe cifar10 --set epochs=12
# learning_rate=0.05 augmentation=pad_crop --num-cells 2 --penultimate-filters 192 --out run``;
# after Ctrl-C or a kill, ``keras-nasnet train --resume run``. The folder holds

print(*sorted(path.name for path in (folder / "run").iterdir()), sep="\n")

# %%
# and the log a row for each epoch:

print((folder / "run" / "log.csv").read_text())
