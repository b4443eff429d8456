"""Networks and state dicts of PyTorch, written from the code of others and not from ours."""

import re

import keras
import numpy as np


def timm_network(name, **settings):
    """timm's `NASNetALarge` or `PNASNet5Large` with random weights and statistics."""
    import torch

    registered = torch.library.Library("torchvision", "FRAGMENT")
    for operator in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, operator):
            # PyPI's torchvision has none beside PyTorch's build for CPUs, and timm imports it.
            registered.define(f"{operator}(Tensor dets, Tensor scores, float t) -> Tensor")
    from timm.models import nasnet, pnasnet

    module = nasnet if name == "NASNetALarge" else pnasnet
    network = getattr(module, name)(pad_type="same", **settings).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if key.endswith("running_var") or (tensor.ndim == 1 and key.endswith("weight")):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif tensor.ndim == 1:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.3)
            elif tensor.ndim > 1:
                values = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(values / np.sqrt(np.prod(tensor.shape[1:])))
    return network


def torch_logits(network, images):
    """What a PyTorch network makes of images with the channels last."""
    import torch

    with torch.no_grad():
        return network(torch.from_numpy(images.transpose(0, 3, 1, 2).copy())).numpy()


EDGES = {  # keras.applications' branches
    "normal": {"left1": "0_left", "right1": "0_right", "left2": "1_left", "right2": "1_right",
               "left5": "4_left"},
    "reduction": {"left1": "0_left", "right1": "0_right", "right2": "1_right", "right3": "2_right",
                  "left4": "4_left"},
}  # fmt: skip


def torch_from_applications(model, num_cells, numbers):
    """The weights of keras.applications' network as a state dict.

    Args:
        model: with `num_cells` normal cells in a stage.
        numbers: of the normal cells in the state dict.
    """
    cells = {"stem_1": "cell_stem_0", "stem_2": "cell_stem_1"}
    cells |= {f"reduce_{num_cells * (i + 1)}": f"reduction_cell_{i}" for i in (0, 1)}
    ids = [i for i in range(3 * num_cells + 1) if i != num_cells]
    cells |= {str(i): f"cell_{number}" for i, number in zip(ids, numbers, strict=True)}
    state = {}
    for layer in model.layers:
        if not layer.weights:
            continue
        unit = _torch_unit(layer.name, cells, {layer.name for layer in model.layers})
        arrays = [keras.ops.convert_to_numpy(weight) for weight in layer.weights]
        if layer.name == "predictions":
            names, arrays[0] = (".weight", ".bias"), arrays[0].T
        elif len(arrays) == 4:
            names = (".weight", ".bias", ".running_mean", ".running_var")
        elif len(arrays) == 2:
            names = (".depthwise_conv2d.weight", ".pointwise_conv2d.weight")
            arrays = [arrays[0].transpose(2, 3, 0, 1), arrays[1].transpose(3, 2, 0, 1)]
        else:
            names, arrays = (".weight",), [arrays[0].transpose(3, 2, 0, 1)]
        state |= {
            unit + name: np.ascontiguousarray(array)
            for name, array in zip(names, arrays, strict=True)
        }
    return state


def _torch_unit(name, cells, names):
    fixed = {"stem_conv1": "conv0.conv", "stem_bn1": "conv0.bn", "predictions": "last_linear"}
    if name in fixed:
        return fixed[name]
    if match := re.fullmatch(r"separable_conv_(\d)(_bn)?_(normal|reduction)_(\w+?)_(\w+)", name):
        number, is_norm, kind, edge, cell = match.groups()
        unit = f"bn_sep_{number}" if is_norm else f"separable_{number}"
        return f"{cells[cell]}.comb_iter_{EDGES[kind][edge]}.{unit}"
    if match := re.fullmatch(r"(?:normal|reduction)_(conv|bn)_1_(\w+)", name):
        return f"{cells[match[2]]}.conv_1x1.{match[1]}"
    kind, which, cell = re.fullmatch(
        r"adjust_(conv|bn)_(?:([12]|projection)_)?(\w+)", name
    ).groups()
    if f"adjust_conv_1_{cell}" not in names:
        return f"{cells[cell]}.conv_prev_1x1.{kind}"
    return f"{cells[cell]}.{'final_path_bn' if kind == 'bn' else f'path_{which}.conv'}"
