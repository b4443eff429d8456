"""The child without Keras's layers: the same numbers as the Keras model of its genotype."""

from itertools import count, cycle

import keras
import numpy as np
import pytest
from support.networks import images, outputs, randomize, relative_difference

from keras_nasnet import Block, CellSpec, Edge, Genotype
from keras_nasnet.cells.catalog import network_of
from keras_nasnet.cells.genotype import COMBINERS, loose_ends
from keras_nasnet.cells.layout import output_width
from keras_nasnet.cells.operation import OPERATIONS
from keras_nasnet.training.recipes import recipe
from keras_nasnet.training.trainer import Job, compile_model, make_model

pytestmark = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="is TensorFlow's")

CLASSES, BATCH, TOTAL_STEPS = 3, 2, 4
SETTINGS = {
    "plain": {},
    "everything": {
        "drop_path_rate": 0.5,
        "auxiliary_weight": 0.4,
        "label_smoothing": 0.1,
        "ema_momentum": 0.9,
        "clip_norm": 0.5,
    },
}


def cell(combiners, sources):
    """A cell of all operations, each on the states in turn; it puts out one of its inputs too."""
    names = list(OPERATIONS)
    if len(names) % 2:
        names.append("identity")
    states, combine = cycle(sources), cycle(combiners)
    blocks = []
    for index, (left, right) in enumerate(zip(names[::2], names[1::2], strict=True)):
        edges = (Edge(op, next(states) % (2 + index)) for op in (left, right))
        blocks.append(Block(*edges, next(combine)))
    return CellSpec(tuple(blocks), tuple(sorted({0, *loose_ends(blocks)})))


GENOTYPE = Genotype(cell(COMBINERS, (0, 1, 2, 3, 5)), cell(["add", "concat"], (1, 0, 2, 0, 1, 4)))


@pytest.fixture(scope="module", params=SETTINGS)
def pair(request):
    """A Keras model and the straight child of the same job, with the same random weights."""
    from keras_nasnet.search.straight.network import Network
    from keras_nasnet.search.straight.training import Trainer

    settings = {"epochs": 1, "batch_size": BATCH} | SETTINGS[request.param]
    config = network_of(
        GENOTYPE, "cifar", num_cells=1, penultimate_filters=8 * output_width(GENOTYPE.normal)
    )
    job = Job(config, recipe("search-child", **settings), "arrays", (32, 32))
    model = randomize(make_model(job, CLASSES, TOTAL_STEPS))
    compile_model(model, job.recipe, TOTAL_STEPS)
    model.run_eagerly = True
    network = Network(config, job.size, CLASSES, bool(job.recipe.auxiliary_weight))
    return model, Trainer(network, job.recipe, TOTAL_STEPS, seed=0)


def values_of(model):
    return {weight.path: keras.ops.convert_to_numpy(weight) for weight in model.weights}


def test_inference(pair):
    model, trainer = pair
    state = trainer.state(values_of(model))
    from keras_nasnet.search.straight.network import Pass

    values = trainer.values(state.weights, state.statistics)
    [logits] = trainer.network(Pass(values), images(BATCH, 32, 32, 3))
    assert (
        relative_difference(keras.ops.softmax(logits), outputs(model, images(BATCH, 32, 32, 3)))
        < 1e-5
    )


def test_gradients(pair, monkeypatch):
    import tensorflow as tf

    model, trainer = pair
    x, y = images(BATCH, 32, 32, 3), np.eye(CLASSES, dtype="float32")[[0, 2]]

    def uniform(shape, *args, **kwargs):
        return np.random.default_rng(next(drawn)).random(shape, "float32")

    monkeypatch.setattr(keras.random, "uniform", uniform)
    monkeypatch.setattr(trainer, "_draw", lambda number: uniform)
    state = trainer.state(values_of(model))
    drawn = count()
    for v in model.non_trainable_variables:
        if v.path == "training_step/step":
            v.assign(2)
    with tf.GradientTape() as tape:
        loss = model.compute_loss(x, y, model(x, training=True), training=True)
    g = tape.gradient(loss, [v.value for v in model.trainable_variables])
    n1 = next(drawn)
    drawn = count()
    with tf.GradientTape() as tape:
        tape.watch(state.weights)
        loss2, logits, statistics = trainer.loss(state, x, y, tf.constant(2))
    g2 = trainer._trained.split(tape.gradient(loss2, state.weights))
    print(n1, next(drawn), float(loss), float(loss2))
    bad = {
        v.path: relative_difference(g2[v.path], a.numpy())
        for v, a in zip(model.trainable_variables, g)
    }
    print(sorted(bad.items(), key=lambda t: -t[1])[:10])
    allg = np.concatenate([a.numpy().ravel() for a in g])
    allg2 = np.concatenate([g2[v.path].numpy().ravel() for v in model.trainable_variables])
    print(relative_difference(allg2, allg))
