"""`keras-nasnet evaluate`."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from keras_nasnet.atomic import check_place
from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cli.arguments import (
    Commands,
    add_classifier,
    choose_backend,
    command,
    load_classifier,
)
from keras_nasnet.data.class_name import class_indices
from keras_nasnet.data.source import Source, open_data, open_test
from keras_nasnet.terminal import console
from keras_nasnet.training.job import Job, model_file, read_config, run_of

if TYPE_CHECKING:
    from keras_nasnet.inference.evaluation import Evaluation

NUM_CLASSES = 10  # of the table, those with the worst recall
PAGE = "evaluation.html"


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "evaluate",
        run,
        "measure a classifier on images of known classes, and write a report",
        "keras-nasnet evaluate run --data photos/test --csv predictions.csv",
    )
    add_classifier(parser)
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="a folder with one subfolder of images per class; of digits, tfds:NAME or a folder "
        "with train and validation folders, the validation images; default: those of the run",
    )
    parser.add_argument(
        "--csv", metavar="FILE", help="write the predictions: the five best classes of each image"
    )
    parser.add_argument(
        "--out",
        metavar="FILE",
        help=f"write the report there; default: {PAGE} in the run folder, or here without one",
    )


def run(options: argparse.Namespace) -> int:
    folder = None if options.model in MODELS else run_of(Path(options.model))
    out = Path(options.out or (folder or Path()) / PAGE)
    for path in (out, *([Path(options.csv)] if options.csv else ())):
        check_place(path)
        if path.is_dir():
            raise ValueError(f"{path} is a folder; name a file to write")
    model_file(options.model)
    job = Job.of_run(folder) if folder else None
    source, training = _data(options.data, job)
    if folder:
        class_indices(source.class_names, read_config(folder)["class_names"])
    choose_backend()
    from keras_nasnet.inference.evaluation import evaluate
    from keras_nasnet.inference.report import check_installed, write_report
    from keras_nasnet.training.log import write_rows

    check_installed()
    classifier = load_classifier(options)
    evaluation = evaluate(classifier, source)
    for message in evaluation.unreadable:
        print(f"skipped: {message}", file=sys.stderr)
    console.print(table_of(evaluation))
    if options.csv:
        write_rows(Path(options.csv), evaluation.predictions())
    name = f"{options.model}, {options.data or 'validation images'}"
    write_report(out, evaluation, classifier, source, name=name, training=training, run=folder)
    print(f"{options.csv}, {out}" if options.csv else out)
    return 0


def _data(data: str | None, job: Job | None) -> tuple[Source, Source | str]:
    """The images to evaluate on, and those of training or why there are none to compare with."""
    if job is not None and (data is None or Path(data).resolve() == Path(job.data).resolve()):
        training, validation = open_data(job.data, job.seed)
        return validation, training
    if data is None:
        raise ValueError("--data: required for a model that is not in a run folder")
    source = open_test(data)
    if job is None:
        return source, "It is not known which images the model was trained on."
    try:
        return source, open_data(job.data, job.seed)[0]
    except (ValueError, OSError) as error:
        return source, f"The training images cannot be opened: {error}"


def table_of(evaluation: "Evaluation") -> Table:
    """The numbers, and the classes with the worst recall."""
    from keras_nasnet.inference.scorecard import percent

    low, high = evaluation.interval
    table = Table(show_header=False)
    left_out = f", {len(evaluation.unreadable):,} left out" if evaluation.unreadable else ""
    table.add_row("images", f"{len(evaluation.labels):,}{left_out}")
    table.add_row("accuracy", f"{evaluation.accuracy:.1%} (95% interval: {low:.1%} to {high:.1%})")
    if evaluation.top_5 is not None:
        table.add_row("top-5", f"{evaluation.top_5:.1%}")
    table.add_row("macro accuracy", f"{evaluation.macro_accuracy:.1%}")
    table.add_row("calibration error", f"{evaluation.calibration_error:.1%}")
    table.add_section()
    for score in evaluation.worst_classes()[:NUM_CLASSES]:
        text = f"recall {percent(score.recall)}, precision {percent(score.precision)}"
        text += f" ({score.support:,} images)"
        name = score.name.encode("utf-8", "replace").decode()  # of a folder: any bytes
        table.add_row(Text(name), text)
    return table
