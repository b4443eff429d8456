"""Slim's networks and their checkpoints, written from slim's code and not from ours."""

import re

import numpy as np

# Cells as slim's nasnet_utils.py and pnasnet.py state them: operations, states that are no part
# of the output, inputs.
SLIM_NORMAL = (
    "separable_5x5_2 separable_3x3_2 separable_5x5_2 separable_3x3_2 avg_pool_3x3 "
    "none avg_pool_3x3 avg_pool_3x3 separable_3x3_2 none",
    [1, 0, 0, 0, 0, 0, 0],
    [0, 1, 1, 1, 0, 1, 1, 1, 0, 0],
)
SLIM_REDUCTION = (
    "separable_5x5_2 separable_7x7_2 max_pool_3x3 separable_7x7_2 avg_pool_3x3 "
    "separable_5x5_2 none avg_pool_3x3 separable_3x3_2 max_pool_3x3",
    [1, 1, 1, 0, 0, 0, 0],
    [0, 1, 0, 1, 0, 1, 3, 2, 2, 0],
)
SLIM_PNASNET = (
    "separable_5x5_2 max_pool_3x3 separable_7x7_2 max_pool_3x3 separable_5x5_2 "
    "separable_3x3_2 separable_3x3_2 max_pool_3x3 separable_3x3_2 none",
    [1, 1, 0, 0, 0, 0, 0],
    [1, 1, 0, 0, 0, 0, 4, 0, 1, 0],
)


class SlimNetwork:
    """Names and shapes of the variables of slim's networks, in `variables`.

    A tensor is its channels and its stride. Written from slim's nasnet.py, nasnet_utils.py and
    pnasnet.py, statement for statement.
    """

    def __init__(self, num_cells, filters, stem_filters, classes, **settings):
        self.variables = {}
        self.filters, self.classes = filters, classes
        self.skips = settings.get("skip_reduction", False)
        self.is_pnasnet = settings.get("is_pnasnet", False)
        self.auxiliary_map = settings.get("auxiliary_map")  # size before its last convolution
        outputs = [None]
        if settings.get("stem", "imagenet") == "imagenet":
            self.convolution("conv0", 3, 3, stem_filters, "conv0_bn")
            outputs.append((stem_filters, 2))
            for number, scaling in ((0, 0.25), (1, 0.5)):
                scope = f"cell_stem_{number}"
                outputs.append(self.cell(scope, scaling, 2, outputs[-1], outputs[-2]))
        else:
            self.convolution("l1_stem_3x3", 3, 3, stem_filters, "l1_stem_bn")
            outputs.append((stem_filters, 1))
        self.cells(num_cells, outputs)
        self.dense("final_layer/FC", outputs[-1][0])

    def cells(self, num_cells, outputs):
        scaling, reductions = 1, [num_cells // 3, num_cells * 2 // 3]
        for number in range(num_cells):
            previous, stride = outputs[-2], 1
            if number in reductions:
                scaling *= 2
                if self.is_pnasnet:
                    stride = 2
                else:
                    scope = f"reduction_cell_{reductions.index(number)}"
                    outputs.append(self.cell(scope, scaling, 2, outputs[-1], outputs[-2]))
            if not self.skips:
                previous = outputs[-2]
            outputs.append(self.cell(f"cell_{number}", scaling, stride, outputs[-1], previous))
            if number == reductions[1] - 1 and self.auxiliary_map:
                self.auxiliary(f"aux_{number}/aux_logits", outputs[-1][0])

    def auxiliary(self, scope, channels):
        self.convolution(f"{scope}/proj", 1, channels, 128, f"{scope}/aux_bn0")
        self.variables[f"{scope}/Conv/weights"] = (*self.auxiliary_map, 128, 768)
        self.normalization(f"{scope}/aux_bn1", 768)
        self.dense(f"{scope}/FC", 768)

    def cell(self, scope, scaling, stride, net, previous):
        size = int(self.filters * scaling)
        cell = SLIM_PNASNET if self.is_pnasnet else (SLIM_NORMAL, SLIM_REDUCTION)[stride - 1]
        operations, used, indices = cell
        operations = operations.split()
        if previous is None:
            previous = net
        elif previous[1] != net[1]:
            previous = self.factorized_reduction(scope, previous, size)
        elif previous[0] != size:
            self.convolution(f"{scope}/prev_1x1", 1, previous[0], size, f"{scope}/prev_bn")
            previous = (size, previous[1])
        self.convolution(f"{scope}/1x1", 1, net[0], size, f"{scope}/beginning_bn")
        states = [(size, net[1]), previous]
        for i in range(5):
            for j, side in ((2 * i, "left"), (2 * i + 1, "right")):
                strides = stride if indices[j] < 2 else 1
                name = f"{scope}/comb_iter_{i}/{side}"
                self.operation(name, operations[j], states[indices[j]][0], size, strides)
            states.append((size, net[1] * stride))
        for i, is_used in enumerate(used):
            if is_used:
                continue
            name = f"{scope}/cell_output/reduction_{i}"
            if states[i][1] != states[-1][1]:
                self.factorized_reduction(name, states[i], size)
            elif states[i][0] != size:
                self.convolution(f"{name}/path_conv", 1, states[i][0], size, f"{name}/path_bn")
        return size * used.count(0), net[1] * stride

    def operation(self, scope, operation, channels, filters, stride):
        if operation.startswith("separable"):
            size = int(operation.split("_")[1][0])
            for i in (1, 2):
                name = f"{scope}/separable_{size}x{size}_{i}"
                self.variables[f"{name}/depthwise_weights"] = (size, size, channels, 1)
                self.variables[f"{name}/pointwise_weights"] = (1, 1, channels, filters)
                self.normalization(f"{scope}/bn_sep_{size}x{size}_{i}", filters)
                channels = filters
        elif channels != filters or (operation == "none" and stride > 1):
            self.convolution(f"{scope}/1x1", 1, channels, filters, f"{scope}/bn_1")

    def factorized_reduction(self, scope, net, filters):
        half = filters // 2
        self.variables[f"{scope}/path1_conv/weights"] = (1, 1, net[0], half)
        self.variables[f"{scope}/path2_conv/weights"] = (1, 1, net[0], half + filters % 2)
        self.normalization(f"{scope}/final_path_bn", filters)
        return filters, net[1] * 2

    def convolution(self, scope, size, channels, filters, normalization):
        self.variables[f"{scope}/weights"] = (size, size, channels, filters)
        self.normalization(normalization, filters)

    def normalization(self, scope, channels):
        for name in ("beta", "gamma", "moving_mean", "moving_variance"):
            self.variables[f"{scope}/{name}"] = (channels,)

    def dense(self, scope, channels):
        self.variables[f"{scope}/weights"] = (channels, self.classes)
        self.variables[f"{scope}/biases"] = (self.classes,)


def random_arrays(shapes, seed=0):
    """A random array for each name."""
    rng = np.random.default_rng(seed)
    return {name: rng.random(shape, "float32") + 0.1 for name, shape in shapes.items()}


def with_training_state(arrays, averages=True):
    """The arrays of a checkpoint in training: optimizer's slots, a step, moving averages."""
    result = dict(arrays)
    for name, array in arrays.items():
        if averages:
            result[f"{name}/ExponentialMovingAverage"] = array + 1
        if "moving_" not in name:
            result[f"{name}/RMSProp"] = result[f"{name}/RMSProp_1"] = array
    return result | {"global_step": np.array(7, "int64")}


def write_checkpoint(arrays, prefix):
    """A TensorFlow checkpoint of these names."""
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=[tf.constant(array) for array in arrays.values()],
    )
    return prefix


