"""Networks small enough to build in a second or two, and what is done with their weights."""

import random
from functools import partial

import keras
import numpy as np

import keras_nasnet
from keras_nasnet.cells.genotype import (
    COMBINERS,
    Block,
    CellSpec,
    Edge,
    Genotype,
    loose_ends,
)
from keras_nasnet.cells.operation import OPERATIONS


def tiny(**options):
    """NASNet-A (1 @ 96): 4 filters in the first stage, about 28,000 parameters."""
    options = {"classes": 10, "input_shape": (32, 32, 3)} | options
    return keras_nasnet.NASNet(keras_nasnet.NASNET_A, 1, 96, **options)


_BLOCK = Block(Edge("separable_3x3", 0), Edge("identity", 1))


_CELL = CellSpec((_BLOCK,), output=(1, 2))


ONE_BLOCK = Genotype(_CELL, _CELL, "one block")


def one_block(**options):
    """A network of cells of one block, with the stem for small images: trains in no time."""
    options = {"classes": 10, "input_shape": (32, 32, 3), "stem": "cifar"} | options
    filters = 32 if options["stem"] == "cifar" else 64
    return keras_nasnet.NASNet(ONE_BLOCK, 1, filters, **options)


def randomize(model, seed=0):
    """Gives every weight a random value, batch normalization's statistics too."""
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        if not keras.backend.is_float_dtype(weight.dtype):
            continue  # the training step
        if weight.name in ("gamma", "moving_variance"):
            value = rng.uniform(0.5, 1.5, weight.shape)
        elif weight.name in ("beta", "moving_mean", "bias"):
            value = rng.normal(0, 0.3, weight.shape)
        else:
            value = rng.normal(0, 1, weight.shape) / np.sqrt(np.prod(weight.shape[:-1]))
        weight.assign(value.astype("float32"))
    return model


def images(*shape, seed=0):
    """Random images from -1 to 1."""
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype("float32")


def outputs(model, inputs):
    """What a model gives, without the tracing of `predict`, which takes longer than all else."""
    call = partial(model, training=False)
    if keras.config.backend() == "jax":
        import jax

        call = jax.jit(call)  # by itself JAX compiles each operation
    return keras.ops.convert_to_numpy(call(inputs))


def relative_difference(ours, reference):
    """Greatest difference, as a share of the reference's range."""
    return np.abs(keras.ops.convert_to_numpy(ours) - reference).max() / np.ptp(reference)


def weights_of(model):
    return [keras.ops.convert_to_numpy(weight).copy() for weight in model.weights]


def assert_same_weights(model, values):
    for weight, value in zip(model.weights, values, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight), value, weight.path)


def random_genotype(seed):
    rng = random.Random(seed)

    def cell():
        blocks = tuple(
            Block(
                *(Edge(rng.choice(list(OPERATIONS)), rng.randrange(2 + i)) for _ in range(2)),
                rng.choice(list(COMBINERS)),
            )
            for i in range(rng.randint(1, 5))
        )
        return CellSpec(blocks, loose_ends(blocks))

    return Genotype(cell(), cell(), f"random {seed}")


def backbone(**options):
    options = {"stem": "imagenet", "include_top": False, "input_shape": (None, None, 3)} | options
    return one_block(**options)
