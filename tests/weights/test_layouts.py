"""Weight files of others: in their own names, in their own code, and damaged."""

import random
from importlib.util import find_spec

import keras
import numpy as np
import pytest
from safetensors import safe_open
from support.applications import applications_nasnet, like_applications
from support.attempt import attempt
from support.networks import (
    assert_same_weights,
    images,
    outputs,
    randomize,
    relative_difference,
    tiny,
    weights_of,
)
from support.slim import (
    SlimNetwork,
    random_arrays,
    slim_from_torch,
    with_training_state,
    write_checkpoint,
)
from support.torch_networks import timm_network, torch_from_applications, torch_logits
from support.weight_files import damaged_files, refused, write_legacy

import keras_nasnet
from keras_nasnet import NASNET_A
from keras_nasnet.cells.catalog import PNASNET_5
from keras_nasnet.cells.config import NASNetConfig
from keras_nasnet.layers.network import build

needs_timm = pytest.mark.skipif(find_spec("timm") is None, reason="timm is not installed")
every_backend = pytest.mark.every_backend


def small(layout, **options):
    """A small network, and the same one as slim names and shapes it."""
    kind = {"stem": "cifar", "stem_multiplier": 3} if layout == "cifar" else {}
    if layout == "pnasnet":
        config = NASNetConfig(PNASNET_5, 2, 5 * 4 * 6, counts_reduction=True, classes=10)
        model = build(config, keras.Input((None, None, 3)), **options)
        return model, SlimNetwork(6, 6, 32, 10, is_pnasnet=True)
    kind["skip_reduction"] = layout == "large"
    side = 128 if options.get("auxiliary") else 32
    model = keras_nasnet.NASNet(
        NASNET_A, 1, 96, classes=10, input_shape=(side, side, 3), **kind, **options
    )
    size = {"auxiliary_map": (2, 2)} if options.get("auxiliary") else {}
    stem = {"stem": "cifar"} if layout == "cifar" else {}
    filters = 12 if layout == "cifar" else 32
    skips = layout == "large"
    return model, SlimNetwork(3, 4, filters, 10, skip_reduction=skips, **stem, **size)


def assert_holds(model, arrays):
    """The model's weights are these arrays, each once: random ones are told apart by content."""
    ours = sorted(weight.tobytes() for weight in weights_of(model))
    assert ours == sorted(array.tobytes() for array in arrays.values())


@pytest.mark.parametrize("layout", ["mobile", "large", "cifar", "pnasnet"])
@pytest.mark.parametrize("averages", [False, True])
def test_a_checkpoint_of_slim_fills_every_variable(tmp_path, layout, averages):
    model, slim = small(layout)
    arrays = random_arrays(slim.variables)
    prefix = write_checkpoint(with_training_state(arrays, averages), tmp_path / "model.ckpt")
    keras_nasnet.load_weights(model, prefix)
    assert_holds(model, {name: array + 1 for name, array in arrays.items()} if averages else arrays)
    keras_nasnet.load_weights(model, f"{prefix}.index", raw=True)
    assert_holds(model, arrays)


def test_the_auxiliary_head_of_a_checkpoint(tmp_path):
    model, slim = small("mobile", auxiliary=True)
    arrays = random_arrays(slim.variables)
    prefix = write_checkpoint(with_training_state(arrays), tmp_path / "model.ckpt")
    keras_nasnet.load_weights(model, prefix)
    assert_holds(model, {name: array + 1 for name, array in arrays.items()})
    without, slim = small("mobile")
    keras_nasnet.load_weights(without, prefix, raw=True)
    assert_holds(without, {name: arrays[name] for name in slim.variables})
    del arrays["aux_1/aux_logits/proj/weights"]
    refused(model, write_checkpoint(arrays, tmp_path / "less.ckpt"), "auxiliary/projection/kernel")


