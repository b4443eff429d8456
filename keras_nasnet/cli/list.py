"""`keras-nasnet list`."""

import argparse

from rich.table import Table

from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.summary import summarize
from keras_nasnet.cli.arguments import Commands, command
from keras_nasnet.terminal import console
from keras_nasnet.weights import formats
from keras_nasnet.weights.manifest import WEIGHTS


def add(commands: Commands) -> None:
    command(
        commands,
        "list",
        run,
        "list published weight files with size and licence, and the supported formats",
        "keras-nasnet list",
    )


def run(options: argparse.Namespace) -> int:
    _print_published()
    _print_formats()
    return 0


def _print_published() -> None:
    table = Table("model")
    table.add_column("weights=, and its source", overflow="fold")
    table.add_column("MB (approx.)", justify="right")
    table.add_column("licence")
    for weights in WEIGHTS:
        include_top = weights.classes is not None
        rows = summarize(MODELS[weights.model], include_top=include_top, classes=weights.classes)
        megabytes = 4 * sum(row.params for row in rows) / 1e6  # float32
        top = "" if include_top else "\nwithout classifier"
        table.add_row(
            weights.model + top,
            f"{weights.argument}\n{weights.source}",
            f"{megabytes:,.0f}",
            weights.licence,
        )
        table.add_section()
    console.print(table)
    missing = [name for name in MODELS if name not in {weights.model for weights in WEIGHTS}]
    print(f"No weights are published for {', '.join(missing)}.")


def _print_formats() -> None:
    table = Table("file format", "weights= takes", "convert writes")
    for each in formats.FORMATS:
        takes = each.takes.replace("`", "")  # Markdown
        table.add_row(each.title, takes, "\n".join(each.endings))
        table.add_section()
    console.print(table)
