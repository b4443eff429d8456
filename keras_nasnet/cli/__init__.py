"""The `keras-nasnet` command line: arguments and printing only."""

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence

from keras_nasnet import __version__
from keras_nasnet.cli import (
    benchmark,
    convert,
    embed,
    evaluate,
    export,
    info,
    list,
    plot,
    predict,
    recipes,
    search,
    serve,
    train,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `keras-nasnet`.

    Args:
        arguments: list of str. Default: the command line's.

    Returns:
        Exit status: 0 on success; 1 if named images could not be read, training or all trials of a
        search failed, a runtime failed or a file could not be written; 2 for a mistake in the
        arguments or a folder in use.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")  # Pillow's; ours is an error
    try:
        return options.run(options)
    except (ValueError, OSError) as error:
        print(f"keras-nasnet: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("keras-nasnet: stopped", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-nasnet",
        description="NASNet for Keras: inspect and train networks, classify images, export models.",
        epilog="Set the Keras backend with KERAS_BACKEND=tensorflow, jax or torch.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    modules = (info, plot, train, recipes, evaluate, predict, embed, export, serve, benchmark)
    for module in (*modules, search, list, convert):
        module.add(commands)
    return parser
