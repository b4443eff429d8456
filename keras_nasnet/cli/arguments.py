"""Arguments that the commands share, which name a network, a recipe and a backend."""

import argparse
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from keras_nasnet.atomic import check_place
from keras_nasnet.cells.catalog import GENOTYPES, MODELS, network_of
from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.cells.genotype import MAX_JSON, Genotype
from keras_nasnet.check import check_member, cut, did_you_mean, read_json, shown, within
from keras_nasnet.lock import HOLDER, LOCK
from keras_nasnet.onednn import use_onednn
from keras_nasnet.terminal import import_keras
from keras_nasnet.training.job import model_file
from keras_nasnet.training.recipes import Recipe, recipe
from keras_nasnet.weights.location import HUB, locate
from keras_nasnet.weights.manifest import PUBLISHED

if TYPE_CHECKING:
    from keras_nasnet.inference.classifier import Classifier

# What `add_subparsers` returns, which has no public name.
Commands: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"

NETWORKS = (*MODELS, *GENOTYPES)
BACKENDS = ("tensorflow", "jax", "torch")

IMAGENET = "imagenet"
IMAGENET_MODELS = " or ".join(dict.fromkeys(name for name, _ in PUBLISHED))


def command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    description: str,
    example: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=description,
        description=description,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run, parser=parser)
    return parser


def size(text: str) -> tuple[int, int]:
    try:
        sides = [int(side) for side in text.lower().split("x")]
        height, width = sides if len(sides) == 2 else sides * 2
    except ValueError:
        raise argparse.ArgumentTypeError(f"wanted N or HEIGHTxWIDTH, got {shown(text)}") from None
    return height, width


def add_network(parser: argparse.ArgumentParser, argument: Sequence[str]) -> None:
    parser.add_argument(
        *argument,
        metavar="MODEL",
        help=f"{', '.join(NETWORKS)}, or the path of a genotype JSON file",
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
        help="stem of a genotype: for large images (default) or small ones",
    )


def config_of(options: argparse.Namespace) -> NASNetConfig:
    """The network for the name of a model or genotype, or for a genotype file."""
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
    if not os.path.isfile(name):  # unlike Path's, false where the name is too long
        raise ValueError(
            f"{cut(name)} is not a model, genotype or file; {did_you_mean(name, NETWORKS)}allowed "
            f"are {', '.join(NETWORKS)} and the path of a genotype JSON file"
        )
    with within(name):
        genotype = Genotype.from_dict(read_json(Path(name), MAX_JSON))
    return network_of(genotype, **settings)


def add_classifier(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model",
        metavar="MODEL",
        help=f"a run folder, a .keras file, or {IMAGENET_MODELS} with ImageNet weights",
    )
    add_size_and_weights(parser)


def add_size_and_weights(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--input-size", type=size, metavar="N", help="resize to N or HEIGHTxWIDTH")
    parser.add_argument(
        "--weights",
        metavar="FILE",
        default=IMAGENET,
        help="weights for a model given by name: the path of a file, or none for random ones",
    )


def load_classifier(options: argparse.Namespace) -> "Classifier":
    """The `Classifier` that `add_classifier`'s arguments stand for; imports Keras."""
    is_named = options.model in MODELS
    if not is_named and options.weights != IMAGENET:
        raise ValueError(f"--weights: {options.model} already has weights; leave it out")
    weights = None if options.weights == "none" else options.weights
    if is_named and weights is None:
        print(
            f"keras-nasnet: {options.model} has random weights, its predictions are meaningless",
            file=sys.stderr,
        )
    model_file(options.model)  # a mistake is told before Keras is imported
    choose_backend()
    from keras_nasnet.inference.classifier import Classifier

    return Classifier.load(options.model, options.input_size, weights)


def check_weights(source: str | None) -> None:
    """Tells that a weight file is missing, before Keras is imported."""
    if source not in (None, IMAGENET) and not source.startswith(HUB):
        locate(source)


def add_set(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="NAME=VALUE",
        help="override settings of the recipe (see keras-nasnet recipes)",
    )


def recipe_of(name: str, changes: list[str]) -> Recipe:
    pairs = [change.partition("=") for change in changes]
    for setting, separator, _ in pairs:
        if not separator:
            raise ValueError(f"--set: wanted NAME=VALUE, got {shown(setting)}")
    return recipe(name, **{setting: value for setting, _, value in pairs})


def run_folder(options: argparse.Namespace, may_change: tuple[str, ...]) -> Path:
    """The folder given by `--out`, which must be new, or by `--resume`, which keeps its settings.

    Args:
        options: the parsed arguments.
        may_change: names of the options allowed with `--resume`.

    Raises:
        NotWrittenError: if it cannot be created.
        ValueError: if the folder already exists, or another option is given with `--resume`.
    """
    folder = Path(options.resume or options.out)
    if options.resume is None:
        if folder.exists() and (not folder.is_dir() or _has_files(folder)):
            raise ValueError(f"--out: {folder} already exists; name a new folder")
        check_place(folder, makes_folders=True)
        return folder
    changed = [
        f"--{name.replace('_', '-')}"
        for name, value in vars(options).items()
        if name not in ("resume", *may_change) and value != options.parser.get_default(name)
    ]
    if changed:
        raise ValueError(
            f"--resume: the settings of a run cannot change; leave out {', '.join(changed)}"
        )
    return folder


def _has_files(folder: Path) -> bool:
    """Whether there is more than a process leaves behind if it is killed before it starts."""
    return any(path.name not in (LOCK, HOLDER) for path in folder.iterdir())


def choose_backend() -> None:
    """Imports Keras with the backend that the user has set, else with one that is installed.

    Raises:
        ValueError: if that backend is unknown or not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    use_onednn()
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen is None:
        installed = [name for name in BACKENDS if importlib.util.find_spec(name)]
        if not installed:
            raise ValueError(f"no backend is installed: pip install 'keras_nasnet[{BACKENDS[0]}]'")
        os.environ["KERAS_BACKEND"] = installed[0]
    else:
        check_member("KERAS_BACKEND", chosen, BACKENDS)
        if not importlib.util.find_spec(chosen):
            raise ValueError(
                f"KERAS_BACKEND: {chosen} is not installed: pip install 'keras_nasnet[{chosen}]'"
            )
    import_keras()
