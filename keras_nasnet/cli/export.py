"""`keras-nasnet export`."""

import argparse
import logging

from keras_nasnet.cli.arguments import (
    Commands,
    add_classifier,
    choose_backend,
    command,
    load_classifier,
)
from keras_nasnet.inference.formats import FORMATS
from keras_nasnet.training.job import model_file

NUM_REPRESENTATIVE = 200
PRECISIONS = ("float32", "bfloat16", "float16", "int8")


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "export",
        run,
        "export a model for another runtime and check it there",
        "keras-nasnet export run models/flowers/1 --format tf_saved_model",
    )
    add_classifier(parser)
    parser.add_argument("out", metavar="OUT", help="the folder or file to write")
    parser.add_argument(
        "--format", choices=FORMATS, default="tf_saved_model", help="default: %(default)s"
    )
    parser.add_argument(
        "--precision", choices=PRECISIONS, default="float32", help="default: %(default)s"
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="for int8: digits, tfds:NAME or a folder; calibrates on "
        f"{NUM_REPRESENTATIVE} of its training images",
    )
    parser.add_argument(
        "--image-dtype",
        choices=("float32", "uint8"),
        default="float32",
        help="dtype of the input, 0 to 255; default: %(default)s",
    )
    parser.add_argument(
        "--top", type=int, default=5, help="classes returned per image; default: %(default)s"
    )
    parser.add_argument(
        "--features",
        action="store_true",
        help="also return features, and activation maps of the --top best classes",
    )
    parser.add_argument(
        "--no-fuse", action="store_true", help="export the network without fusing it"
    )
    parser.add_argument("--force", action="store_true", help="replace an existing export at OUT")


def run(options: argparse.Namespace) -> int:
    if options.top < 1:
        raise ValueError(f"--top: wanted at least 1, got {options.top}")
    model_file(options.model)
    choose_backend()
    from keras_nasnet.data.source import open_data
    from keras_nasnet.inference.exporter import check_target, export

    target = {"format": options.format, "precision": options.precision, "fuse": not options.no_fuse}
    check_target(options.out, **target, overwrite=options.force)  # before anything is loaded
    classifier = load_classifier(options)
    images = None
    if options.data is not None:
        images = open_data(options.data)[0].sample(NUM_REPRESENTATIVE, classifier.size)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # logs deprecations
    export(
        classifier.model,
        options.out,
        **target,
        representative_data=images,
        image_dtype=options.image_dtype,
        size=classifier.size,
        class_names=classifier.class_names,
        normalization=classifier.normalization,
        top_k=options.top,
        features=options.features,
        overwrite=options.force,
    )
    print(options.out)
    return 0
