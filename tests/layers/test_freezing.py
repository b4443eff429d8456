"""Frozen means frozen: in every order of setting, building, saving, loading, cloning, nesting."""

from itertools import product

import keras
import numpy as np
import pytest
from support.networks import images, one_block, randomize, tiny

from keras_nasnet import NASNET_A, unfreeze
from keras_nasnet.layers import AuxiliaryHead, Cell, ConvolutionUnit, FactorizedReduction, Operation

pytestmark = pytest.mark.every_backend

SHAPE = (9, 9, 4)
LAYERS = {
    "Dense": lambda **o: keras.layers.Dense(3, name="layer", **o),
    "Sequential": lambda **o: keras.Sequential(
        [keras.layers.Dense(3), keras.layers.BatchNormalization()], name="layer", **o
    ),
    "Cell": lambda **o: Cell(NASNET_A.normal, 4, name="layer", **o),
    "ConvolutionUnit": lambda **o: ConvolutionUnit(4, 3, name="layer", **o),
    "FactorizedReduction": lambda **o: FactorizedReduction(4, name="layer", **o),
    "Operation": lambda **o: Operation("separable_3x3", 4, name="layer", **o),
    "AuxiliaryHead": lambda **o: AuxiliaryHead(3, name="layer", **o),
}


def thaw(model):
    for value in (True, False, True):  # TensorFlow skips what sets the value that is there
        model.trainable = value
    return model


def _around(layer):
    image = keras.Input(SHAPE)
    return keras.Model(image, layer(image))


def _frozen_in_constructor(make):
    return _around(make(trainable=False))


def _frozen_before_build(make):
    layer = make()
    layer.trainable = False
    return _around(layer)


def _frozen_after_build(make):
    model = _around(make())
    model.get_layer("layer").trainable = False
    return model


def _frozen_by_the_model(make):
    model = _around(make())
    model.trainable = False
    return model


def _thawed_before_build(make):
    layer = make(trainable=False)
    layer.trainable = True
    return _around(layer)


def _thawed_after_build(make):
    return thaw(_frozen_before_build(make))


def _from_config(model, folder):
    return type(model).from_config(model.get_config())


def _loaded(model, folder):
    model.save(folder / "model.keras")
    return keras.saving.load_model(folder / "model.keras")


def _nested_and_loaded(model, folder):
    around = keras.Sequential([keras.Input(model.input_shape[1:]), model])
    return _loaded(around, folder).layers[-1]


def _cloned(model, folder):
    return keras.models.clone_model(model)


def _twice(model, folder):
    return _loaded(_from_config(model, folder), folder)


SETTINGS = (
    _frozen_in_constructor,
    _frozen_before_build,
    _frozen_after_build,
    _frozen_by_the_model,
    _thawed_before_build,
    _thawed_after_build,
)
COPIES = (_from_config, _loaded, _nested_and_loaded, _cloned, _twice)


def trained(model):
    """Paths of what is trained, without the names of the models around."""
    return sorted(variable.path.rpartition("model/")[2] for variable in model.trainable_variables)


@pytest.mark.parametrize("kind", LAYERS)
def test_every_layer_freezes_as_keras_own(kind, tmp_path):
    make = LAYERS[kind]
    everything = len(_around(make()).trainable_variables)
    for setting, copy in product(SETTINGS, (lambda model, folder: model, *COPIES)):
        # Sequential does not pass on the argument of its constructor.
        if kind == "Sequential" and setting is _frozen_in_constructor:
            continue
        model = copy(setting(make), tmp_path)
        wanted = everything if setting.__name__.startswith("_thawed") else 0
        assert len(model.trainable_variables) == wanted, (setting.__name__, copy)
        assert len(thaw(model).trainable_variables) == everything, (setting.__name__, copy)


@pytest.mark.parametrize("copy", COPIES)
def test_a_part_of_a_network_stays_frozen(copy, tmp_path):
    model = tiny(classes=3, stem="cifar", auxiliary=True)
    for layer in model.layers[: 1 + [layer.name for layer in model.layers].index("cell_01")]:
        layer.trainable = False
    kept = copy(model, tmp_path)
    assert trained(kept) == trained(model)
    assert not kept.get_layer("cell_01").trainable_variables
    assert kept.get_layer("cell_02").trainable_variables

    unfreeze(model, "cell_01")
    kept = copy(model, tmp_path)
    assert trained(kept) == trained(model)
    assert not kept.get_layer("reduction_cell_0").trainable_variables
    assert all(path.endswith("kernel") for path in trained(kept.get_layer("cell_01")))


def test_a_model_around_a_frozen_network_keeps_its_optimizer(tmp_path, recwarn):
    backbone = one_block(include_top=False, pooling="avg")
    backbone.trainable = False
    model = keras.Sequential([keras.Input((32, 32, 3)), backbone, keras.layers.Dense(3)])
    model.compile("adam", "mse")
    before = [keras.ops.convert_to_numpy(weight).copy() for weight in backbone.weights]
    model.fit(images(8, 32, 32, 3), np.ones((8, 3)), verbose=0)
    loaded = _loaded(model, tmp_path)
    assert len(loaded.trainable_variables) == len(model.trainable_variables) == 2
    for ours, theirs in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (ours, theirs)))
    assert not [warning for warning in recwarn if "optimizer" in str(warning.message)]
    # In inference mode: the statistics of batch normalization are what they were, too.
    loaded.fit(images(8, 32, 32, 3), np.ones((8, 3)), verbose=0)
    for weight, value in zip(loaded.layers[0].weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value, weight.path)


def test_unfrozen_cells_train_and_their_normalization_does_not(tmp_path):
    # As drawn at random, all of a layer's activations may be negative: nothing trains through ReLU.
    model = randomize(one_block(stem="imagenet", input_shape=(32, 32, 3), classes=3))
    for normalization in (False, True):
        unfreeze(model, "cell_01", normalization=normalization)
        copy = _loaded(model, tmp_path)
        copy.compile("sgd", "sparse_categorical_crossentropy")
        before = {v.path: keras.ops.convert_to_numpy(v).copy() for v in copy.weights}
        copy.fit(images(8, 32, 32, 3), np.arange(8) % 3, verbose=0)
        changed = {
            variable.path
            for variable in copy.weights
            if (keras.ops.convert_to_numpy(variable) != before[variable.path]).any()
        }
        assert any(path.startswith("cell_02/") for path in changed)
        assert any(path.startswith("predictions/") for path in changed)
        assert any("/moving_mean" in path for path in changed) == normalization
        assert not any(path.startswith(("stem", "cell_00", "reduction_cell_0")) for path in changed)


def test_unfreeze_names_what_it_cannot_find():
    model = one_block()
    with pytest.raises(ValueError, match=r"from_layer: nasnet has no layer 'cell_99'.*cell_02"):
        unfreeze(model, "cell_99")
    around = keras.Sequential([keras.Input((32, 32, 3)), model])
    with pytest.raises(ValueError, match="wanted a network of this package"):
        unfreeze(around)
