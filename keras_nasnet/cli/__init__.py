"""The command line `keras-nasnet`: arguments and printing only."""

import argparse
import logging
import sys
import warnings
from collections.abc import Sequence

from keras_nasnet.cli import (
    benchmark,
    convert,
    embed,
    export,
    info,
    list,
    plot,
    predict,
    recipes,
    search,
    train,
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs `keras-nasnet`.

    Args:
        arguments: list of str; those of the process by default.

    Returns:
        Exit status: 0; 1 if images that were named could not be read, training or all trials of a
        search failed, runtimes were not run or files not written; 2 for a mistake in the
        arguments or a folder that is in use.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    warnings.filterwarnings("ignore", "Image size .* exceeds limit")  # Pillow's, ours is an error
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
        description="NASNet for Keras: look at a network, train it, classify images, export it.",
        epilog="The backend is Keras's: KERAS_BACKEND=tensorflow, jax or torch.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    modules = (info, plot, train, recipes, predict, embed, export, benchmark, search, list, convert)
    for module in modules:
        module.add(commands)
    return parser
