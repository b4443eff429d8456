"""The command line `keras-nasnet`: arguments and printing only."""

import argparse
import importlib.util
import logging
import os
import sys
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from keras_nasnet.catalog import GENOTYPES, MODELS, network_of
from keras_nasnet.genotype import Genotype
from keras_nasnet.plan import NASNetConfig
from keras_nasnet.recipe import RECIPES, Recipe, recipe
from keras_nasnet.summary import summarize

BACKENDS = ("tensorflow", "jax", "torch")

console = Console()


def main(arguments=None) -> int:
    """Runs `keras-nasnet`.

    Args:
        arguments: list of str; those of the process by default.

    Returns:
        Exit status: 0, 1 if some images could not be read, 2 for a mistake in the arguments.
    """
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
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
        description="NASNet for Keras: look at a network, train it, classify images with it.",
        epilog="The backend is Keras's: KERAS_BACKEND=tensorflow, jax or torch.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_info(commands)
    _add_train(commands)
    _add_recipes(commands)
    _add_predict(commands)
    return parser


def _command(commands, name, run, description, example):
    parser = commands.add_parser(
        name,
        help=description,
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def _size(text: str) -> tuple[int, int]:
    try:
        sides = [int(side) for side in text.lower().split("x")]
        height, width = sides if len(sides) == 2 else sides * 2
    except ValueError:
        raise argparse.ArgumentTypeError(f"wanted N or HEIGHTxWIDTH, got {text!r}") from None
    return height, width


def _add_network(parser, argument):
    parser.add_argument(
        *argument,
        metavar="MODEL",
        help=f"{', '.join((*MODELS, *GENOTYPES))}, or the path of a genotype's JSON",
    )
    parser.add_argument(
        "--num-cells", type=int, metavar="N", help="normal cells in each of the three stages"
    )
    parser.add_argument(
        "--penultimate-filters", type=int, metavar="F", help="channels of the last cell's output"
    )
    parser.add_argument(
        "--stem",
        choices=("imagenet", "cifar"),
        help="of a genotype: for large images (default) or for small ones",
    )


def _config(options) -> NASNetConfig:
    """The network that the name of a model or genotype, or a genotype's file, stands for."""
    settings = {
        key: getattr(options, key)
        for key in ("num_cells", "penultimate_filters", "stem")
        if getattr(options, key) is not None
    }
    name = options.model
    if name in MODELS:
        if options.stem:
            raise ValueError(f"--stem is for genotypes; {name} has the stem {MODELS[name].stem}")
        return replace(MODELS[name], **settings)
    if name in GENOTYPES:
        return network_of(GENOTYPES[name], **settings)
    if not Path(name).is_file():
        raise ValueError(
            f"{name} is no model, genotype or file; allowed are "
            f"{', '.join((*MODELS, *GENOTYPES))} and the path of a genotype's JSON"
        )
    try:
        return network_of(Genotype.from_json(Path(name).read_text()), **settings)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _add_info(commands):
    parser = _command(
        commands,
        "info",
        _info,
        "print a network's cells, shapes, parameters and multiply-adds",
        "keras-nasnet info NASNetMobile --input-size 192x256",
    )
    _add_network(parser, ["model"])
    parser.add_argument(
        "--input-size", type=_size, metavar="N", help="N or HEIGHTxWIDTH; default: the model's"
    )


def _info(options) -> int:
    config = _config(options)
    rows = summarize(config, options.input_size)
    height, width = options.input_size or (config.input_size, config.input_size)
    table = Table(
        title=f"{config.genotype.name or 'NASNet'} ({config.num_cells} @ "
        f"{config.penultimate_filters}) on {height} x {width}"
    )
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


def _add_train(commands):
    parser = _command(
        commands,
        "train",
        _train,
        "train a classifier, from scratch or from weights",
        "keras-nasnet train --data photos/ --model NASNetMobile --weights imagenet --out run\n"
        "  keras-nasnet train --data digits --set epochs=3 augmentation= --out run\n"
        "  keras-nasnet train --resume run",
    )
    place = parser.add_mutually_exclusive_group(required=True)
    place.add_argument("--out", metavar="RUN", help="folder to write, not there yet")
    place.add_argument("--resume", metavar="RUN", help="folder of a run to go on with")
    parser.add_argument(
        "--data",
        metavar="DATA",
        help="digits, tfds:NAME, or a folder with a folder of images for each class "
        "(or train and validation folders of such)",
    )
    _add_network(parser, ["--model"])
    parser.set_defaults(model="NASNetCIFAR")
    parser.add_argument(
        "--weights", metavar="FILE", help="start from a weight file, or from imagenet"
    )
    parser.add_argument(
        "--input-size", type=_size, metavar="N", help="N or HEIGHTxWIDTH; default: the model's"
    )
    parser.add_argument(
        "--recipe",
        metavar="NAME",
        help=f"{', '.join(RECIPES)}; default: finetune with --weights, else search-child",
    )
    _add_set(parser)
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--devices", type=int, default=1, help="to split batches over; default: %(default)s"
    )
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=300.0,
        metavar="S",
        help="between checkpoints within an epoch; default: %(default)g",
    )


