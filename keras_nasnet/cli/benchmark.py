"""`keras-nasnet benchmark`."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from keras_nasnet.check import check_integers
from keras_nasnet.cli.arguments import (
    Commands,
    add_classifier,
    choose_backend,
    command,
    load_classifier,
)
from keras_nasnet.terminal import console, track
from keras_nasnet.training.job import model_file

if TYPE_CHECKING:
    from keras_nasnet.inference.benchmark import Route

MAX_BATCH = 4_096  # 2.5 GB of images for NASNetMobile; larger ones are no faster
NUM_IMAGES = 200  # to quantize with, and as many held out to compare results on
COLUMNS = {  # two-line heading and format of the columns that fit 80 characters; --json has all
    "batch": ("batch ", "{:d}"),
    "images_per_s": ("images /s", "{:.1f}"),
    "p50_ms": ("p50 ms", "{:.1f}"),
    "p99_ms": ("p99 ms", "{:.1f}"),
    "peak_mib": ("peak MiB", "{:.0f}"),
    "size_mib": ("disk MiB", "{:.1f}"),
    "agreement": ("same class", "{:.0%}"),
    "difference": ("error ", "{:.0e}"),
}


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "benchmark",
        run,
        "measure a model in every available runtime and precision",
        "keras-nasnet benchmark NASNetMobile --weights none --batch-sizes 1 16",
    )
    add_classifier(parser)
    parser.add_argument(
        "--batch-sizes", type=int, nargs="+", default=[1, 16], metavar="N", help="default: 1 16"
    )
    parser.add_argument(
        "--runtimes", nargs="+", metavar="NAME", help="only these; default: all available ones"
    )
    parser.add_argument(
        "--seconds", type=float, default=5, help="per batch size; default: %(default)s"
    )
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="digits, tfds:NAME or a folder, for images to quantize with and held-out ones to "
        "compare results on; default: random images, no int8",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options: argparse.Namespace) -> int:
    for batch_size in options.batch_sizes:
        check_integers(1, MAX_BATCH, **{"--batch-sizes": batch_size})
    model_file(options.model)
    choose_backend()
    from keras_nasnet.inference.benchmark import routes

    some = routes(options.data is not None)
    found = list(dict.fromkeys(route.runtime for route in some))
    for name in options.runtimes or ():
        if name not in found:
            raise ValueError(
                f"--runtimes: {name!r} is not available; allowed are {', '.join(found)}"
            )
    some = [route for route in some if route.runtime in (options.runtimes or found)]
    with redirect_stdout(sys.stderr):  # downloads and converters print too
        rows = _measure(options, some)
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        console.print(table_of(rows))
        console.print(fastest_of(rows), soft_wrap=True)
    return 1 if any("failure" in row for row in rows) else 0


def _measure(options: argparse.Namespace, some: Sequence["Route"]) -> list[dict[str, Any]]:
    from keras_nasnet.data.source import open_data
    from keras_nasnet.inference.benchmark import benchmark

    classifier = load_classifier(options)
    images = representative_data = None
    if options.data is not None:
        representative_data, images = (
            source.sample(NUM_IMAGES, classifier.size) for source in open_data(options.data)
        )
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # logs deprecations
    results = benchmark(
        classifier,
        some,
        batch_sizes=options.batch_sizes,
        seconds=options.seconds,
        images=images,
        representative_data=representative_data,
    )
    return [row for _, result in track(results, "measuring", len(some)) for row in result]


def table_of(rows: list[dict[str, Any]]) -> Table:
    """A table of `benchmark`'s rows; for a failure, the reason instead of numbers."""
    lines = [heading.split(" ") for heading, _ in COLUMNS.values()]
    lines = [list(line) for line in zip(*lines, strict=True)]
    lines += [[_format(row, key) for key in COLUMNS] for row in rows if "failure" not in row]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    above, below, *numbers = (
        " ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )
    table = Table(box=None, pad_edge=False)
    table.add_column("runtime", no_wrap=True)
    table.add_column("precision", no_wrap=True)
    table.add_column(f"{above}\n{below}")
    remaining = iter(numbers)
    for row in rows:
        text = row["failure"] if "failure" in row else next(remaining)
        table.add_row(row["runtime"], row["precision"], Text(text))
    return table


def fastest_of(rows: list[dict[str, Any]]) -> str:
    """One line that names the fastest runtime for each batch size; empty if none ran."""
    best: dict[int, dict[str, Any]] = {}
    for row in rows:
        if "failure" not in row:
            batch = row["batch"]
            best[batch] = max(best.get(batch, row), row, key=lambda row: row["images_per_s"])
    named = (
        "{runtime} {precision} for batch {batch} ({images_per_s:.1f} images/s)".format(**row)
        for _, row in sorted(best.items())
    )
    return f"fastest here: {', '.join(named)}" if best else ""


def _format(row: dict[str, Any], key: str) -> str:
    return "-" if row[key] is None else COLUMNS[key][1].format(row[key])
