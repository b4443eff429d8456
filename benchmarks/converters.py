"""Weight files of others: the same numbers as in their own code, all or nothing.

Needs TensorFlow, PyTorch and timm; the two networks for 331 x 331 take minutes.

    KERAS_BACKEND=tensorflow python benchmarks/converters.py
"""

import gc
import sys
import tempfile
from math import prod
from pathlib import Path

import keras
from safetensors.torch import save_file

import keras_nasnet

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from conftest import images, relative_difference
from layouts import timm_network, torch_logits


def beside_timm(folder: Path) -> None:
    for theirs, ours in (("NASNetALarge", "NASNetLarge"), ("PNASNet5Large", "PNASNetLarge")):
        network = timm_network(theirs)
        save_file(network.state_dict(), folder / "network.safetensors")
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


def trainable(model) -> int:
    return sum(prod(weight.shape) for weight in model.trainable_weights)


if __name__ == "__main__":
    print(f"Keras {keras.__version__} on {keras.config.backend()}")
    with tempfile.TemporaryDirectory() as name:
        beside_timm(Path(name))
