"""Other projects' weight files: the same outputs as their own code, all or nothing.

Needs TensorFlow, PyTorch and timm; the two 331 x 331 networks take minutes.

    KERAS_BACKEND=tensorflow python benchmarks/converters.py [damaged layouts slim timm]
"""

import gc
import random
import sys
import tempfile
from collections import Counter
from math import prod
from pathlib import Path

import keras
from safetensors.numpy import load_file
from safetensors.numpy import save_file as save_numpy

import keras_nasnet

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.attempt import attempt
from support.networks import images, randomize, relative_difference, weights_of
from support.slim import (
    SlimNetwork,
    random_arrays,
    slim_from_torch,
    with_training_state,
    write_checkpoint,
)
from support.torch_networks import timm_network, torch_from_applications, torch_logits
from support.weight_files import (
    damaged_files,
    write_layout,
    write_legacy,
)

CADENE_MOBILE = [*range(4), *range(6, 10), *range(12, 16)]


def beside_timm(folder: Path) -> None:
    for theirs, ours in (("NASNetALarge", "NASNetLarge"), ("PNASNet5Large", "PNASNetLarge")):
        network = timm_network(theirs)
        state = {key: value.numpy() for key, value in network.state_dict().items()}
        save_numpy(state, folder / "network.safetensors")
        model = getattr(keras_nasnet, ours)(
            (None, None, 3),
            weights=folder / "network.safetensors",
            pool_padding="average_zeros",
            classifier_activation=None,
        )
        count = sum(parameter.numel() for parameter in network.parameters())
        print(f"{theirs}: {count:,} parameters there, {trainable(model):,} here")
        for size in ((331, 331), (224, 300)):
            x = images(1, *size, 3)
            wanted = torch_logits(network, x)
            difference = relative_difference(model(x, training=False), wanted)
            print(f"{theirs} {size[0]} x {size[1]}: {difference:.1e}", flush=True)
        del network, model
        keras.utils.clear_session()
        gc.collect()


def every_variable_of_slim(folder: Path) -> None:
    """Each network with the arrays of a training checkpoint, all of which must be recognised."""
    networks = {
        "NASNetMobile": (SlimNetwork(12, 44, 32, 1001, auxiliary_map=(4, 4)), 224),
        "NASNetLarge": (
            SlimNetwork(18, 168, 96, 1001, skip_reduction=True, auxiliary_map=(6, 6)),
            331,
        ),
        "NASNetCIFAR": (SlimNetwork(18, 32, 96, 10, stem="cifar", auxiliary_map=(4, 4)), 32),
        "PNASNetMobile": (SlimNetwork(9, 54, 32, 1001, is_pnasnet=True), 224),
        "PNASNetLarge": (SlimNetwork(12, 216, 96, 1001, is_pnasnet=True), 331),
    }
    for name, (slim, side) in networks.items():
        arrays = random_arrays(slim.variables)
        for averages in (True, False):
            state = with_training_state(arrays, averages)
            prefix = write_checkpoint(state, folder / "model.ckpt")
            for auxiliary in (True, False) if slim.auxiliary_map else (False,):
                model = getattr(keras_nasnet, name)(
                    (side, side, 3), weights=prefix, auxiliary=auxiliary
                )
                wanted = {
                    key: array[..., 1:] if array.shape[-1] == 1001 else array
                    for key, array in arrays.items()
                    if auxiliary or not key.startswith("aux_")
                }
                contents = sorted((array + averages).tobytes() for array in wanted.values())
                exact = contents == sorted(weight.tobytes() for weight in weights_of(model))
                print(
                    f"slim {name}, moving averages {averages}, auxiliary head {auxiliary}: "
                    f"{len(wanted)} of {len(state)} arrays, all exact: {exact}",
                    flush=True,
                )
                del model
                keras.utils.clear_session()
                gc.collect()


def one_network_in_three_layouts(folder: Path, name: str, size: int, numbers) -> None:
    """keras.applications' weights as its own file, as slim's and as a PyTorch state dict."""
    theirs = randomize(getattr(keras.applications, name)(weights=None, input_shape=(size, size, 3)))
    num_cells = len(numbers) // 3
    state = torch_from_applications(theirs, num_cells, numbers)
    slim = slim_from_torch(torch_from_applications(theirs, num_cells, range(len(numbers))))
    write_legacy(theirs, folder / "legacy.h5")
    save_numpy(state, folder / "network.safetensors")
    write_checkpoint(slim, folder / "model.ckpt")
    del theirs, state, slim
    keras.utils.clear_session()
    gc.collect()
    x = images(1, size, size, 3)
    logits = []
    for file in ("legacy.h5", "network.safetensors", "model.ckpt"):
        model = getattr(keras_nasnet, name)(weights=folder / file, classifier_activation=None)
        logits.append(keras.ops.convert_to_numpy(model(x, training=False)))
        del model
        keras.utils.clear_session()
        gc.collect()
    differences = [relative_difference(other, logits[0]) for other in logits[1:]]
    print(f"{name}, keras.applications against timm and slim: {differences}", flush=True)


def all_or_nothing(folder: Path, places: int = 20) -> None:
    from support.applications import applications_nasnet, like_applications

    theirs = randomize(applications_nasnet(classes=1000))
    torch_arrays = torch_from_applications(theirs, 4, CADENE_MOBILE)
    slim = slim_from_torch(torch_from_applications(theirs, 4, range(12)))
    save_numpy(torch_arrays, folder / "network.safetensors")
    model = like_applications(input_shape=(64, 64, 3), weights=folder / "network.safetensors")
    keras_nasnet.save_safetensors(model, folder / "own.safetensors")
    layouts = {
        "slim": with_training_state(slim),
        "timm": torch_arrays,
        "cadene": torch_arrays,
        "own": load_file(folder / "own.safetensors"),
    }
    for layout, arrays in layouts.items():
        outcomes = Counter(
            f"{'truncated' if kind == 'truncated' else 'fault'} {attempt(model, path, None)}"
            for kind, path in damaged_files(layout, arrays, folder, random.Random(0), places)
        )
        whole = attempt(model, write_layout(layout, arrays, folder)[0], None)
        print(f"{layout}, the whole file: {whole}; damaged: {dict(outcomes)}", flush=True)


def trainable(model) -> int:
    return sum(prod(weight.shape) for weight in model.trainable_weights)


PARTS = {
    "damaged": all_or_nothing,
    "layouts": lambda folder: (
        one_network_in_three_layouts(folder, "NASNetMobile", 224, CADENE_MOBILE),
        one_network_in_three_layouts(folder, "NASNetLarge", 331, range(18)),
    ),
    "slim": every_variable_of_slim,
    "timm": beside_timm,
}

if __name__ == "__main__":
    print(f"Keras {keras.__version__} on {keras.config.backend()}")
    for part in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory() as name:
            PARTS[part](Path(name))
