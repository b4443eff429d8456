"""`keras-nasnet convert`."""

import argparse
from math import prod
from pathlib import Path

from rich.table import Table

from keras_nasnet.atomic import check_place
from keras_nasnet.cli.arguments import (
    Commands,
    add_network,
    check_weights,
    choose_backend,
    command,
    config_of,
)
from keras_nasnet.terminal import console
from keras_nasnet.weights.formats import written_endings


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "convert",
        run,
        "convert weights from slim, timm, Cadene or keras.applications to a file of this package",
        "keras-nasnet convert model.ckpt nasnet_large.safetensors\n"
        "  keras-nasnet convert hf://timm/pnasnet5large.tf_in1k pnasnet_large.weights.h5",
    )
    parser.add_argument(
        "source", metavar="SOURCE", help="a weight file, a checkpoint, or hf://OWNER/NAME"
    )
    parser.add_argument(
        "out",
        metavar="OUT",
        help=f"file to write: {', '.join(written_endings())}; also writes OUT.md",
    )
    add_network(parser, ["--model"])
    parser.add_argument(
        "--raw", action="store_true", help="use the raw weights, not their moving averages"
    )
    parser.add_argument("--licence", metavar="TEXT", help="licence of the source, for the card")


def run(options: argparse.Namespace) -> int:
    config = config_of(options) if options.model else None
    check_place(Path(options.out))
    check_weights(options.source)
    choose_backend()
    from keras_nasnet.weights import convert

    reading = convert(options.source, options.out, config, options.raw, options.licence)
    table = Table("layer", title=options.out)
    for heading in ("variables", "numbers"):
        table.add_column(heading, justify="right")
    table.add_column("from", overflow="fold")
    layers: dict[str, list[str]] = {}
    for path in reading.arrays:
        layers.setdefault(path.partition("/")[0], []).append(path)
    for layer, paths in layers.items():
        numbers = sum(prod(reading.arrays[path].shape) for path in paths)
        origin = f"{reading.names[paths[0]]} ..."
        table.add_row(layer, f"{len(paths)}", f"{numbers:,}", origin)
    for reason, names in reading.skipped.items():
        table.add_section()
        table.add_row("left out", f"{len(names)}", "", f"{reason}: {names[0]} ...")
    console.print(table)
    return 0
