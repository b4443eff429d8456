"""The layers against a float64 NumPy reference, and as Keras layers."""

import gc
import weakref
from functools import partial

import keras
import numpy as np
import pytest
from support import reference
from support.networks import images, randomize, relative_difference, weights_of

from keras_nasnet.cells.genotype import Block, CellSpec, Edge, loose_ends
from keras_nasnet.cells.operation import OPERATIONS
from keras_nasnet.layers import (
    Cell,
    ConvolutionUnit,
    FactorizedReduction,
    Operation,
    Pool,
    convolution,
    normalization,
)
from keras_nasnet.layers.convolution import convolve_depthwise
from keras_nasnet.layers.normalization import BatchNormalization

pytestmark = pytest.mark.every_backend

EPSILON = 1e-3
SIZES = [(8, 8), (7, 7), (9, 6)]


def reference_operation(op, x, w, filters, strides):
    both = (strides, strides)
    if op == "identity":
        if (x.shape[-1], strides) == (filters, 1):
            return x
        return reference.unit(x, w / "convolution_0", EPSILON, both)
    kind, _, size = op.rpartition("_")
    if kind.endswith("pool"):
        pool = reference.max_pool if kind == "max_pool" else reference.average_pool
        x = pool(x, int(size[0]), strides)
        if x.shape[-1] == filters:
            return x
        return reference.unit(x, w / "convolution_1", EPSILON, activation=lambda x: x)
    if kind == "separable":
        return reference.separable(x, w, EPSILON, strides)
    if kind == "dilated_conv":  # every other pixel of the result without strides
        x = reference.unit(x, w / "convolution_0", EPSILON, dilation=2)
        return x[:, ::strides, ::strides]
    if op in ("conv_1x3_3x1", "conv_1x7_7x1"):
        x = reference.unit(x, w / "convolution_0", EPSILON, (1, strides))
        return reference.unit(x, w / "convolution_1", EPSILON, (strides, 1))
    if op == "bottleneck_1x7_7x1":
        for i, stride in enumerate(((1, 1), (1, strides), (strides, 1), (1, 1))):
            x = reference.unit(x, w / f"convolution_{i}", EPSILON, stride)
        return x
    return reference.unit(x, w / "convolution_0", EPSILON, both)


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("strides", [1, 2])
def test_operation_is_the_reference(op, strides):
    for filters, size in ((6, SIZES[0]), (4, SIZES[1]), (4, SIZES[2])):
        layer = Operation(op, filters, strides)
        layer.build((None, None, None, 4))
        randomize(layer)
        x = images(2, *size, 4)
        wanted = reference_operation(
            op, x.astype("float64"), reference.Weights.of(layer), filters, strides
        )
        result = keras.ops.convert_to_numpy(layer(x, training=False))
        assert result.shape == wanted.shape == layer.compute_output_shape(x.shape)
        np.testing.assert_allclose(result, wanted, atol=1e-5 * np.ptp(wanted))


@pytest.mark.parametrize(
    "strides, cell", [(1, reference.normal_cell), (2, reference.reduction_cell)]
)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("previous_strides, previous_channels", [(1, 6), (1, 5), (2, 6)])
def test_nasnet_a_cell_is_the_reference(strides, cell, size, previous_strides, previous_channels):
    from keras_nasnet import NASNET_A

    spec = NASNET_A.normal if strides == 1 else NASNET_A.reduction
    layer = Cell(spec, 6, strides, previous_strides)
    current = images(3, *size, 10)
    # An odd size comes from an odd or an even one.
    previous_size = [n * previous_strides - (n % 2) * (previous_strides - 1) for n in size]
    previous = images(3, *previous_size, previous_channels, seed=1)
    layer([current, previous])
    randomize(layer)
    wanted = cell(
        current.astype("float64"), previous.astype("float64"), reference.Weights.of(layer), EPSILON
    )
    result = keras.ops.convert_to_numpy(layer([current, previous], training=False))
    assert result.shape == wanted.shape
    assert relative_difference(result, wanted) <= 1e-5


def test_first_cell_takes_the_raw_current_state_for_the_previous_one():
    from keras_nasnet import NASNET_A

    layer = Cell(NASNET_A.reduction, 6, 2)
    x = images(2, 9, 8, 10)
    layer(x)
    randomize(layer)
    double = x.astype("float64")
    wanted = reference.reduction_cell(double, double, reference.Weights.of(layer), EPSILON)
    assert relative_difference(layer(x, training=False), wanted) <= 1e-5


def test_searched_cell_concatenates_inputs_of_another_size_by_factorized_reduction():
    blocks = (Block(Edge("max_pool_3x3", 0), Edge("identity", 0), "concat"),)
    spec = CellSpec(blocks, loose_ends(blocks))
    assert spec.output == (1, 2)
    layer = Cell(spec, 4, strides=2)
    x = images(2, 7, 10, 5)
    result = layer(x, training=False)
    assert tuple(result.shape) == layer.compute_output_shape(x.shape) == (2, 4, 5, 4 + 8)
    w = reference.Weights.of(layer) / "output_1" / "factorized_reduction_0"
    wanted = reference.factorized_reduction(x.astype("float64"), w, EPSILON, lambda x: x)
    assert relative_difference(keras.ops.convert_to_numpy(result)[..., :4], wanted) <= 1e-5


