"""Fine-tunes a pretrained NASNet on a folder of images, with Keras's own `fit`.

    python examples/finetune.py photos/                         # downloads ImageNet weights
    python examples/finetune.py photos/ --weights my.weights.h5

The folder has one subfolder of images per class. First the new classifier is trained on the frozen
network, then the whole network or part of it with a small learning rate.
"""

import argparse

import keras

import keras_nasnet
from keras_nasnet.data import Batches, open_data


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder with one subfolder of images per class")
    parser.add_argument("--weights", default="imagenet", help="default: %(default)s")
    parser.add_argument("--size", type=int, default=224, help="image size; default: %(default)s")
    parser.add_argument("--epochs", type=int, default=3, help="per phase")
    parser.add_argument(
        "--from-layer", metavar="NAME", help="first layer to train, such as cell_08; default: all"
    )
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

    def fit(learning_rate):
        model.compile(
            keras.optimizers.Adam(learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        model.fit(batches, epochs=options.epochs, validation_data=held_out)

    print("training the new classifier", flush=True)
    backbone.trainable = False
    fit(1e-3)
    print(f"training the network from {options.from_layer or 'its first layer'} on", flush=True)
    keras_nasnet.unfreeze(backbone, options.from_layer)
    fit(1e-4)

    model.save(options.out)
    print(f"saved {options.out}")


if __name__ == "__main__":
    main()
