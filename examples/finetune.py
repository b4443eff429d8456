"""Fine-tunes a pretrained NASNet on a folder of images, with Keras's own `fit`.

    python examples/finetune.py photos/                         # downloads ImageNet weights
    python examples/finetune.py photos/ --weights my.weights.h5

The folder has one subfolder of images per class. The steps are those of `keras-nasnet train`: look
at the data, start from a linear classifier on the frozen network, train all of it, keep what
validates best.
"""

import argparse

import keras

from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.data import open_data
from keras_nasnet.training import (
    Job,
    choose,
    compile_model,
    fit_linear_head,
    make_batches,
    make_model,
    recipe,
)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", help="folder with one subfolder of images per class")
    parser.add_argument("--weights", default="imagenet", help="default: %(default)s")
    parser.add_argument("--size", type=int, default=224, help="image size; default: %(default)s")
    parser.add_argument("--epochs", type=int, help="default: by the number of images")
    parser.add_argument("--out", default="finetuned.keras", help="default: %(default)s")
    options = parser.parse_args()

    size = (options.size, options.size)
    given = {} if options.epochs is None else {"epochs": options.epochs}
    settings = recipe("finetune", **given)
    data = open_data(options.folder)
    job = Job(MODELS["NASNetMobile"], settings, options.folder, size, weights=options.weights)
    job = choose(job, data, given)
    for name, reason in job.choices.items():
        print(f"{name} {getattr(job.recipe, name)}: {reason}")

    training, _ = data
    keras.utils.set_random_seed(job.seed)
    batches, held_out = make_batches(job, data)
    epochs = job.recipe.epochs
    model = make_model(job, len(training.class_names), epochs * len(batches))
    compile_model(model, job.recipe, len(batches))
    fit_linear_head(model, training, held_out, job.recipe.augmentation)
    linear = model.evaluate(held_out, return_dict=True)
    print(f"a linear classifier on the frozen network: {linear['accuracy']:.2%}", flush=True)
    model.save(options.out)
    by = job.recipe.best_by  # loss where there are few images to validate with
    if by == "last":  # a handful of images finds the best epoch by chance
        callbacks = [keras.callbacks.ModelCheckpoint(options.out)]
    else:
        watched = {"monitor": f"val_{by}", "mode": "min" if by == "loss" else "max"}
        best = keras.callbacks.ModelCheckpoint(
            options.out, save_best_only=True, initial_value_threshold=linear[by], **watched
        )
        patience = job.recipe.patience or epochs
        stop = keras.callbacks.EarlyStopping(patience=patience, baseline=linear[by], **watched)
        callbacks = [best, stop]
    if job.recipe.ema_momentum:  # averaged weights are what is validated and saved
        callbacks.insert(0, keras.callbacks.SwapEMAWeights(swap_on_epoch=True))
    model.fit(
        batches.stream(),  # shuffled anew in each epoch
        shuffle=False,
        steps_per_epoch=len(batches),
        epochs=epochs,
        validation_data=held_out,
        callbacks=callbacks,
    )
    print(f"saved {options.out}")


if __name__ == "__main__":
    main()