@pytest.mark.parametrize(
    "combine, axes", [("add_layer_norm", (1, 2, 3)), ("add_instance_norm", (1, 2))]
)
def test_sums_are_normalized_where_the_block_says_so(combine, axes):
    block = Block(Edge("max_pool_3x3", 1), Edge("identity", 1), combine)
    layer = Cell(CellSpec((block,), (0, 2)), 5)
    x = images(2, 7, 10, 5)
    layer(x)
    randomize(layer)
    result = keras.ops.convert_to_numpy(layer(x, training=False))[..., 5:]
    total = reference.max_pool(x.astype("float64"), 3, 1) + x
    centred = total - total.mean(axes, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axes, keepdims=True) + EPSILON)
    w = reference.Weights.of(layer) / "block_0" / "normalization_0"
    assert relative_difference(result, normal * w["gamma"] + w["beta"]) <= 1e-5


@pytest.mark.parametrize("kind", ["average", "max"])
@pytest.mark.parametrize("size", SIZES)
def test_pool_with_zeros_counts_what_lies_beyond_the_border(kind, size):
    x = images(2, *size, 3) - 2  # negative, so that a zero would win a maximum
    taps = reference.windows(x.astype("float64"), (3, 3), (2, 2))
    wanted = taps.mean(0) if kind == "average" else taps.max(0)
    result = Pool(kind, 3, 2, pool_padding="zeros")(x)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(result), wanted, atol=1e-6)


LAYERS = [
    lambda: ConvolutionUnit(6, (1, 3), strides=(1, 2), relu=False, batch_norm_momentum=0.5),
    lambda: ConvolutionUnit(6, 3, dilation_rate=2, padding="valid"),
    lambda: FactorizedReduction(5, relu=False),
    lambda: Pool("max", 5, 2, pool_padding="zeros"),
    lambda: Operation("separable_7x7", 6, 2, batch_norm_epsilon=1e-2),
    lambda: Operation("adjust_previous", 6, 2),
    lambda: Cell(
        CellSpec((Block(Edge("conv_3x3", 0), Edge("dilated_conv_3x3", 1), "concat"),), (2,)), 6, 2
    ),
    lambda: Cell(
        CellSpec((Block(Edge("conv_1x1", 0), Edge("conv_1x1", 1), "add_layer_norm"),), (2,)), 6
    ),
]


@pytest.mark.parametrize("make", LAYERS)
def test_layer_round_trip_shapes_and_precision(make):
    x = images(2, 9, 12, 4)
    layer = make()
    result = layer(x)
    assert tuple(result.shape) == layer.compute_output_shape(x.shape)
    copy = type(layer).from_config(layer.get_config())
    copy(x)
    copy.set_weights(layer.get_weights())
    np.testing.assert_array_equal(
        keras.ops.convert_to_numpy(copy(x)), keras.ops.convert_to_numpy(result)
    )
    half = type(layer).from_config(layer.get_config() | {"dtype": "mixed_bfloat16"})
    assert keras.backend.standardize_dtype(half(x).dtype) == "bfloat16"
    assert all(weight.dtype == "float32" for weight in half.weights)


def test_paths_say_where_a_weight_is():
    from support.networks import tiny

    paths = {weight.path for weight in tiny().weights}
    assert "cell_01/block_1_left/separable_0/pointwise_kernel" in paths
    assert "reduction_cell_0/current/convolution_0/batch_normalization/moving_mean" in paths


