"""`keras-nasnet train`."""

import argparse
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from keras_nasnet.atomic import NotWrittenError
from keras_nasnet.cells.summary import summarize
from keras_nasnet.cli.arguments import (
    Commands,
    add_network,
    add_set,
    check_weights,
    choose_backend,
    command,
    config_of,
    recipe_of,
    run_folder,
    size,
)
from keras_nasnet.data.source import check_data
from keras_nasnet.lock import locked
from keras_nasnet.terminal import console
from keras_nasnet.training.job import Job, check_minutes
from keras_nasnet.training.recipe_table import RECIPES

if TYPE_CHECKING:
    from keras_nasnet.data.source import Source


def add(commands: Commands) -> None:
    parser = command(
        commands,
        "train",
        run,
        "train a classifier, from scratch or from weights",
        "keras-nasnet train --data photos/ --model NASNetMobile --weights imagenet --out run\n"
        "  keras-nasnet train --data digits --set epochs=3 augmentation= --out run\n"
        "  keras-nasnet train --resume run",
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", metavar="RUN", help="new folder to write to")
    place.add_argument("--resume", metavar="RUN", help="folder of a run to resume")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="digits, tfds:NAME, or a folder with one subfolder of images per class "
        "(or with train and validation folders of such subfolders)",
    )
    add_network(parser, ["--model", "--genotype"])
    parser.set_defaults(model="NASNetCIFAR")
    parser.add_argument("--weights", metavar="FILE", help="start from a weight file, or imagenet")
    parser.add_argument(
        "--input-size",
        type=size,
        metavar="N",
        help="image size, N or HEIGHTxWIDTH; default: the model's",
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help=f"{', '.join(RECIPES)}; default: finetune with --weights, else search-child",
    )
    add_set(parser)
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help="time for training: with fewer epochs, if the recipe's do not fit",
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed; default: %(default)s")
    parser.add_argument(
        "--devices",
        type=int,
        default=1,
        help="number of devices to split batches across; default: %(default)s",
    )
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=300.0,
        metavar="S",
        help="seconds between checkpoints within an epoch; default: %(default)g",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="read all images first, and do not train if one cannot be read; by default, "
        "unreadable images are skipped and listed at the end",
    )
    parser.add_argument(
        "--no-report",
        action="store_true",
        help="do not write report.html, an evaluation on the validation images, at the end",
    )


def run(options: argparse.Namespace) -> int:
    folder = run_folder(options, ("checkpoint_seconds", "strict", "no_report"))
    job = None if options.resume else _new_job(options)
    with locked(folder):
        return _run(job or Job.of_run(folder), folder, options)


def _run(job: Job, folder: Path, options: argparse.Namespace) -> int:
    resume = options.resume is not None
    choose_backend()
    from keras_nasnet.data.inspection import find_duplicates
    from keras_nasnet.data.source import open_data

    data = open_data(job.data, job.seed)
    for message in () if resume else find_duplicates(*data):
        print(f"keras-nasnet: {message}", file=sys.stderr)
    with _quiet():
        if options.strict and (unreadable := _unreadable(job, data)):
            print(unreadable, file=sys.stderr)
            return 1
        if not resume:
            job = _fitted(job, data, options)
        console.print(_plan_of_training(job, data))
        reports = not options.no_report
        status = _train(job, data, folder, resume, options.checkpoint_seconds, reports)
    for message in sorted({message for source in data for message in source.unreadable}):
        print(f"skipped: {message}", file=sys.stderr)
    return status


def _fitted(job: Job, data: "tuple[Source, Source]", options: argparse.Namespace) -> Job:
    """The job with what is chosen from the data, which is printed."""
    from keras_nasnet.training.budget import fit_within
    from keras_nasnet.training.choices import choose

    if _recipe_name(options) == "finetune":
        job = choose(job, data, {change.partition("=")[0] for change in options.set})
    if options.minutes is not None:
        job = fit_within(job, data, options.minutes)
    for name, reason in job.choices.items():
        value = getattr(job.recipe, name)
        text = ",".join(value) if isinstance(value, tuple) else str(value).lower()
        print(f"{name}={text}: {reason}")
    return job


