"""Fused models against the models they are made of."""

import os
import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import keras
import numpy as np
import pytest
from support import TESTS
from support.networks import (
    assert_same_weights,
    images,
    one_block,
    randomize,
    relative_difference,
    weights_of,
)

import keras_nasnet
from keras_nasnet import Block, CellSpec, Edge, fuse
from keras_nasnet.cells.catalog import GENOTYPES
from keras_nasnet.cells.genotype import COMBINERS, loose_ends
from keras_nasnet.cells.layout import output_width
from keras_nasnet.cells.operation import OPERATIONS
from keras_nasnet.layers import Cell, FusedCell
from keras_nasnet.search import SearchSpace

every_backend = pytest.mark.every_backend
tensorflow = pytest.mark.skipif(
    keras.config.backend() != "tensorflow", reason="of TensorFlow's functions"
)


def difference(model, fused, *shape):
    x = images(*shape)
    wanted = keras.ops.convert_to_numpy(model(x, training=False))
    return relative_difference(fused(x, training=False), wanted)


TRAINING = {"auxiliary": True, "drop_path_rate": 0.3, "drop_path_steps": 10, "dropout_rate": 0.5}


@every_backend
@pytest.mark.parametrize(
    "options",
    [
        {"stem": "imagenet", "input_shape": (45, 70, 3), "skip_reduction": True},
        {"classifier_activation": None} | TRAINING,
        {"input_shape": (None, None, 3), "include_top": False},
        {"include_top": False, "pooling": "max"},
    ],
)
def test_results_are_those_of_the_model(options):
    model = randomize(one_block(**options))
    height, width = (size or 53 for size in model.input_shape[1:3])
    assert difference(model, fuse(model), 2, height, width, 3) <= 1e-5


def fused_and_not(spec, strides=1, channels=6, previous_channels=5, **options):
    """A cell with random weights, and fused, called on the same states of odd and even size."""
    cell = Cell(spec, 4, strides, 2, **options)
    states = [images(2, 7, 10, channels), images(2, 13, 20, previous_channels, seed=1)]
    wanted = cell(states)
    randomize(cell)
    wanted = keras.ops.convert_to_numpy(cell(states, training=False))
    fused = FusedCell.from_config(cell.get_config())
    fused(states)
    fused.assign(cell)
    return keras.ops.convert_to_numpy(fused(states)), wanted


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("pool_padding", ["same", "zeros"])
def test_every_operation_and_combiner(strides, pool_padding):
    """Each operation on the left of one operation and the right of another, on every state."""
    operations = [*OPERATIONS, next(iter(OPERATIONS))]
    blocks = [
        Block(Edge(left, index % 2), Edge(right, (index + 1) % 2))
        for index, (left, right) in enumerate(pairwise(operations))
    ]
    blocks += [
        Block(Edge("separable_3x3", 2), Edge("average_pool_3x3", 1), combine)
        for combine in COMBINERS
    ]
    spec = CellSpec(tuple(blocks), loose_ends(blocks))
    result, wanted = fused_and_not(spec, strides, pool_padding=pool_padding)
    assert result.shape == wanted.shape
    assert relative_difference(result, wanted) <= 1e-5


def test_inputs_of_another_size_in_the_output():
    blocks = (Block(Edge("max_pool_3x3", 0), Edge("separable_3x3", 0), "concat"),)
    for output in ((1, 2), (0, 1, 2)):
        result, wanted = fused_and_not(CellSpec(blocks, output), strides=2)
        assert relative_difference(result, wanted) <= 1e-5


@pytest.mark.parametrize("name", GENOTYPES)
def test_genotypes_of_the_catalogue(name):
    shape = (32, 32, 3)
    filters = 16 * output_width(GENOTYPES[name].normal)
    model = keras_nasnet.NASNet(GENOTYPES[name], 1, filters, classes=10, input_shape=shape)
    assert difference(randomize(model), fuse(model), 2, *shape) <= 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(50))
def test_random_genotypes(seed):
    space = SearchSpace(combiners=tuple(COMBINERS))
    rng = random.Random(seed)
    genotype = space.decode([rng.randrange(count) for _, count in space])
    model = keras_nasnet.NASNet(
        genotype,
        1,
        16 * output_width(genotype.normal),
        stem="cifar",
        classes=10,
        classifier_activation=None,
        input_shape=(32, 32, 3),
    )
    assert difference(randomize(model, seed), fuse(model), 2, 32, 32, 3) <= 1e-4


