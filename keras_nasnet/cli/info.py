"""`keras-nasnet info`."""

import argparse

from rich.table import Table

from keras_nasnet.cells.summary import summarize
from keras_nasnet.cli.arguments import Commands, add_network, command, config_of, size
from keras_nasnet.terminal import console


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "info",
        run,
        "print a network's cells, shapes, parameters and multiply-adds",
        "keras-nasnet info NASNetMobile --input-size 192x256",
    )
    add_network(parser, ["model"])
    parser.add_argument(
        "--input-size",
        type=size,
        metavar="N",
        help="image size, N or HEIGHTxWIDTH; default: the model's",
    )


def run(options: argparse.Namespace) -> int:
    config = config_of(options)
    rows = summarize(config, options.input_size)
    height, width = options.input_size or (config.input_size, config.input_size)
    table = Table(title=f"{config.title} on {height} x {width}")
    table.add_column("cell")
    table.add_column("kind")
    for heading in ("output", "parameters", "multiply-adds"):
        table.add_column(heading, justify="right")
    for row in rows:
        shape = f"{row.size[0]} x {row.size[1]} x {row.channels}"
        table.add_row(row.name, row.kind, shape, f"{row.params:,}", f"{row.mult_adds:,}")
    table.add_section()
    params, mult_adds = sum(row.params for row in rows), sum(row.mult_adds for row in rows)
    table.add_row("total", "", "", f"{params:,}", f"{mult_adds:,}")
    console.print(table)
    return 0