def _train(
    job: Job,
    data: "tuple[Source, Source]",
    folder: Path,
    resume: bool,
    checkpoint_s: float,
    reports: bool,
) -> int:
    from keras_nasnet.training.callback import LINES, StoppedError
    from keras_nasnet.training.trainer import train

    try:
        verbose = "auto" if console.is_terminal else LINES
        train(job, data, folder, resume=resume, checkpoint_s=checkpoint_s, verbose=verbose)
        if reports:
            _report(data, folder)
    except (FloatingPointError, NotWrittenError, StoppedError) as stop:
        print(f"\nkeras-nasnet: {stop}", file=sys.stderr)
        return 130 if isinstance(stop, StoppedError) else 1
    names = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    print(f"{folder}: {', '.join(names)}")
    return 0


def _report(data: "tuple[Source, Source]", folder: Path) -> None:
    """Writes the page of a run, which is complete without it."""
    from keras_nasnet.inference.report import report_run

    try:
        evaluation = report_run(folder, data)
    except ValueError as error:
        print(f"keras-nasnet: no report: {error}", file=sys.stderr)
        return
    low, high = evaluation.interval
    accuracy = f"{evaluation.accuracy:.1%} (95% interval: {low:.1%} to {high:.1%})"
    print(f"model.keras: validation accuracy {accuracy}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Does not log skipped images, which are listed at the end, below the progress bars."""
    log = logging.getLogger("keras_nasnet.data.source")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def _unreadable(job: Job, data: "tuple[Source, Source]") -> str:
    """The unreadable images with the reasons, one per line; empty if there are none."""
    from keras_nasnet.data.inspection import read_all

    lines = read_all(data, job.size)
    if lines:
        lines.append(f"--strict: {len(lines)} images cannot be read; nothing was trained")
    return "\n".join(f"keras-nasnet: {line}" for line in lines)


def _new_job(options: argparse.Namespace) -> Job:
    if options.data is None:
        raise ValueError("--data: required, names the images to train on")
    check_data(options.data)
    check_weights(options.weights)
    if options.minutes is not None:
        check_minutes(options.minutes)
    config = config_of(options)
    return Job(
        config,
        recipe_of(_recipe_name(options), options.set),
        options.data,
        options.input_size or (config.input_size, config.input_size),
        options.seed,
        options.weights,
        options.devices,
    )


def _recipe_name(options: argparse.Namespace) -> str:
    return options.recipe or ("finetune" if options.weights else "search-child")


def _plan_of_training(job: Job, data: "tuple[Source, Source]") -> Table:
    """The summary that is printed before training."""
    training, validation = data
    recipe, classes = job.recipe, len(training.class_names)
    steps = recipe.epochs * max(1, len(training) // recipe.batch_size)
    rows = summarize(replace(job.config, classes=classes), job.size)
    table = Table(show_header=False)
    table.add_row("network", job.config.title)
    table.add_row("images", f"{len(training):,} to train on, {len(validation):,} to validate with")
    table.add_row("classes", f"{classes}")
    table.add_row("input", f"{job.size[0]} x {job.size[1]}")
    table.add_row("parameters", f"{sum(row.params for row in rows):,}")
    table.add_row("multiply-adds", f"{sum(row.mult_adds for row in rows):,}")
    table.add_row("steps", f"{steps:,} of {recipe.batch_size} images in {recipe.epochs} epochs")
    table.add_row(
        "learning rate",
        f"{recipe.scaled_learning_rate:.4g} at first, {recipe.schedule} "
        f"({recipe.learning_rate:g} x {recipe.batch_size} / {recipe.base_batch_size})",
    )
    table.add_row("augmentation", ", ".join(recipe.augmentation) or "none")
    return table