@every_backend
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_precision_and_a_file(precision, tmp_path):
    model = randomize(one_block())
    fused = fuse(model, precision)
    x = images(2, 32, 32, 3)
    result = keras.ops.convert_to_numpy(fused(x))
    assert result.dtype == "float32"
    tolerance = 1e-5 if precision == "float32" else 0.05
    assert relative_difference(model(x), result) <= tolerance
    cells = [layer for layer in fused.layers if isinstance(layer, FusedCell)]
    assert {weight.dtype for cell in cells for weight in cell.weights} == {precision}
    fused.save(tmp_path / "fused.keras")
    loaded = keras.saving.load_model(tmp_path / "fused.keras")
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(loaded(x)), result)


@every_backend
def test_a_network_inside_of_another_model():
    backbone = randomize(one_block(include_top=False, pooling="avg"))
    model = keras.Sequential([keras.layers.Rescaling(0.5), backbone, keras.layers.Dense(3)])
    model.build((None, 32, 32, 3))
    assert difference(model, fuse(model), 2, 32, 32, 3) <= 1e-5


def test_a_loaded_model_of_mixed_precision_is_fused_as_well_and_stays_as_it_is(tmp_path):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = randomize(one_block())
    finally:
        keras.config.set_dtype_policy("float32")
    model.save(tmp_path / "model.keras")
    before = weights_of(model)
    exact = one_block()
    exact.set_weights(model.get_weights())
    fused = fuse(keras.saving.load_model(tmp_path / "model.keras"))
    assert difference(exact, fused, 2, 32, 32, 3) <= 1e-5
    assert_same_weights(model, before)


@tensorflow
def test_nothing_of_a_cell_is_computed_twice():
    import tensorflow as tf

    cell = FusedCell(keras_nasnet.NASNET_A.normal, 4)
    states = [tf.TensorSpec((1, 8, 8, channels)) for channels in (24, 16)]
    graph = tf.function(lambda *states: cell(states)).get_concrete_function(*states).graph
    counts = Counter(operation.type for operation in graph.get_operations())
    assert counts["AvgPool"] == 2  # of h and p
    assert counts["Relu"] == 2 + 2 + 5  # the inputs, h and p, within the separable operations
    assert counts["DepthwiseConv2dNative"] == 2 * 5
    assert counts["Conv2D"] == 2 + 2 * 5  # h and p, both of each operation
    assert not any("Norm" in name for name in counts)


PREDICT = """
from support.networks import images, randomize, tiny
import keras_nasnet
keras_nasnet.fuse(randomize(tiny())).predict(images(1, 32, 32, 3))
"""


@pytest.mark.slow
def test_tensorflow_can_optimize_the_graph():
    """Its remapper fails on the sum of a block that a ReLU and a pool read, and says so."""
    if keras.config.backend() != "tensorflow":
        pytest.skip("TensorFlow is not the backend")
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([TESTS, *sys.path]),
        "TF_CPP_MIN_LOG_LEVEL": "0",
        "TF_ENABLE_ONEDNN_OPTS": "1",
    }
    result = subprocess.run(
        [sys.executable, "-c", PREDICT], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "remapper failed" not in result.stderr


@tensorflow
def test_predict_has_the_weights_that_were_set_last(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_nasnet.layers.fused.VARIABLE_BYTES", 1000)  # weights of both kinds
    model = randomize(one_block())
    fused = fuse(model)
    x = images(3, 32, 32, 3)
    for batch_size in (1, 2, 3):
        result = fused.predict(x, batch_size=batch_size, verbose=0)
        np.testing.assert_allclose(result, model(x), atol=1e-6)
    sizes = [keras.ops.size(weight) for weight in fused.weights]
    fused.weights[int(np.argmin(sizes))].assign_add([1.0] * int(min(sizes)))
    result = fused.predict_on_batch(x)
    np.testing.assert_allclose(result, model(x), atol=1e-6, err_msg="small ones are constants")
    others = fuse(randomize(model, seed=1))
    others.save_weights(tmp_path / "others.weights.h5")
    for change in (
        lambda: fused.load_weights(tmp_path / "others.weights.h5"),
        lambda: fused.set_weights([weight / 2 for weight in fused.get_weights()]),
        lambda: fused.compile(),
    ):
        change()
        np.testing.assert_allclose(fused.predict_on_batch(x), fused(x), atol=1e-6)


REFUSED = {
    "a fused model": lambda: fuse(one_block()),
    "another network": lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]),
    "no model": lambda: "model.keras",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_nasnet_is_refused(name):
    with pytest.raises(ValueError, match="wanted a NASNet of this package"):
        fuse(REFUSED[name]())


def test_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="'int8' is not known; allowed are float32, bfloat16"):
        fuse(one_block(), "int8")
