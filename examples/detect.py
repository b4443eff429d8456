"""Finds handwritten digits in scenes: KerasHub's RetinaNet on a small NASNet.

The NASNet first learns to classify digits, then to find them: its features are transferred
to detection, as those from ImageNet in section 4.3 of the paper.

    pip install 'keras_nasnet[tensorflow,detection]'
    python examples/detect.py --out detect.png

Scenes are composed of scikit-learn's digits; test scenes use digits never trained on.
"""

import argparse
import sys
import time

import keras
import numpy as np
from keras_hub.layers import AnchorGenerator, NonMaxSuppression
from keras_hub.models import RetinaNetBackbone, RetinaNetObjectDetector
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import average_precision_score

import keras_nasnet

SIZE = 96
QUARTER = SIZE // 2  # each digit lies within one, so that digits do not overlap
NETWORK = {"num_cells": 1, "penultimate_filters": 384}
MAX_DIGITS = 4
OVERLAP = 0.5  # IoU of a detected box with a true one
SCORE = 0.5  # minimum for a detection to be drawn and counted as found


def scenes(count, digits, labels, rng):
    """Images `(count, SIZE, SIZE, 3)` from -1 to 1, and `boxes` (xyxy) and `labels`; -1: none."""
    images = np.zeros((count, SIZE, SIZE), "float32")
    boxes = np.full((count, MAX_DIGITS, 4), -1, "float32")
    classes = np.full((count, MAX_DIGITS), -1, "float32")
    corners = [(x, y) for x in (0, QUARTER) for y in (0, QUARTER)]
    for scene in range(count):
        places = rng.permutation(4)[: rng.integers(1, MAX_DIGITS + 1)]
        for index, place in enumerate(places):
            digit = rng.integers(len(digits))
            side = rng.integers(28, QUARTER + 1)
            x, y = corners[place] + rng.integers(0, QUARTER - side + 1, 2)
            pixels = Image.fromarray(digits[digit]).resize((side, side), Image.BILINEAR)
            pixels = np.asarray(pixels) / 255
            images[scene, y : y + side, x : x + side] = pixels
            rows, columns = (np.flatnonzero(pixels.max(axis) > 0.2) for axis in (1, 0))
            boxes[scene, index] = (
                *(x + columns[0], y + rows[0]),
                *(x + columns[-1] + 1, y + rows[-1] + 1),
            )
            classes[scene, index] = labels[digit]
    images += rng.normal(0, 0.05, images.shape)
    images = np.clip(images, 0, 1)[..., None].repeat(3, -1) * 2 - 1
    return images.astype("float32"), {"boxes": boxes, "labels": classes}


def quarters(images, targets):
    """The quarters of scenes that have a digit, `(number, QUARTER, QUARTER, 3)`, and the digits."""
    scene, index = np.nonzero(targets["labels"] >= 0)
    corners = targets["boxes"][scene, index, :2].astype(int) // QUARTER * QUARTER
    cut = [
        images[i, y : y + QUARTER, x : x + QUARTER]
        for i, (x, y) in zip(scene, corners, strict=True)
    ]
    return np.stack(cut), targets["labels"][scene, index]


