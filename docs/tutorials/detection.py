"""
Detection
=========

A network that tells classes apart has features that find things: in the paper, those of NASNet
made the best detector of their time. This page does that in small: a NASNet learns to tell
handwritten digits apart, then KerasHub's RetinaNet finds them in scenes. `examples/detect.py` in
the repository trains longer, and measures the mean average precision.
"""

import keras
import matplotlib.pyplot as plt
import numpy as np
from keras_hub.layers import AnchorGenerator, NonMaxSuppression
from keras_hub.models import RetinaNetBackbone, RetinaNetObjectDetector
from matplotlib.patches import Rectangle
from PIL import Image
from sklearn.datasets import load_digits

import keras_nasnet

GENOTYPE = keras_nasnet.NASNET_A  # smoke: keras_nasnet.search.SearchSpace(1).decode([0] * 10)
SCENES = 1200  # smoke: 8
SINGLE = 1500  # smoke: 32
CLASSIFIER_EPOCHS = 6  # smoke: 1
EPOCHS = 4  # smoke: 1

SIZE, SIDE = 96, 40
rng = np.random.default_rng(0)

# %%
# Scenes
# ------
# One to four digits, each in its quarter of the image, with a box and a class; -1 where there is
# none. The last digits are kept for scenes that are never trained on.

digits = load_digits()
pictures = [
    np.asarray(Image.fromarray((image * 255 / 16).astype("uint8")).resize((SIDE, SIDE))) / 127.5
    for image in digits.images
]


def scenes(count, indices):
    """Images from -1 to 1, and their boxes (left, top, right, bottom) and classes."""
    images = np.zeros((count, SIZE, SIZE, 3), "float32")
    boxes = np.full((count, 4, 4), -1, "float32")
    labels = np.full((count, 4), -1, "float32")
    for scene in range(count):
        for index, quarter in enumerate(rng.permutation(4)[: rng.integers(1, 5)]):
            digit = rng.choice(indices)
            x, y = np.array([quarter % 2, quarter // 2]) * SIZE // 2 + rng.integers(0, 8, 2)
            images[scene, y : y + SIDE, x : x + SIDE] = pictures[digit][..., None]
            boxes[scene, index] = x + 5, y, x + SIDE - 5, y + SIDE
            labels[scene, index] = digits.target[digit]
    return images - 1, {"boxes": boxes, "labels": labels}


training, wanted = scenes(SCENES, np.arange(1500))
test, _ = scenes(8, np.arange(1500, len(pictures)))


def draw(images, boxes, labels):
    """Scenes with boxes and classes."""
    _, panels = plt.subplots(2, 4, figsize=(8, 4), layout="constrained")
    for axes, image, some, names in zip(panels.flat, images, boxes, labels, strict=False):
        axes.imshow(image / 2 + 0.5)
        axes.set_axis_off()
        for box, name in zip(some, names, strict=True):
            if name >= 0:
                axes.add_patch(Rectangle(box[:2], *(box[2:] - box[:2]), fill=False, color="C1"))
                axes.text(*box[:2], f"{name:.0f}", color="C1", va="bottom")


draw(training, wanted["boxes"], wanted["labels"])

# %%
# A classifier
# ------------
# It sees single digits at the size that they have in scenes.

crops = np.stack(pictures[:SINGLE])[..., None].repeat(3, -1).astype("float32") - 1
network = {"num_cells": 1, "penultimate_filters": 384}
classifier = keras_nasnet.NASNet(GENOTYPE, classes=10, input_shape=crops.shape[1:], **network)
classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
classifier.fit(crops, digits.target[:SINGLE], epochs=CLASSIFIER_EPOCHS, verbose=2)

# %%
# Its backbone, for any size
# --------------------------
# The same weights without the classifier. `pyramid_outputs` are the feature maps at each
# resolution, which KerasHub's detectors and segmenters take.

backbone = keras_nasnet.NASNet(GENOTYPE, include_top=False, **network)
backbone.set_weights(classifier.get_weights()[: len(backbone.weights)])
print({name: tuple(each.shape) for name, each in backbone.pyramid_outputs.items()})

# %%
# The detector
# ------------
# At first nothing is a digit, and boxes are their anchors (Lin et al. 2017, section 4.1); KerasHub
# 0.32 gives one head's bias to the other.

detector = RetinaNetObjectDetector(
    RetinaNetBackbone(backbone, 3, 5, use_p5=False, image_shape=(SIZE, SIZE, 3)),
    num_classes=10,
    bounding_box_format="xyxy",
    anchor_generator=AnchorGenerator(
        "xyxy", 3, 5, num_scales=2, aspect_ratios=[1.0, 1.6], anchor_size=3
    ),
    pre_logits_num_conv_layers=1,
    prediction_decoder=NonMaxSuppression(
        "xyxy", from_logits=True, confidence_threshold=0.5, max_detections=20
    ),
)
for head, value in ((detector.classification_head, -np.log(99)), (detector.box_head, 0.0)):
    bias = head.prediction_layer.bias
    bias.assign(np.full(bias.shape, value))

steps = SCENES // 8 * EPOCHS
rate = keras.optimizers.schedules.CosineDecay(0.0, steps, warmup_target=1e-3, warmup_steps=50)
detector.compile(
    keras.optimizers.Adam(rate, clipnorm=1.0),
    box_loss=keras.losses.MeanAbsoluteError(reduction="sum"),
    jit_compile=False,
)
detector.fit(training, wanted, batch_size=8, epochs=EPOCHS, verbose=2)

# %%
# What it finds
# -------------
# In scenes of digits that it has never seen, what it is at least half sure of.

found = detector.predict(test, verbose=0)
draw(test, np.clip(found["boxes"], 0, SIZE), found["labels"])