def test_moving_averages_of_some_weights_are_refused(tmp_path):
    model, slim = small("mobile")
    arrays = with_training_state(random_arrays(slim.variables))
    del arrays["conv0/weights/ExponentialMovingAverage"]
    prefix = write_checkpoint(arrays, tmp_path / "model.ckpt")
    refused(model, prefix, "are missing, such as stem/kernel")


def test_the_background_class_is_left_out(tmp_path):
    slim = SlimNetwork(3, 4, 32, 1001)
    arrays = random_arrays(slim.variables)
    prefix = write_checkpoint(arrays, tmp_path / "model.ckpt")
    model = tiny(classes=1000, weights=prefix)
    wanted = arrays["final_layer/FC/weights"][:, 1:]
    np.testing.assert_array_equal(weights_of(model)[-2], wanted)
    model = tiny(classes=1001, weights=prefix)
    np.testing.assert_array_equal(weights_of(model)[-1], arrays["final_layer/FC/biases"])


@needs_timm
@every_backend
def test_nasnet_is_that_of_timm(tmp_path):
    import torch
    from safetensors.torch import save_file

    theirs = timm_network("NASNetALarge", num_features=96, stem_size=32, num_classes=10)
    save_file(theirs.state_dict(), tmp_path / "network.safetensors")
    model = keras_nasnet.NASNet(
        NASNET_A,
        6,
        96,
        skip_reduction=True,
        classes=10,
        input_shape=(None, None, 3),
        weights=tmp_path / "network.safetensors",
        pool_padding="average_zeros",
        classifier_activation=None,
    )
    for size in ((64, 64), (65, 97)):
        x = images(2, *size, 3)
        result = model(x, training=False)
        assert relative_difference(result, torch_logits(theirs, x)) <= 1e-5

    maps = keras.Model(model.input, model.pyramid_outputs)(x)
    with torch.no_grad():
        channels_first = torch.from_numpy(x.transpose(0, 3, 1, 2).copy())
        taps = theirs.forward_intermediates(channels_first, intermediates_only=True)
    for level, tap in zip(("P1", "P2", "P3", "P4", "P5"), taps, strict=True):
        assert relative_difference(maps[level], tap.permute(0, 2, 3, 1).numpy()) <= 1e-5


@pytest.mark.slow
@needs_timm
@every_backend
def test_pnasnet_is_that_of_timm(tmp_path):
    import torch

    theirs = timm_network("PNASNet5Large", num_classes=10)
    assert sum(p.numel() for p in theirs.parameters()) == 86_057_668 - 990 * 4321
    torch.save(theirs.state_dict(), tmp_path / "network.pth")
    model = keras_nasnet.PNASNetLarge(
        (65, 97, 3), classes=10, weights=tmp_path / "network.pth", classifier_activation=None
    )
    x = images(1, 65, 97, 3)
    assert relative_difference(model(x, training=False), torch_logits(theirs, x)) <= 1e-5


def test_one_set_of_weights_in_three_layouts(tmp_path):
    """keras.applications' file, slim's checkpoint and Cadene's state dict are one network."""
    from safetensors.numpy import save_file

    theirs = randomize(applications_nasnet(classes=1000))
    write_legacy(theirs, tmp_path / "legacy.h5")
    numbers = [*range(4), *range(6, 10), *range(12, 16)]
    save_file(torch_from_applications(theirs, 4, numbers), tmp_path / "network.safetensors")
    slim = slim_from_torch(torch_from_applications(theirs, 4, range(12)))
    assert {name: array.shape for name, array in slim.items()} == SlimNetwork(
        12, 4, 32, 1001
    ).variables
    write_checkpoint(slim, tmp_path / "model.ckpt")
    model = like_applications(input_shape=(64, 64, 3))
    keras_nasnet.load_weights(model, tmp_path / "legacy.h5")
    values = weights_of(model)
    x = images(2, 64, 64, 3)
    assert relative_difference(outputs(model, x), outputs(theirs, x)) <= 1e-5
    for path in (tmp_path / "network.safetensors", tmp_path / "model.ckpt"):
        randomize(model, seed=1)
        keras_nasnet.load_weights(model, path)
        assert_same_weights(model, values)


