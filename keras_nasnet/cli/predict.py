"""`keras-nasnet predict`."""

import argparse
import sys

from rich.table import Table

from keras_nasnet.cli.arguments import (
    Commands,
    add_classifier,
    command,
    load_classifier,
)
from keras_nasnet.terminal import console, track


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "predict",
        run,
        "classify images",
        "keras-nasnet predict run photo.jpg another.png",
    )
    add_classifier(parser)
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image file")
    parser.add_argument(
        "--top", type=int, default=5, help="classes per image; default: %(default)s"
    )


def run(options: argparse.Namespace) -> int:
    if options.top < 1:
        raise ValueError(f"--top: wanted at least 1, got {options.top}")
    from keras_nasnet.data.image import UnreadableImageError

    classifier = load_classifier(options)
    table = Table("image", "class")
    table.add_column("probability", justify="right")
    unreadable = []
    results = classifier.classify(options.images, options.top)
    for image, result in track(results, "classifying", len(options.images)):
        if isinstance(result, UnreadableImageError):
            unreadable.append(result)
            continue
        for name, probability in result:
            table.add_row(str(image), name, f"{probability:.1%}")
            image = ""
        if options.top > 1:
            table.add_section()
    if table.rows:
        console.print(table)
    for error in unreadable:
        print(f"keras-nasnet: {error}", file=sys.stderr)
    return 1 if unreadable else 0
