"""Fine-tunes a pretrained NASNet on a folder of images, with Keras's own `fit`.

    python examples/finetune.py photos/                         # ImageNet's weights, downloaded
    python examples/finetune.py photos/ --weights my.weights.h5

The folder has a folder of images for each class. First the new classifier is trained on the frozen
network, then everything with a small learning rate.
"""

import argparse

import keras

import keras_nasnet
from keras_nasnet.batches import Batches
from keras_nasnet.data import open_data


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="with a folder of images for each class")
    parser.add_argument("--weights", default="imagenet", help="default: %(default)s")
    parser.add_argument("--size", type=int, default=224, help="default: %(default)s")
    parser.add_argument("--epochs", type=int, default=3, help="of each of the two phases")
    parser.add_argument("--out", default="finetuned.keras", help="default: %(default)s")
    options = parser.parse_args()

    training, validation = open_data(options.folder)
    size = (options.size, options.size)
    batches = Batches(training, size, seed=0)
    held_out = Batches(validation, size)

    backbone = keras_nasnet.NASNetMobile(
        input_shape=(*size, 3), include_top=False, weights=options.weights, pooling="avg"
    )
    classifier = keras.layers.Dense(len(training.class_names), activation="softmax")
    model = keras.Sequential([backbone, classifier])

    for trainable, learning_rate in ((False, 1e-3), (True, 1e-4)):
        backbone.trainable = trainable
        model.compile(
            keras.optimizers.Adam(learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        print("everything" if trainable else "the new classifier alone", flush=True)
        model.fit(batches, epochs=options.epochs, validation_data=held_out)

    model.save(options.out)
    print(f"saved {options.out}")


if __name__ == "__main__":
    main()