def test_damaged_files_are_refused_whole(tmp_path):
    slim = random_arrays(SlimNetwork(3, 4, 32, 10).variables)
    model = tiny(weights=write_checkpoint(slim, tmp_path / "model.ckpt"))
    keras_nasnet.save_safetensors(model, tmp_path / "tiny.safetensors")
    with safe_open(tmp_path / "tiny.safetensors", "numpy") as file:
        own = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    for layout, arrays in (("slim", slim), ("own", own)):
        for kind, path in damaged_files(layout, arrays, tmp_path, random.Random(0), places=4):
            assert attempt(model, path, None) == "refused", (layout, kind)


@every_backend
def test_safetensors_of_our_own(tmp_path):
    model = randomize(tiny())
    keras_nasnet.save_safetensors(model, tmp_path / "tiny.safetensors")
    assert_same_weights(tiny(weights=tmp_path / "tiny.safetensors"), weights_of(model))
    backbone = tiny(weights=tmp_path / "tiny.safetensors", include_top=False)
    assert_same_weights(backbone, weights_of(model)[:-2])


@every_backend
def test_other_numbers_of_channels(tmp_path):
    source = randomize(tiny())
    path = tmp_path / "tiny.weights.h5"
    source.save_weights(path)
    kernel = weights_of(source)[0]
    for channels, wanted in (
        (1, kernel.sum(2, keepdims=True)),
        (4, np.concatenate([kernel, kernel[:, :, :1]], 2) * 0.75),
    ):
        model = tiny(weights=path, input_shape=(None, None, channels))
        assert_same_weights(model, [np.float32(wanted), *weights_of(source)[1:]])
        refused(model, path, "stem/kernel")
    # The same image in all channels is the same image in one.
    grey = images(2, 32, 32, 1)
    result = tiny(weights=path, input_shape=(32, 32, 1))(grey, training=False)
    assert (
        relative_difference(
            result, keras.ops.convert_to_numpy(source(np.repeat(grey, 3, -1), training=False))
        )
        <= 1e-5
    )


@every_backend
def test_reset_classifier():
    x = images(2, 128, 128, 3)
    model = randomize(tiny(input_shape=(128, 128, 3), auxiliary=True, dropout_rate=0.5))
    reset = keras_nasnet.reset_classifier(model, 3)
    assert reset(x, training=False).shape == (2, 3)
    changed = [
        a.shape != b.shape for a, b in zip(weights_of(model), weights_of(reset), strict=True)
    ]
    assert sum(changed) == 4, "two kernels, two biases"
    for layer in model.layers[:-2]:
        assert reset.get_layer(layer.name) is layer
    head, other = model.get_layer("auxiliary"), reset.get_layer("auxiliary")
    for ours, wanted in zip(head.full_map.weights, other.full_map.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, wanted)))
    with pytest.raises(ValueError, match="has no classifier"):
        keras_nasnet.reset_classifier(tiny(include_top=False), 3)
    with pytest.raises(ValueError, match="classes.*got 0"):
        keras_nasnet.reset_classifier(model, 0)


def test_hub_names(tmp_path, monkeypatch):
    """From the hub's cache folder, which is written here as huggingface_hub writes it."""
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        ConnectionError,
        match="hf://timm/tiny is not in the Hugging Face Hub's cache.*cannot be reached",
    ):
        tiny(weights="hf://timm/tiny")
    commit = "0" * 40
    folder = tmp_path / "models--timm--tiny"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    (folder / "snapshots" / commit).mkdir(parents=True)
    model = randomize(tiny())
    keras_nasnet.save_safetensors(model, folder / "snapshots" / commit / "model.safetensors")
    for name in ("hf://timm/tiny", "hf://timm/tiny@main", "hf://timm/tiny/model.safetensors"):
        assert_same_weights(tiny(weights=name), weights_of(model))
    with pytest.raises(ValueError, match="wanted hf://OWNER/NAME"):
        tiny(weights="hf://tiny")
