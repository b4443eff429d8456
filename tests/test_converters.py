"""Weight files of others: in their own names, in their own code, and damaged."""

from importlib.util import find_spec

import keras
import numpy as np
import pytest
from conftest import (
    assert_same_weights,
    images,
    randomize,
    relative_difference,
    tiny,
    weights_of,
)
from layouts import (
    SlimNetwork,
    random_arrays,
    slim_from_torch,
    timm_network,
    torch_from_applications,
    torch_logits,
    with_training_state,
    write_checkpoint,
)
from test_weights import refused, write_legacy
from test_zoo import applications_nasnet, like_applications

import keras_nasnet
from keras_nasnet import NASNET_A
from keras_nasnet.catalog import PNASNET_5
from keras_nasnet.network import build
from keras_nasnet.plan import NASNetConfig

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
    assert relative_difference(model(x, training=False), theirs.predict(x, verbose=0)) <= 1e-5
    for path in (tmp_path / "network.safetensors", tmp_path / "model.ckpt"):
        randomize(model, seed=1)
        keras_nasnet.load_weights(model, path)
        assert_same_weights(model, values)


@every_backend
def test_safetensors_of_our_own(tmp_path):
    model = randomize(tiny())
    keras_nasnet.save_safetensors(model, tmp_path / "tiny.safetensors")
    assert_same_weights(tiny(weights=tmp_path / "tiny.safetensors"), weights_of(model))
    backbone = tiny(weights=tmp_path / "tiny.safetensors", include_top=False)
    assert_same_weights(backbone, weights_of(model)[:-2])
