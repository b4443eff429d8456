"""From the paths of our variables to the names that others have for them.

A source is data: for each kind of unit the names of its convolution and of its batch
normalization, as templates.
"""

import re
from collections.abc import Iterable, Mapping

from keras_nasnet.layers.network import AUXILIARY, CLASSIFIER, TRAINING_STEP
from keras_nasnet.weights.array import Pairs, Variables

STEM = "stem/kernel"  # which every network has
OF_TRAINING = (AUXILIARY, TRAINING_STEP)  # a file or a model may lack them
OWN_AUXILIARY = f"{AUXILIARY}/"  # in the names of its arrays

BATCH_NORMALIZATION = ("gamma", "beta", "moving_mean", "moving_variance")
PARTS = (  # what a file may have and a model lack, or the other way round
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
CLASSES_WITH_BACKGROUND = 1001  # ImageNet's in the authors' code, where class 0 is none of them

_CELL, _EDGE = r"(?P<cell>\w*cell_\d+)", r"block_(?P<block>\d+)_(?P<side>left|right)"
_UNITS = {  # our units of a convolution and a batch normalization, and the two dense layers
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
    "edge": rf"{_CELL}/{_EDGE}/convolution_\d",  # of an identity or after a pool
}
_PATH = re.compile(
    r"(?P<unit>.+?)/(?:(?P<norm>batch_normalization)/)?(?:path_(?P<path>\d)_)?(?P<weight>\w+)"
)

Units = Mapping[str, tuple[str, str]]


def names_of(
    variables: Variables, units: Units, weights: Mapping[str, str], cells: Mapping[str, str]
) -> dict[str, str]:
    """Another's name for each of our variables, and for those of `PARTS`.

    Args:
        variables: ours by path, of which the shapes are used.
        units: for each kind of unit the names of convolution and batch normalization. Templates
            with `cell`, `block`, `side`, `state` and `path`, and for a separable convolution
            its `number` from 1 and the `size` of its kernel.
        weights: what follows for each of our weights, such as `{"kernel": "/weights"}`.
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
    """Slim's name of each of our cells, which the PyTorch networks have taken over.

    Args:
        paths: of our variables, in the order of the network.
        in_one_count: whether reduction cells are numbered among the others (PNASNet).
        stage_length: the first normal cell of stage i has the number `i * stage_length`; None
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
    """Whether a file with these names numbers reduction cells among the others."""
    return not any(name.startswith("reduction_cell_") for name in names)


def drop_background(pairs: Pairs, variables: Variables) -> None:
    """Takes the background class out of classifiers of 1001 classes.

    Args:
        pairs: changed in place.
        variables: of the model, by path; a classifier of 1001 classes gets them all.
    """
    for path in PARTS[:4]:
        array = pairs.found.get(path)
        if array is None or array.shape[-1:] != (CLASSES_WITH_BACKGROUND,):
            continue
        if path not in variables or variables[path].shape[-1] != CLASSES_WITH_BACKGROUND:
            pairs.found[path] = array.without_first()
            pairs.skip("background class", array.name)