@pytest.mark.skipif(keras.config.backend() == "torch", reason="has no XLA")
@pytest.mark.parametrize("strides, dilation_rate", [(1, 1), (2, 1), (2, 2)])
def test_depthwise_convolution_and_gradient_by_xla_are_the_native_ones(strides, dilation_rate):
    x, kernel = images(2, 9, 6, 4), images(3, 3, 4, 1, seed=1)
    settings = (strides, strides), dilation_rate
    native = partial(keras.ops.depthwise_conv, padding="same", data_format="channels_last")
    if dilation_rate == strides == 2:  # a plain convolution of every other pixel
        wanted = value_and_gradients(lambda x, k: native(x[:, ::2, ::2], k, 1), x, kernel)
    else:
        wanted = value_and_gradients(
            lambda x, k: native(x, k, strides, dilation_rate=dilation_rate), x, kernel
        )
    result = value_and_gradients(lambda x, k: convolve_depthwise(x, k, *settings), x, kernel)
    for ours, theirs in zip(result, wanted, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-4)


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="oneDNN is TensorFlow's")
@pytest.mark.parametrize("size", [(9, 6), (2, 3)])
@pytest.mark.parametrize("kernel_size", [(5, 5), (7, 7), (4, 6), (1, 7)])
def test_depthwise_convolution_and_gradient_by_columns_are_the_native_ones(
    kernel_size, size, monkeypatch
):
    x, kernel = images(3, *size, 4), images(*kernel_size, 4, 1, seed=1)
    results = []
    for is_used in (True, False):
        monkeypatch.setattr(convolution, "is_onednn_used", partial(bool, is_used))
        function = partial(convolve_depthwise, training=True)
        results.append(value_and_gradients(function, x, kernel, jit_compile=False))
        assert convolution._has_onednn(results[-1][1]) == is_used
    for ours, native in zip(*results, strict=True):
        np.testing.assert_allclose(ours, native, rtol=0, atol=1e-5 * np.abs(native).max())


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="oneDNN is TensorFlow's")
def test_wide_depthwise_kernels_are_trained_without_a_graph_too(monkeypatch):
    import tensorflow as tf

    x, layer = tf.constant(images(2, 5, 4, 3)), ConvolutionUnit(4, 5, separable=True)
    layer.build(x.shape)
    gradients = []
    for is_used in (True, False):
        monkeypatch.setattr(convolution, "is_onednn_used", partial(bool, is_used))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x, training=True) ** 3)
        gradients.append(tape.gradient(loss, layer.depthwise_kernel.value).numpy())
    assert relative_difference(*gradients) <= 1e-5


@pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="oneDNN is TensorFlow's")
def test_a_gradient_by_columns_keeps_no_graph(monkeypatch):
    """A search traces hundreds of them in one process."""
    import tensorflow as tf

    monkeypatch.setattr(convolution, "is_onednn_used", lambda: True)
    graphs = []

    def convolve(x, kernel):
        graphs.append(weakref.ref(tf.compat.v1.get_default_graph()))
        return convolve_depthwise(x, kernel, training=True)

    value_and_gradients(convolve, images(2, 6, 6, 4), images(5, 5, 4, 1), jit_compile=False)
    gc.collect()
    assert [graph() for graph in graphs] == [None]


def value_and_gradients(function, *arguments, jit_compile=True):
    """Of the sum of a function's squares, compiled by XLA unless told otherwise."""

    def loss(*arguments):
        return keras.ops.sum(function(*arguments) ** 2)

    if keras.config.backend() == "jax":
        import jax

        value, gradients = jax.jit(jax.value_and_grad(loss, argnums=(0, 1)))(*arguments)
        return value, *gradients
    import tensorflow as tf

    @tf.function(jit_compile=jit_compile)
    def compiled(*arguments):
        with tf.GradientTape() as tape:
            tape.watch(arguments)
            value = loss(*arguments)
        return value, *tape.gradient(value, arguments)

    return compiled(*map(tf.constant, arguments))


def test_unknown_operation_is_refused():
    with pytest.raises(ValueError, match="'sep_3x3'.*separable_3x3"):
        Operation("sep_3x3", 4)


def test_previous_state_of_another_size_is_refused():
    from keras_nasnet import NASNET_A

    with pytest.raises(ValueError, match="previous state is 16 x 16"):
        Cell(NASNET_A.normal, 4)([images(1, 8, 8, 4), images(1, 16, 16, 4)])


@pytest.mark.parametrize("shape", [(3, 5, 4, 6), (1, 1, 1, 6)])
def test_batch_normalization_trains_as_that_of_keras(shape):
    ours, theirs = (
        kind(momentum=0.7, epsilon=1e-3)
        for kind in (BatchNormalization, keras.layers.BatchNormalization)
    )
    x = images(*shape)
    for layer in (ours, theirs):
        layer.build(shape)
        randomize(layer)
    for _ in range(2):
        wanted = keras.ops.convert_to_numpy(theirs(x, training=True))
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(ours(x, training=True)), wanted, rtol=1e-5, atol=1e-5
        )
    for one, other in zip(weights_of(ours), weights_of(theirs), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
@pytest.mark.parametrize("fuses", [False, True])
def test_batch_normalization_infers_as_that_of_keras(fuses, dtype, monkeypatch):
    """On CPUs with AVX-512 and without."""
    monkeypatch.setattr(normalization, "fuses_normalization", lambda: fuses)
    ours, theirs = (
        kind(epsilon=1e-3, dtype=dtype)
        for kind in (BatchNormalization, keras.layers.BatchNormalization)
    )
    for layer in (ours, theirs):
        layer.build((None, 5, 4, 6))
        randomize(layer)
    x = keras.ops.cast(images(3, 5, 4, 6), ours.compute_dtype)
    one, other = (
        keras.ops.convert_to_numpy(keras.ops.cast(layer(x, training=False), "float32"))
        for layer in (ours, theirs)
    )
    assert relative_difference(one, other) <= (1e-6 if dtype == "float32" else 2e-2)