def _add_set(parser):
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="change settings of the recipe (see keras-nasnet recipes)",
    )


def _recipe(name: str, changes: list[str]) -> Recipe:
    pairs = [change.partition("=") for change in changes]
    for setting, separator, _ in pairs:
        if not separator:
            raise ValueError(f"--set: wanted NAME=VALUE, got {setting!r}")
    return recipe(name, **{setting: value for setting, _, value in pairs})


def _train(options) -> int:
    run, resume = Path(options.resume or options.out), options.resume is not None
    new_job = None if resume else _new_job(options)
    if not resume and run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise ValueError(f"--out: {run} is there already; name a new folder")
    _choose_backend()
    from keras_nasnet.data import open_data
    from keras_nasnet.run import StoppedError
    from keras_nasnet.train import Job, train

    job = Job.of_run(run) if resume else Job(**new_job)
    data = open_data(job.data, job.seed)
    console.print(_plan_of_training(job, data))
    try:
        train(job, data, run, resume=resume, checkpoint_s=options.checkpoint_seconds)
    except (FloatingPointError, StoppedError) as stop:
        print(f"\nkeras-nasnet: {stop}", file=sys.stderr)
        return 130 if isinstance(stop, StoppedError) else 1
    print(f"{run}: {', '.join(sorted(path.name for path in run.iterdir()))}")
    unreadable = [message for source in data for message in source.unreadable.values()]
    for message in unreadable:
        print(f"left out: {message}", file=sys.stderr)
    return 1 if unreadable else 0


def _new_job(options) -> dict:
    if options.data is None:
        raise ValueError("--data: say what to train on")
    config = _config(options)
    if options.devices < 1:
        raise ValueError(f"--devices: wanted at least 1, got {options.devices}")
    name = options.recipe or ("finetune" if options.weights else "search-child")
    return {
        "config": config,
        "recipe": _recipe(name, options.set),
        "data": options.data,
        "size": options.input_size or (config.input_size, config.input_size),
        "seed": options.seed,
        "weights": options.weights,
        "devices": options.devices,
    }


def _plan_of_training(job, data) -> Table:
    """What is about to happen, before it does."""
    training, validation = data
    recipe, classes = job.recipe, len(training.class_names)
    steps = recipe.epochs * max(1, len(training) // recipe.batch_size)
    rows = summarize(replace(job.config, classes=classes), job.size)
    table = Table(show_header=False)
    name = f"{job.config.genotype.name or 'NASNet'} ({job.config.num_cells} @ "
    table.add_row("network", f"{name}{job.config.penultimate_filters})")
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


def _add_recipes(commands):
    parser = _command(
        commands,
        "recipes",
        _recipes,
        "print the recipes of training, each value with its source",
        "keras-nasnet recipes cifar10 --set epochs=60",
    )
    parser.add_argument("recipe", nargs="?", metavar="NAME", help=f"one of {', '.join(RECIPES)}")
    _add_set(parser)


def _recipes(options) -> int:
    if options.recipe is None:
        if options.set:
            raise ValueError("--set: name the recipe that it changes")
        table = Table("setting", *(name.replace("-", "-\n") for name in RECIPES))
        for name in RECIPES["cifar10"]:
            table.add_row(name, *(_text(choices[name].value) for choices in RECIPES.values()))
    else:
        changed = {change.partition("=")[0] for change in options.set}
        values = _recipe(options.recipe, options.set)
        table = Table("setting", "value", "source")
        for name, choice in RECIPES[options.recipe].items():
            source = "--set" if name in changed else choice.source
            table.add_row(name, _text(getattr(values, name)), source)
    console.print(table)
    return 0


def _text(value) -> str:
    return ", ".join(value) if isinstance(value, tuple) else f"{value}"


def _add_predict(commands):
    parser = _command(
        commands,
        "predict",
        _predict,
        "classify images",
        "keras-nasnet predict run photo.jpg another.png",
    )
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=f"a run folder, a .keras file, or with ImageNet's weights "
        f"{' or '.join(name for name in MODELS if MODELS[name].classes == 1000)}",
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="an image file")
    parser.add_argument("--top", type=int, default=5, help="classes an image; default: %(default)s")
    parser.add_argument("--input-size", type=_size, metavar="N", help="resize to N or HEIGHTxWIDTH")


def _predict(options) -> int:
    if options.top < 1:
        raise ValueError(f"--top: wanted at least 1, got {options.top}")
    _choose_backend()
    from keras_nasnet.data import UnreadableImageError
    from keras_nasnet.predict import Classifier

    classifier = Classifier.load(options.model, options.input_size)
    table = Table("image", "class")
    table.add_column("probability", justify="right")
    unreadable = []
    for image, result in classifier.classify(options.images, options.top):
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


def _choose_backend() -> None:
    """Takes an installed backend where the user has named none, and keeps it quiet."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    if "KERAS_BACKEND" in os.environ:
        return
    for backend in BACKENDS:
        if importlib.util.find_spec(backend):
            os.environ["KERAS_BACKEND"] = backend
            return
    raise ValueError(f"no backend is installed: pip install 'keras_nasnet[{BACKENDS[0]}]'")


if __name__ == "__main__":
    sys.exit(main())