STATISTICS = {
    "weight": "gamma",
    "bias": "beta",
    "running_mean": "moving_mean",
    "running_var": "moving_variance",
}
SLIM_OF_TORCH = (  # unit of convolution, of batch normalization
    (r"conv_?0\.(conv|bn)", "conv0", "conv0_bn"),
    (r"(\w+)\.conv_1x1\.(conv|bn)", r"\1/1x1", r"\1/beginning_bn"),
    (r"(\w+)\.conv_prev_1x1\.(conv|bn)", r"\1/prev_1x1", r"\1/prev_bn"),
    (r"(\w+?)\.(?:conv_prev_1x1\.)?path_(\d)\.conv", r"\1/path\2_conv", None),
    (r"(\w+?)\.(?:conv_prev_1x1\.)?final_path_bn", None, r"\1/final_path_bn"),
    (
        r"(\w+)\.comb_iter_(\d)_(left|right)\.(conv|bn)",
        r"\1/comb_iter_\2/\3/1x1",
        r"\1/comb_iter_\2/\3/bn_1",
    ),
    (
        r"(\w+)\.comb_iter_(\d)_(left|right)\.(?:separable|bn_sep)_(\d)(?:\.\w+_conv2d)?",
        r"\1/comb_iter_\2/\3/separable_KxK_\4",
        r"\1/comb_iter_\2/\3/bn_sep_KxK_\4",
    ),
)


def slim_from_torch(state):
    """A state dict's arrays under slim's names, with a background class before the others."""
    result = {}
    for key, array in state.items():
        unit, _, weight = key.rpartition(".")
        if weight == "num_batches_tracked":
            continue
        if unit == "last_linear":
            name = f"final_layer/FC/{'weights' if weight == 'weight' else 'biases'}"
            array = np.concatenate([np.full_like(array[:1], 9), array]).T
            result[name] = np.ascontiguousarray(array)
            continue
        name = next(
            match.expand(convolution if array.ndim == 4 else normalization)
            for pattern, convolution, normalization in SLIM_OF_TORCH
            if (match := re.fullmatch(pattern, unit))
        )
        if "KxK" in name:
            depthwise = re.sub(
                r"(separable|bn_sep)_(\d)(\.\w+)?$", r"separable_\2.depthwise_conv2d.weight", unit
            )
            size = state[depthwise].shape[-1]
            name = name.replace("KxK", f"{size}x{size}")
        if array.ndim == 1:
            name = f"{name}/{STATISTICS[weight]}"
        elif "depthwise" in unit:
            name, array = f"{name}/depthwise_weights", array.transpose(2, 3, 0, 1)
        else:
            kind = "pointwise_weights" if "pointwise" in unit else "weights"
            name, array = f"{name}/{kind}", array.transpose(2, 3, 1, 0)
        result[name] = np.ascontiguousarray(array)
    return result
