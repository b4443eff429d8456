"""
Fine-tune on your photographs
=============================

From a folder with one subfolder of images for each class to a classifier, and to a page that says
how good it is. In a terminal, with ImageNet's weights::

    keras-nasnet train --data photos --model NASNetMobile --weights imagenet --out run

This page does the same in Python. It is built without the network, so it first makes weights to
start from: a small NASNet learns to tell the handwritten digits 0 to 4 apart. The "photographs"
are digits 5 to 9, which it has never seen.
"""

from pathlib import Path

import matplotlib.pyplot as plt
from PIL import Image
from sklearn.datasets import load_digits

import keras_nasnet
from keras_nasnet.cells import network_of
from keras_nasnet.data import open_data
from keras_nasnet.inference import Classifier, report_run
from keras_nasnet.training import Job, choose, recipe, train

GENOTYPE = keras_nasnet.NASNET_A  # smoke: keras_nasnet.search.SearchSpace(1).decode([0] * 10)
PRETRAINING_EPOCHS = 12  # smoke: 1
IMAGES = 20  # smoke: 6
GIVEN = {"augmentation": ("pad_crop",)}  # smoke: {"augmentation": (), "epochs": 1}

folder = Path("finetune")
digits = load_digits()


def write_photographs(place, classes, count):
    """Writes `count` images of each class as PNG files of 32 x 32 pixels."""
    for name in classes:
        (place / str(name)).mkdir(parents=True)
        images = digits.images[digits.target == name][:count] * (255 / 16)
        for index, image in enumerate(images):
            picture = Image.fromarray(image.astype("uint8")).resize((32, 32))
            picture.save(place / str(name) / f"{index}.png")


# %%
# Weights to start from
# ---------------------
# Take ImageNet's instead: `weights="imagenet"`, with `MODELS["NASNetMobile"]` and images of 224 x
# 224.

write_photographs(folder / "before", range(5), 150)
network = network_of(GENOTYPE, "cifar", num_cells=1, penultimate_filters=192)
settings = recipe(
    "search-child", epochs=PRETRAINING_EPOCHS, batch_size=32, learning_rate=0.1, augmentation=()
)
before = Job(network, settings, str(folder / "before"), (32, 32))
pretrained = train(before, open_data(before.data), folder / "pretraining", verbose=2)
pretrained.save_weights(folder / "pretrained.weights.h5")

# %%
# The photographs
# ---------------

photographs = folder / "photos"
write_photographs(photographs, range(5, 10), IMAGES)
_, panels = plt.subplots(5, 8, figsize=(6, 4), layout="constrained")
for row, name in zip(panels, sorted(photographs.iterdir()), strict=True):
    for axes, path in zip(row, sorted(name.iterdir()), strict=False):
        axes.imshow(Image.open(path), cmap="gray")
    for axes in row:
        axes.set_axis_off()

# %%
# What is chosen, and why
# -----------------------
# `choose` counts the images, looks at their sizes, and sets what depends on that. What is given
# stays: photographs may be mirrored, digits may not.

data = open_data(str(photographs))
weights = str(folder / "pretrained.weights.h5")
job = Job(network, recipe("finetune", **GIVEN), str(photographs), (32, 32), weights=weights)
job = choose(job, data, given=GIVEN)
for name, reason in job.choices.items():
    print(f"{name} = {getattr(job.recipe, name)}: {reason}")

# %%
# Train
# -----
# It starts from the best linear classifier on the frozen network, and keeps that where training
# does not beat it. Killed, `keras-nasnet train --resume` goes on from the last checkpoint.

train(job, data, folder / "run", verbose=0)

# %%
# The curves, as the run's folder has them:

plt.figure(figsize=(8, 3.2), layout="constrained")
plt.imshow(Image.open(folder / "run" / "curves.png"))
_ = plt.axis("off")

# %%
# How good is it?
# ---------------
# `report_run` writes `report.html`: the accuracy with its interval, confusion, calibration, the
# worst mistakes, and photographs that are nearly the same in training and validation.

evaluation = report_run(folder / "run", data)
low, high = evaluation.interval
print(f"{evaluation.accuracy:.1%} (95% interval: {low:.1%} to {high:.1%})")
for each in evaluation.classes:
    print(each)

# %%
# Use it
# ------
# In a terminal, `keras-nasnet predict run photo.png`.

classifier = Classifier.load(folder / "run")
for path, classes in classifier.classify(sorted(photographs.glob("*/0.png")), top=2):
    print(path.parent.name, *(f"{name}: {score:.0%}" for name, score in classes), sep="  ")
