"""Weight files of others into this package's own, with a card that says where they come from."""

import hashlib
from dataclasses import dataclass
from math import prod
from pathlib import Path

import keras

from keras_nasnet.atomic import check_place, replace_file, replace_text
from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.plan import NASNetConfig
from keras_nasnet.cells.summary import summarize
from keras_nasnet.layers.network import AUXILIARY, build
from keras_nasnet.layers.variable import skip_initialization
from keras_nasnet.weights.formats import NamedArrays, open_weights
from keras_nasnet.weights.limit import max_bytes
from keras_nasnet.weights.load import (
    Reading,
    model_variables,
    read_file,
    save_safetensors,
)
from keras_nasnet.weights.location import locate
from keras_nasnet.weights.manifest import WEIGHTS
from keras_nasnet.weights.naming import CLASSES_WITH_BACKGROUND

LAYOUTS = {
    "slim": "TensorFlow checkpoint of slim",
    "torch": "state dict of PyTorch, as timm's and Cadene's",
    "own": "safetensors of keras_nasnet",
    "keras": "HDF5 of Keras",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file tells of its network.

    Args:
        layout: a key of `LAYOUTS`.
        dense: shapes of the arrays with two axes, which are a classifier's.
        auxiliary: whether it has an auxiliary head.
    """

    layout: str
    dense: set[tuple[int, ...]]
    auxiliary: bool

    def config(self) -> NASNetConfig:
        """The network of `list_models()` whose classifier the file has.

        Raises:
            ValueError: if it has none of theirs.
        """
        filters = {size for shape in self.dense for size in shape}
        configs = [each for each in MODELS.values() if each.penultimate_filters in filters]
        if not configs:
            raise ValueError("its network cannot be told by its classifier: say which model it is")
        return max(configs, key=lambda config: config.penultimate_filters)

    def classes(self, config: NASNetConfig) -> int | None:
        """Classes of the file's classifier, without a background class; None if it has none."""
        filters = config.penultimate_filters
        counts = {sum(shape) - filters for shape in self.dense if filters in shape}
        count = min(counts, default=None)
        has_background = self.layout != "keras" and count == CLASSES_WITH_BACKGROUND
        return count - 1 if has_background else count


def contents_of(path: Path, config: NASNetConfig | None = None) -> Contents:
    """What a weight file tells of its network.

    Args:
        path: of the file.
        config: of the network, by which the file's size is judged; None (default) to judge it by
            the largest of `list_models()`.

    Raises:
        ValueError: if it is no weight file.
    """
    params = sum(row.params for row in summarize(config)) if config else None
    with open_weights(path, max_bytes(params)) as file:
        if isinstance(file, NamedArrays):
            layout, arrays = file.layout, file.arrays
        else:
            layout = "keras"
            arrays = {item.name: item for items in file.layers.values() for item in items}
        auxiliary = {name for name in arrays if "/aux_logits/" in name or f"{AUXILIARY}/" in name}
        shapes = {tuple(arrays[name].shape) for name in arrays.keys() - auxiliary}
        dense = {shape for shape in shapes if len(shape) == 2}
        return Contents(layout, dense, bool(auxiliary))


def convert(source, out, config: NASNetConfig | None = None, raw=False, licence=None) -> Reading:
    """Writes the weights of any file that `load_weights` reads to a file of this package.

    A card, `OUT.md`, is written beside it. An auxiliary head is kept; of anything else that the
    network has, every variable comes from the file.

    Args:
        source: as `path` of `load_weights`.
        out: str or `Path` to write: `.safetensors`, `.weights.h5` or `.keras`.
        config: of the network; None (default) to tell it by the file's classifier.
        raw: bool, as in `load_weights`.
        licence: str, for the card; None (default) for that of weights published on the hub.

    Returns:
        `Reading`, what went where.

    Raises:
        FileNotFoundError, ConnectionError: as `load_weights` does.
        ValueError: if the file does not fit, or `out` has another ending; nothing is written.
        NotWrittenError: if it cannot be written there.
    """
    out = Path(out)
    save = _writer(out)
    check_place(out)
    path = locate(source)
    contents = contents_of(path, config)
    try:
        config = config or contents.config()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    classes = contents.classes(config)
    size = config.input_size if contents.auxiliary else None
    with skip_initialization():
        model = build(
            config,
            keras.Input((size, size, 3)),
            include_top=classes is not None,
            classes=classes,
            auxiliary=contents.auxiliary,
        )
    variables = model_variables(model)
    reading = read_file(path, variables, raw=raw)
    if variables.keys() - reading.arrays.keys():
        raise ValueError(f"{path}: its auxiliary head is not for images of {size} x {size}")
    for name, array in reading.arrays.items():
        variables[name].assign(array)
    replace_file(out, lambda beside: save(model, beside))
    with path.open("rb") as file:
        file_hash = hashlib.file_digest(file, "sha256").hexdigest()
    card = _card(out, source, file_hash, contents, config, classes, reading, licence)
    replace_text(Path(f"{out}.md"), card)
    return reading


def _writer(out: Path):
    """What writes a model to such a file."""
    writers = {
        ".safetensors": save_safetensors,
        ".weights.h5": lambda model, path: model.save_weights(path),
        ".keras": lambda model, path: model.save(path),
    }
    for ending, writer in writers.items():
        if out.name.endswith(ending):
            return writer
    raise ValueError(f"{out}: wanted a file ending in {', '.join(writers)}")


def _card(out, source, file_hash, contents, config, classes, reading, licence) -> str:
    name = next((name for name, each in MODELS.items() if each == config), "NASNet")
    classifier = "without classifier" if classes is None else f"{classes} classes"
    licences = {weights.argument: weights.licence for weights in WEIGHTS}
    params = sum(prod(array.shape) for array in reading.arrays.values())
    rows = {
        "model": f"`keras_nasnet.{name}`, {config.genotype.name} ({config.num_cells} @ "
        f"{config.penultimate_filters}), {classifier}; {params:,} numbers",
        "source": f"`{source}`",
        "SHA-256 of the source": f"`{file_hash}`",
        "format of the source": LAYOUTS[contents.layout],
        "licence": licence or licences.get(str(source), "that of the source"),
        "input": f"RGB, scaled to -1..1; made for {config.input_size} x {config.input_size}",
    }
    lines = [f"# {out.name}", "", "| | |", "|---|---|"]
    lines += [f"| {heading} | {text} |" for heading, text in rows.items()]
    lines += ["", "Left out of the source:" if reading.skipped else "Nothing was left out.", ""]
    lines += [
        f"- {reason}: {len(names)} arrays, such as `{names[0]}`"
        for reason, names in reading.skipped.items()
    ]
    return "\n".join(lines).rstrip() + "\n"
