"""`keras-nasnet plot`."""

import argparse

from keras_nasnet.cells.plot import FORMATS, plot_genotype
from keras_nasnet.cli.arguments import Commands, add_network, command, config_of


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "plot",
        run,
        "draw the two cells of a network",
        "keras-nasnet plot NASNetLarge --out cells.svg",
    )
    add_network(parser, ["model"])
    parser.add_argument(
        "--out",
        default="cells.png",
        metavar="FILE",
        help=f"file to write, ending in {', '.join(FORMATS)}; default: %(default)s",
    )


def run(options: argparse.Namespace) -> int:
    plot_genotype(config_of(options).genotype, options.out)
    print(options.out)
    return 0