def pretrained(images, labels):
    """A network without top, with the weights of a classifier of single digits."""
    classifier = keras_nasnet.NASNet(
        keras_nasnet.NASNET_A, classes=10, input_shape=images.shape[1:], **NETWORK
    )
    classifier.compile(
        keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    classifier.fit(images, labels, batch_size=32, epochs=6, verbose=2)
    backbone = keras_nasnet.NASNet(keras_nasnet.NASNET_A, include_top=False, **NETWORK)
    backbone.set_weights(classifier.get_weights()[: len(backbone.weights)])
    return backbone


def detector(backbone):
    anchors = AnchorGenerator("xyxy", 3, 5, num_scales=2, aspect_ratios=[1.0, 1.6], anchor_size=3)
    model = RetinaNetObjectDetector(
        RetinaNetBackbone(backbone, 3, 5, use_p5=False, image_shape=(SIZE, SIZE, 3)),
        num_classes=10,
        bounding_box_format="xyxy",
        anchor_generator=anchors,
        pre_logits_num_conv_layers=1,
        prediction_decoder=NonMaxSuppression(
            "xyxy", from_logits=True, confidence_threshold=0.05, max_detections=20
        ),
    )
    # Initially nothing is a digit (Lin et al. 2017, section 4.1), and boxes equal their anchors;
    # KerasHub 0.32 gives one head's bias to the other.
    biases = [head.prediction_layer.bias for head in (model.classification_head, model.box_head)]
    for bias, value in zip(biases, (-np.log(99), 0.0), strict=True):
        bias.assign(np.full(bias.shape, value))
    return model


def matches(found, wanted):
    """For each detection of a class, best first: its scene, score, and whether it is correct.

    Each true box counts once.
    """
    for label in range(10):
        rows = []
        for scene, (boxes, classes) in enumerate(
            zip(wanted["boxes"], wanted["labels"], strict=True)
        ):
            free = list(boxes[classes == label])
            chosen = found["labels"][scene] == label
            scores = found["confidence"][scene][chosen]
            candidates = found["boxes"][scene][chosen]
            for index in np.argsort(-scores):
                overlaps = [overlap(candidates[index], box) for box in free]
                right = bool(overlaps) and max(overlaps) >= OVERLAP
                if right:
                    free.pop(int(np.argmax(overlaps)))
                rows.append((scores[index], right))
        yield np.array(rows).reshape(-1, 2), int((wanted["labels"] == label).sum())


def overlap(box, other):
    """Intersection over union of two boxes."""
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    common = np.prod(np.maximum(sides, 0))
    return common / (np.prod(box[2:] - box[:2]) + np.prod(other[2:] - other[:2]) - common)


def evaluate(found, wanted):
    """Mean average precision over the classes, and the share of digits found."""
    precisions, right, total = [], 0, 0
    for rows, count in matches(found, wanted):
        is_right = rows[:, 1] > 0
        # scikit-learn sees only digits with a detection; the others were not recalled.
        recalled = is_right.sum() / count
        precision = average_precision_score(is_right, rows[:, 0]) if is_right.any() else 0.0
        precisions.append(precision * recalled)
        right += (is_right & (rows[:, 0] >= SCORE)).sum()
        total += count
    return np.mean(precisions), right / total


def draw(path, images, found):
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure((12, 6), layout="constrained")
    for index, axes in enumerate(figure.subplots(2, 4).flat):
        axes.imshow(images[index] / 2 + 0.5)
        axes.set_axis_off()
        for box, label, score in zip(
            *(found[key][index] for key in ("boxes", "labels", "confidence")), strict=True
        ):
            if score >= SCORE:
                box = np.clip(box, 0, SIZE)
                sides = box[2:] - box[:2]
                axes.add_patch(Rectangle(box[:2], *sides, fill=False, color="tab:orange"))
                axes.text(*box[:2], f"{label:.0f}  {score:.0%}", color="tab:orange", va="bottom")
    figure.savefig(path, dpi=80)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scenes", type=int, default=1200, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=4, help="default: %(default)s")
    parser.add_argument("--out", default="detect.png", help="default: %(default)s")
    options = parser.parse_args()

    start = time.monotonic()
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    data = load_digits()
    digits = (data.images * 255 / 16).astype("uint8")
    training = scenes(options.scenes, digits[:1500], data.target[:1500], rng)
    test, wanted = scenes(200, digits[1500:], data.target[1500:], rng)

    model = detector(pretrained(*quarters(*training)))
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, options.scenes // 8 * options.epochs, warmup_target=1e-3, warmup_steps=50
    )
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0),
        box_loss=keras.losses.MeanAbsoluteError(reduction="sum"),
        jit_compile=False,
    )
    model.fit(*training, batch_size=8, epochs=options.epochs, verbose=2)

    found = model.predict(test, batch_size=20, verbose=0)
    precision, share = evaluate(found, wanted)
    draw(options.out, test, found)
    print(
        f"mAP at an overlap of {OVERLAP}: {precision:.3f}; {share:.1%} of the digits found; "
        f"{time.monotonic() - start:.0f} s; image in {options.out}"
    )
    return 0 if share > 0.5 else 1


if __name__ == "__main__":
    sys.exit(main())
