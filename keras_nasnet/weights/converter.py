"""Converts weight files to this package's own formats, with a card that gives the source."""

import hashlib
from dataclasses import dataclass
from math import prod
from os import PathLike
from pathlib import Path
from typing import Self

import keras

from keras_nasnet.atomic import check_place, replace_file, replace_text
from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.cells.summary import summarize
from keras_nasnet.layers.network import build
from keras_nasnet.layers.variable import skip_initialization
from keras_nasnet.weights.array import NamedArrays
from keras_nasnet.weights.file import open_weights
from keras_nasnet.weights.formats import format_to_write
from keras_nasnet.weights.limit import max_bytes
from keras_nasnet.weights.load import Reading, read_arrays
from keras_nasnet.weights.location import locate
from keras_nasnet.weights.manifest import WEIGHTS
from keras_nasnet.weights.naming import CLASSES_WITH_BACKGROUND
from keras_nasnet.weights.variable import model_variables


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file says about its network.

    Args:
        dense: shapes of the arrays with two axes, which belong to classifiers.
        auxiliary: whether it has an auxiliary head.
        has_background: whether 1001 classes mean ImageNet's plus a background class.
    """

    dense: set[tuple[int, ...]]
    auxiliary: bool
    has_background: bool

    @classmethod
    def of(cls, named: NamedArrays) -> Self:
        """What the arrays of an open file say."""
        part = named.auxiliary
        auxiliary = {name for name in named.arrays if part is not None and part in name}
        shapes = {named.arrays[name].shape for name in named.arrays.keys() - auxiliary}
        return cls(
            {shape for shape in shapes if len(shape) == 2}, bool(auxiliary), named.has_background
        )

    def config(self) -> NASNetConfig:
        """The network of `list_models()` that has the file's classifier.

        Raises:
            ValueError: if none has it.
        """
        filters = {size for shape in self.dense for size in shape}
        configs = [each for each in MODELS.values() if each.penultimate_filters in filters]
        if not configs:
            raise ValueError("its classifier does not identify its network: say which model it is")
        return max(configs, key=lambda config: config.penultimate_filters)

    def classes(self, config: NASNetConfig) -> int | None:
        """Classes of the file's classifier, without a background class; None if it has none."""
        filters = config.penultimate_filters
        counts = {sum(shape) - filters for shape in self.dense if filters in shape}
        if not counts:
            return None
        count = min(counts)
        return count - (self.has_background and count == CLASSES_WITH_BACKGROUND)


def convert(
    source: str | PathLike[str],
    out: str | PathLike[str],
    config: NASNetConfig | None = None,
    raw: bool = False,
    licence: str | None = None,
) -> Reading:
    """Converts any weight file that `load_weights` reads to a file of this package.

    A card, `OUT.md`, is written beside it. An auxiliary head is kept; every other variable of the
    network must be in the file.

    Args:
        source: as `path` of `load_weights`.
        out: str or `Path` to write, ending in one of `written_endings()`.
        config: of the network, which also limits the file's size; None (default) to identify the
            network by the file's classifier.
        raw: bool, as in `load_weights`.
        licence: str, for the card; None (default) for that of weights published on the hub.

    Returns:
        `Reading`, which says what went where.

    Raises:
        FileNotFoundError, ConnectionError: as `load_weights` does.
        ValueError: if the file does not fit, or `out` has another ending; nothing is written.
        NotWrittenError: if it cannot be written.
    """
    target = Path(out)
    save = format_to_write(target).code.save
    check_place(target)
    path = locate(source)
    params = sum(row.params for row in summarize(config)) if config else None
    with open_weights(path, max_bytes(params)) as (kind, named):
        contents = Contents.of(named)
        config = config or contents.config()
        model = _empty_model(config, contents)
        variables = model_variables(model)
        reading = read_arrays(path, named, variables, raw=raw)
        if variables.keys() - reading.arrays.keys():
            size = config.input_size
            raise ValueError(f"its auxiliary head does not fit images of {size} x {size}")
    for name, array in reading.arrays.items():
        variables[name].assign(array)
    replace_file(target, lambda beside: save(model, beside))
    with path.open("rb") as file:
        file_hash = hashlib.file_digest(file, "sha256").hexdigest()
    origin = {
        "source": f"`{source}`",
        "source SHA-256": f"`{file_hash}`",
        "source format": kind.title,
        "licence": licence or _licence(source),
    }
    replace_text(Path(f"{target}.md"), _card(target.name, config, contents, origin, reading))
    return reading


def _empty_model(config: NASNetConfig, contents: Contents) -> keras.Model:
    """The network of a file, whose variables are not filled yet."""
    size = config.input_size if contents.auxiliary else None
    classes = contents.classes(config)
    with skip_initialization():
        return build(
            config,
            keras.Input((size, size, 3)),
            include_top=classes is not None,
            classes=classes,
            auxiliary=contents.auxiliary,
        )


def _licence(source: str | PathLike[str]) -> str:
    """The licence of weights published on the hub."""
    licences = {weights.argument: weights.licence for weights in WEIGHTS}
    return licences.get(str(source), "same as the source")


def _card(
    title: str,
    config: NASNetConfig,
    contents: Contents,
    origin: dict[str, str],
    reading: Reading,
) -> str:
    name = next((name for name, each in MODELS.items() if each == config), "NASNet")
    classes = contents.classes(config)
    classifier = "without classifier" if classes is None else f"{classes} classes"
    params = sum(prod(array.shape) for array in reading.arrays.values())
    rows = {
        "model": f"`keras_nasnet.{name}`, {config.genotype.name} ({config.num_cells} @ "
        f"{config.penultimate_filters}), {classifier}; {params:,} values",
        **origin,
        "input": f"RGB, scaled to -1..1; made for {config.input_size} x {config.input_size}",
    }
    lines = [f"# {title}", "", "| | |", "|---|---|"]
    lines += [f"| {heading} | {text} |" for heading, text in rows.items()]
    lines += ["", "Left out of the source:" if reading.skipped else "Nothing was left out.", ""]
    lines += [
        f"- {reason}: {len(names)} arrays, such as `{names[0]}`"
        for reason, names in reading.skipped.items()
    ]
    return "\n".join(lines).rstrip() + "\n"
