"""Other projects' names for our variables.

A source is data: for each kind of unit, templates for the names of its convolution and batch
normalization.
"""

import re
from collections.abc import Iterable, Mapping

from keras_nasnet.layers.network import AUXILIARY, CLASSIFIER, TRAINING_STEP
from keras_nasnet.weights.array import Pairs, Variables

STEM = "stem/kernel"  # in every network
OF_TRAINING = (AUXILIARY, TRAINING_STEP)  # a file or a model may lack them
OWN_AUXILIARY = f"{AUXILIARY}/"  # in the names of its arrays

BATCH_NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")
PARTS = (  # parts that only one of file and model may have
    *(
        f"{head}/{weight}"
        for head in (CLASSIFIER, f"{AUXILIARY}/classifier")
        for weight in ("kernel", "bias")
    ),
    *(
        f"{AUXILIARY}/{unit}/{weight}"
        for unit in ("projection", "full_map")
        for weight in ("kernel", *(f"batch_normalization/{name}" for name in BATCH_NORMALIZATION))
    ),
)
CLASSES_WITH_BACKGROUND = 1001  # in the authors' code, where class 0 is the background

_CELL, _EDGE = r"(?P<cell>\w*cell_\d+)", r"block_(?P<block>\d+)_(?P<side>left|right)"
_UNITS = {  # convolution and batch normalization units, and the two dense layers
    "stem": "stem",
    "classifier": CLASSIFIER,
    "auxiliary_projection": f"{AUXILIARY}/projection",
    "auxiliary_full_map": f"{AUXILIARY}/full_map",
    "auxiliary_classifier": f"{AUXILIARY}/classifier",
    "current": rf"{_CELL}/current/convolution_0",
    "previous": rf"{_CELL}/previous/convolution_0",
    "previous_reduction": rf"{_CELL}/previous/factorized_reduction_0",
    "output": rf"{_CELL}/output_(?P<state>\d)/convolution_0",
    "output_reduction": rf"{_CELL}/output_(?P<state>\d)/factorized_reduction_0",
    "separable": rf"{_CELL}/{_EDGE}/separable_(?P<step>\d)",
    "edge": rf"{_CELL}/{_EDGE}/convolution_\d",  # for an identity or after a pool
}
_PATH = re.compile(
    r"(?P<unit>.+?)/(?:(?P<norm>batch_normalization)/)?(?:path_(?P<path>\d)_)?(?P<weight>\w+)"
)

Units = Mapping[str, tuple[str, str]]


def names_of(
    variables: Variables, units: Units, weights: Mapping[str, str], cells: Mapping[str, str]
) -> dict[str, str]:
    """The source's name for each of our variables, and for those of `PARTS`.

    Args:
        variables: ours by path; their shapes are used.
        units: for each kind of unit, the names of convolution and batch normalization. Templates
            with `cell`, `block`, `side`, `state` and `path`, and for a separable convolution
            its `number` from 1 and the `size` of its kernel.
        weights: the suffix for each of our weights, such as `{"kernel": "/weights"}`.
        cells: their name for each of our cells.

    Returns:
        Names by path. A variable that the source cannot have is left out.
    """
    names = {}
    for path in dict.fromkeys((*variables, *PARTS)):
        match = _PATH.fullmatch(path)
        if match is None:
            continue
        for kind in units:
            if unit := re.fullmatch(_UNITS[kind], match["unit"]):
                fields = unit.groupdict() | {"path": match["path"]}
                if "cell" in fields:
                    fields["cell"] = cells[fields["cell"]]
                if kind == "separable":
                    fields["number"] = int(fields["step"]) + 1
                    fields["size"] = variables[f"{match['unit']}/depthwise_kernel"].shape[0]
                template = units[kind][match["norm"] is not None]
                names[path] = (template + weights[match["weight"]]).format(**fields)
    return names


def cell_names(
    paths: Iterable[str], in_one_count: bool, stage_length: int | None = None
) -> dict[str, str]:
    """Slim's name for each of our cells; the PyTorch networks adopted them.

    Args:
        paths: of our variables, in network order.
        in_one_count: whether reduction cells are counted among the others (PNASNet).
        stage_length: the first normal cell of stage i is number `i * stage_length`; None
            for numbers without gaps.
    """
    names = {}
    number = stage = 0
    for cell in dict.fromkeys(path.partition("/")[0] for path in paths):
        if cell.startswith("stem_cell_"):
            names[cell] = f"cell_stem_{cell[-1]}"
        elif cell.startswith("reduction_cell_") and not in_one_count:
            names[cell] = cell
            stage += 1
            number = number if stage_length is None else stage * stage_length
        elif cell.startswith(("cell_", "reduction_cell_")):
            names[cell] = f"cell_{number}"
            number += 1
    return names


def counts_reduction(names: Iterable[str]) -> bool:
    """Whether a file with these names counts reduction cells among the others."""
    return not any(name.startswith("reduction_cell_") for name in names)


def drop_background(pairs: Pairs, variables: Variables) -> None:
    """Removes the background class from classifiers with 1001 classes.

    Args:
        pairs: changed in place.
        variables: of the model, by path; a model with 1001 classes keeps them all.
    """
    for path in PARTS[:4]:
        array = pairs.found.get(path)
        if array is None or array.shape[-1:] != (CLASSES_WITH_BACKGROUND,):
            continue
        if path not in variables or variables[path].shape[-1] != CLASSES_WITH_BACKGROUND:
            pairs.found[path] = array.without_first()
            pairs.skip("background class", array.name)
