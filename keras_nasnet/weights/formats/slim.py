"""Checkpoints of the authors' code, slim's nasnet.py and pnasnet.py."""

from collections.abc import Mapping
from functools import partial

from keras_nasnet.weights.array import Array, NamedArrays, Pairs, Variables
from keras_nasnet.weights.containers.checkpoint import read_checkpoint
from keras_nasnet.weights.file import File
from keras_nasnet.weights.naming import cell_names, counts_reduction, names_of

AVERAGE = "/ExponentialMovingAverage"
STATISTICS = ("moving_mean", "moving_variance")
SLOTS = ("RMSProp", "RMSProp_1", "Momentum", "Adam", "Adam_1")
OF_OPTIMIZER = ("global_step", "beta1_power", "beta2_power")

_EDGE = "{cell}/comb_iter_{block}/{side}"
_OUTPUT = "{cell}/cell_output/reduction_{state}"
UNITS = {
    "stem": ("conv0", "conv0_bn"),
    "classifier": ("final_layer/FC", ""),
    "current": ("{cell}/1x1", "{cell}/beginning_bn"),
    "previous": ("{cell}/prev_1x1", "{cell}/prev_bn"),
    "previous_reduction": ("{cell}/path{path}_conv", "{cell}/final_path_bn"),
    "output": (f"{_OUTPUT}/path_conv", f"{_OUTPUT}/path_bn"),
    "output_reduction": (f"{_OUTPUT}/path{{path}}_conv", f"{_OUTPUT}/final_path_bn"),
    "separable": (
        f"{_EDGE}/separable_{{size}}x{{size}}_{{number}}",
        f"{_EDGE}/bn_sep_{{size}}x{{size}}_{{number}}",
    ),
    "edge": (f"{_EDGE}/1x1", f"{_EDGE}/bn_1"),
}
CIFAR_STEM = ("l1_stem_3x3", "l1_stem_bn")
WEIGHTS = {
    "kernel": "/weights",
    "depthwise_kernel": "/depthwise_weights",
    "pointwise_kernel": "/pointwise_weights",
    "bias": "/biases",
    "gamma": "/gamma",
    "beta": "/beta",
    "moving_mean": "/moving_mean",
    "moving_variance": "/moving_variance",
}
STEMS = (f"{UNITS['stem'][0]}/weights", f"{CIFAR_STEM[0]}/weights")


def read(file: File) -> NamedArrays | None:
    """The variables of a TensorFlow checkpoint with slim's stem."""
    arrays = file.once(read_checkpoint)
    if arrays is None:
        return None
    if not any(name.startswith(STEMS) for name in arrays):
        file.hints.append(f"slim's {' or '.join(STEMS)} is missing")
        return None
    return NamedArrays(arrays, partial(_pair, arrays), "/aux_logits/", has_background=True)


def _pair(arrays: Mapping[str, Array], variables: Variables, raw: bool) -> Pairs:
    plain = _names(arrays, variables)
    names = dict(plain)
    for are_statistics in (True, False):
        group = [path for path in plain if path.endswith(STATISTICS) == are_statistics]
        if not raw and any(plain[path] + AVERAGE in arrays for path in group):
            names |= {path: plain[path] + AVERAGE for path in group}
    pairs = Pairs({path: arrays[name] for path, name in names.items() if name in arrays})
    known, taken = set(plain.values()), set(names.values())
    for name in sorted(arrays.keys() - taken):
        base, _, last = name.rpartition("/")
        if name in OF_OPTIMIZER or (last in SLOTS and base in known):
            pairs.skip("optimizer state", name)
        elif name in known:
            pairs.skip("raw weights, replaced by their moving averages", name)
        elif base in known and f"/{last}" == AVERAGE:
            pairs.skip("moving averages, replaced by the raw weights", name)
        else:
            pairs.found[name] = arrays[name]
    return pairs


def _names(arrays: Mapping[str, Array], variables: Variables) -> dict[str, str]:
    """Slim's name for each of our variables."""
    cells = cell_names(variables, counts_reduction(arrays))
    units = dict(UNITS)
    if any(name.startswith(STEMS[1]) for name in arrays):
        units["stem"] = CIFAR_STEM
    if "reduction_cell_1" in cells:
        before = list(cells.values())[list(cells).index("reduction_cell_1") - 1]
        scope = f"{before.replace('cell', 'aux')}/aux_logits"
        units["auxiliary_projection"] = (f"{scope}/proj", f"{scope}/aux_bn0")
        units["auxiliary_full_map"] = (f"{scope}/Conv", f"{scope}/aux_bn1")
        units["auxiliary_classifier"] = (f"{scope}/FC", "")
    return names_of(variables, units, WEIGHTS, cells)
