"""What `evaluate` reports for a network trained from scratch for a few hundred steps.

On scikit-learn's digits at 32 x 32, with Keras's default Adam, batch 32: accuracy on the training
images during the last epoch; on 197 others with `evaluate` along the way; at the end also with the
statistics of their own batch, which shows what the network has learned. Loss before and after.

Compared with keras.applications and a network of Keras layers, in float32 and mixed precision. By
default, Keras compiles training with XLA; that takes minutes, so it is disabled here.

    KERAS_BACKEND=tensorflow python benchmarks/early_validation.py --seeds 0 1
"""

import argparse
import os
from functools import partial

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers
from sklearn.datasets import load_digits

import keras_nasnet

BATCH, NUM_TRAINED = 32, 1600  # 50 steps per epoch
SHOWN = 50, 100, 200, 300
SHAPE, CLASSES = (32, 32, 3), 10


def plain():
    """A network of Keras layers with their defaults."""
    model = keras.Sequential([keras.Input(SHAPE)])
    for filters in (16, 32, 64):
        model.add(layers.Conv2D(filters, 3, strides=2, padding="same"))
        model.add(layers.BatchNormalization())
        model.add(layers.ReLU())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(CLASSES, "softmax", dtype="float32"))
    return model


def small(num_cells, filters):
    """NASNetCIFAR with fewer cells and filters."""
    return keras_nasnet.NASNet(
        keras_nasnet.NASNET_A,
        num_cells,
        24 * filters,
        stem="cifar",
        classes=CLASSES,
        input_shape=SHAPE,
        weights=None,
    )


def mobile(package):
    return package.NASNetMobile(SHAPE, weights=None, classes=CLASSES)


MODELS = {
    "plain": plain,
    "1 @ 192": partial(small, 1, 8),
    "2 @ 192": partial(small, 2, 8),
    "Mobile": partial(mobile, keras_nasnet),
    "keras.applications": partial(mobile, keras.applications),
}


def digits():
    """Images and labels to train on, and held-out ones."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.target))
    images = data.images[order, :, :, None].repeat(3, -1).astype("float32") / 8 - 1
    images = keras.ops.convert_to_numpy(keras.ops.image.resize(images, SHAPE[:2]))
    labels = data.target[order]
    parts = slice(None, NUM_TRAINED), slice(NUM_TRAINED, None)
    return [(images[part], labels[part]) for part in parts]


def measure(make, steps, trained, held_out):
    """The numbers of a row of the table."""
    model = make()
    model.compile(
        "adam", "sparse_categorical_crossentropy", metrics=["accuracy"], jit_compile=False
    )
    untrained, _ = model.evaluate(*held_out, verbose=0)
    history = model.fit(
        *trained,
        batch_size=BATCH,
        epochs=steps * BATCH // NUM_TRAINED,
        validation_data=held_out,
        verbose=0,
    ).history
    loss, _ = model.evaluate(*held_out, verbose=0)
    images, labels = held_out
    by_batch = keras.ops.convert_to_numpy(model(images, training=True)).argmax(-1)
    along = [history["val_accuracy"][shown * BATCH // NUM_TRAINED - 1] for shown in SHOWN]
    return [history["accuracy"][-1], *along, np.mean(by_batch == labels)], [untrained, loss]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=list(MODELS), choices=MODELS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--policies", nargs="+", default=["float32", "mixed_float16"])
    options = parser.parse_args()
    data = digits()
    print(f"{'':34} seed | trained", *(f"{shown:6}" for shown in SHOWN), " batch | loss 0 loss 300")
    for name in options.models:
        for policy in options.policies:
            for seed in options.seeds:
                keras.utils.clear_session()
                keras.config.set_dtype_policy(policy)
                keras.utils.set_random_seed(seed)
                accuracies, losses = measure(MODELS[name], max(SHOWN), *data)
                shares = " ".join(f"{accuracy:6.1%}" for accuracy in accuracies)
                print(
                    f"{name:20}{policy:14} {seed:4} |  {shares} |",
                    *(f"{loss:6.3g}" for loss in losses),
                    flush=True,
                )


if __name__ == "__main__":
    main()
