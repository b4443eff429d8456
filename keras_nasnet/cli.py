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
        "keras-nasnet train --data photos/ --model NASNetMobile --weights imagenet --out run",
    )
    parser.add_argument(
        "--data",
        required=True,
        metavar="DATA",
        help="digits, tfds:NAME, or a folder with a folder of images for each class "
        "(or train and validation folders of such)",
    )
    _add_network(parser, ["--model"])
    parser.set_defaults(model="NASNetCIFAR")
    parser.add_argument(
        "--out", required=True, metavar="RUN", help="folder to write, not there yet"
    )
    parser.add_argument(
        "--weights", metavar="FILE", help="start from a weight file, or from imagenet"
    )
    parser.add_argument(
        "--input-size", type=_size, metavar="N", help="N or HEIGHTxWIDTH; default: the model's"
    )
    parser.add_argument("--epochs", type=int, default=10, help="default: %(default)s")
    parser.add_argument("--batch-size", type=int, default=32, help="default: %(default)s")
    parser.add_argument(
        "--learning-rate", type=float, default=0.025, help="at the start; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")


def _train(options) -> int:
    config, out = _config(options), Path(options.out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f"--out: {out} is there already; name a new folder")
    _choose_backend()
    import keras

    from keras_nasnet.data import open_data
    from keras_nasnet.train import CURVES, LOG, MODEL, Settings, train
    from keras_nasnet.zoo import build_model

    settings = Settings(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
    )
    keras.utils.set_random_seed(options.seed)
    data = open_data(options.data, options.seed)
    size = options.input_size or (config.input_size, config.input_size)
    model = build_model(
        config,
        options.model if config == MODELS.get(options.model) else None,
        input_shape=(*size, 3),
        weights=options.weights,
        classes=len(data[0].class_names),
    )
    print(
        f"{len(data[0]):,} images to train on, {len(data[1]):,} to validate with, "
        f"{len(data[0].class_names)} classes; {model.count_params():,} parameters"
    )
    history = train(model, data, out, settings).history
    print(f"best validation accuracy {max(history['val_accuracy']):.2%}")
    written = [name for name in (MODEL, LOG, CURVES) if (out / name).exists()]
    print(f"{out}: {', '.join(written)}")
    unreadable = [message for source in data for message in source.unreadable.values()]
    for message in unreadable:
        print(f"left out: {message}", file=sys.stderr)
    return 1 if unreadable else 0


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
