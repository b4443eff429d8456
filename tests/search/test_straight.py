"""The child without Keras's layers: the numbers of the Keras model, and its run folder."""

import json
import os
import shutil
import signal
from dataclasses import replace
from itertools import count, cycle

import keras
import numpy as np
import pytest
from support.networks import images, outputs, randomize, relative_difference
from support.runs import CONFIG, job, source

from keras_nasnet import PNASNET_5, Block, CellSpec, Edge, Genotype
from keras_nasnet.cells.catalog import network_of
from keras_nasnet.cells.genotype import COMBINERS, loose_ends
from keras_nasnet.cells.layout import output_width
from keras_nasnet.cells.operation import OPERATIONS
from keras_nasnet.lock import locked
from keras_nasnet.search import child, straight
from keras_nasnet.training import trainer
from keras_nasnet.training.callback import CHECKPOINT, LOG, MODEL, StoppedError
from keras_nasnet.training.log import read_log
from keras_nasnet.training.recipes import recipe
from keras_nasnet.training.trainer import Job, compile_model, make_model

if keras.config.backend() != "tensorflow":
    pytest.skip("children are straight under TensorFlow", allow_module_level=True)

import tensorflow as tf

from keras_nasnet.search.straight import run as straight_run
from keras_nasnet.search.straight.network import Network, Pass
from keras_nasnet.search.straight.run import STATE, train_straight
from keras_nasnet.search.straight.training import Trainer

CLASSES, BATCH, TOTAL_STEPS, STEP = 3, 2, 4, 2
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
    """A cell of all operations, each on the states in turn; one of its inputs is put out too."""
    names = [*OPERATIONS, "identity"][: len(OPERATIONS) // 2 * 2 + 2]
    sources, combiners = cycle(sources), cycle(combiners)
    blocks = [
        Block(
            *(Edge(op, next(sources) % (2 + index)) for op in (left, right)),
            next(combiners),
        )
        for index, (left, right) in enumerate(zip(names[::2], names[1::2], strict=False))
    ]
    return CellSpec(tuple(blocks), tuple(sorted({0, *loose_ends(blocks)})))


GENOTYPE = Genotype(cell(COMBINERS, (0, 1, 2, 3, 5)), cell(["add", "concat"], (1, 0, 2, 0, 1, 4)))


@pytest.fixture(scope="module", params=SETTINGS)
def pair(request):
    """A Keras model and the straight child of one job, and random weights by path."""
    settings = {"epochs": 1, "batch_size": BATCH} | SETTINGS[request.param]
    filters = 8 * output_width(GENOTYPE.normal)
    config = network_of(GENOTYPE, "cifar", num_cells=1, penultimate_filters=filters)
    one = Job(config, recipe("search-child", **settings), "arrays", (32, 32))
    keras.utils.set_random_seed(5)
    model = make_model(one, CLASSES, TOTAL_STEPS)
    first = values_of(model)
    compile_model(randomize(model), one.recipe, TOTAL_STEPS)
    model.run_eagerly = True
    keras.utils.set_random_seed(5)
    network = Network(config, one.size, CLASSES, bool(one.recipe.auxiliary_weight))
    return model, Trainer(network, one.recipe, TOTAL_STEPS, seed=0), first, values_of(model)


def values_of(model):
    return {
        weight.path: keras.ops.convert_to_numpy(weight)
        for weight in model.weights
        if weight.path != "training_step/step"
    }


def test_the_cells_have_all_operations():
    for spec in (GENOTYPE.normal, GENOTYPE.reduction):
        used = {edge.op for block in spec.blocks for _, edge in block.edges}
        assert used == set(OPERATIONS)
    assert {block.combine for block in GENOTYPE.normal.blocks} == set(COMBINERS)
    assert "concat" in {block.combine for block in GENOTYPE.reduction.blocks}


def test_weights_have_the_paths_shapes_and_first_values_of_the_keras_model(pair):
    _, trainer, first, _ = pair
    shapes = {weight.path: weight.shape for weight in trainer.network.weights}
    assert shapes == {path: value.shape for path, value in first.items()}
    if trainer.recipe.drop_path_rate:
        return  # its layers also draw seeds
    state = trainer.begin()
    for path, value in trainer.values(*trainer.evaluated(state)).items():
        np.testing.assert_array_equal(value, first[path], path)


def test_inference_with_moving_statistics_is_that_of_the_keras_model(pair):
    model, trainer, _, values = pair
    [logits] = trainer.network(Pass(values), images(BATCH, 32, 32, 3))
    expected = outputs(model, images(BATCH, 32, 32, 3))
    assert relative_difference(keras.ops.softmax(logits), expected) < 1e-5


@pytest.fixture
def same_draws(pair, monkeypatch):
    """Has both drop the same; returns what begins the row of draws anew."""
    drawn = [count()]

    def draw(shape, *arguments, **named):
        return np.random.default_rng(next(drawn[0])).random(shape, "float32")

    monkeypatch.setattr(keras.random, "uniform", draw)
    monkeypatch.setattr(pair[1], "_draw", lambda number: draw)
    return lambda: drawn.append(count()) or next(drawn.pop(0))


def test_gradients_and_a_training_step_are_those_of_the_keras_model(pair, same_draws):
    model, trainer, _, values = pair
    x, y = images(BATCH, 32, 32, 3), np.eye(CLASSES, dtype="float32")[[0, 2]]
    state = trainer.state(values)
    for weight in model.weights:
        if weight.path == "training_step/step":
            weight.assign(STEP)
    model.optimizer.iterations.assign(STEP)
    trained = model.trainable_variables

    # Gradients of the loss, which moves batch normalization's statistics too.
    with tf.GradientTape() as tape:
        expected_loss = model.compute_loss(x, y, model(x, training=True), training=True)
    expected = tape.gradient(expected_loss, [variable.value for variable in trained])
    num_drawn = same_draws()
    with tf.GradientTape() as tape:
        tape.watch(state.weights)
        loss, *_ = trainer.loss(state, x, y, tf.constant(STEP))
    gradient = trainer.values(tape.gradient(loss, state.weights), state.statistics)
    assert same_draws() == num_drawn
    assert (num_drawn > 0) == bool(trainer.recipe.drop_path_rate)
    assert float(loss) == pytest.approx(float(expected_loss), rel=1e-5)
    assert_same({v.path: g for v, g in zip(trained, expected, strict=True)}, gradient)

    # A step of the optimizer; for the Keras model the statistics' second.
    state = state._replace(statistics=trainer.state(values_of(model)).statistics)
    for weight in model.weights:
        if weight.path == "training_step/step":
            weight.assign(STEP)
    averages = model.optimizer._model_variables_moving_average if state.averages.shape[0] else []
    for average, variable in zip(averages, trained, strict=bool(averages)):
        average.assign(variable)
    rate = tf.constant(float(model.optimizer.learning_rate))
    assert rate > 0
    model.train_on_batch(x, y)
    same_draws()
    state = trainer._step(state, tf.constant(x), tf.constant(y), tf.constant(STEP), rate)
    assert_same(values_of(model), trainer.values(state.weights, state.statistics))
    if averages:
        kept = {v.path: average for v, average in zip(trained, averages, strict=True)}
        assert_same(kept, trainer.values(state.averages, state.statistics))


def assert_same(expected, ours):
    """Within 1e-5 of each kind's range; all kernels are one kind, for some gradients are 0."""
    kinds = {path.rpartition("/")[2] for path in expected}
    for kind in kinds:
        paths = [path for path in expected if path.endswith(f"/{kind}")]
        theirs, own = (
            np.concatenate([np.ravel(keras.ops.convert_to_numpy(part[path])) for path in paths])
            for part in (expected, ours)
        )
        assert relative_difference(own, theirs) < 1e-5, kind


# Six steps in two epochs; all that is random or moves is in it.
JOB = job(drop_path_rate=0.2, dropout_rate=0.2, ema_momentum=0.5, augmentation=("flip",))
DATA = source(26), source(20, 1)


def train(folder, one=JOB, **options):
    with locked(folder) as lock:
        return train_straight(one, DATA, folder, lock, **options)[0]


def state_of(folder):
    with np.load(folder / STATE) as file:
        return dict(file)


def assert_same_run(folder, whole):
    assert (folder / LOG).read_text() == (whole / LOG).read_text()
    state, expected = state_of(folder), state_of(whole)
    assert state.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array, name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The folder of a child trained without a break."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(folder)
    return folder


def test_a_run_folder_and_its_model(whole):
    assert {path.name for path in whole.iterdir()} == {STATE, "config.json", LOG}
    assert Job.of_run(whole) == JOB
    rows = read_log(whole / LOG)
    assert [(row["epoch"], row["step"]) for row in rows] == [(0, 3), (1, 6)]
    best = max(row["val_accuracy"] for row in rows)
    assert train(whole) == best, "nothing is left to train"

    model = keras.saving.load_model(child.model_of(whole))
    config = json.loads((whole / "config.json").read_text())
    batches = straight_run.make_batches(JOB, DATA, config["normalization"])[1]
    right = sum(
        (outputs(model, x).argmax(-1) == y.argmax(-1)).sum()
        for x, y in map(batches.batch, range(len(batches)))
    )
    assert right / 20 == best
    steps = {row["step"] for row in rows if row["val_accuracy"] == best}
    assert int(model.get_layer("training_step").step) == min(steps)
    assert model.optimizer.momentum == JOB.recipe.momentum


def test_a_child_goes_on_from_the_epoch_it_was_trained_to(tmp_path, whole):
    folder = tmp_path / "run"
    reward = train(folder, epochs=1)
    rows = read_log(folder / LOG)
    assert [row["val_accuracy"] for row in rows] == [reward]
    model = keras.saving.load_model(child.model_of(folder))
    assert int(model.get_layer("training_step").step) == rows[0]["step"]
    train(folder)
    assert not (folder / MODEL).exists(), "it is of an earlier epoch"
    assert_same_run(folder, whole)


def test_a_child_is_validated_at_the_end_of_each_rung_alone(tmp_path, whole):
    folder = tmp_path / "run"
    reward = train(folder, each_epoch=False)
    (row,) = read_log(folder / LOG)
    *_, last = read_log(whole / LOG)
    assert reward == row["val_accuracy"] == last["val_accuracy"]
    assert (row["epoch"], row["step"], row["val_loss"]) == (1, 6, last["val_loss"])
    losses = [each["loss"] for each in read_log(whole / LOG)]
    assert row["loss"] == pytest.approx(sum(losses) / 2, rel=1e-5), "of both epochs"
    model = keras.saving.load_model(child.model_of(folder))
    assert int(model.get_layer("training_step").step) == 6


def test_a_killed_child_goes_on_from_its_last_minute(tmp_path, whole, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(self, images, labels, rate):
        if self.step == 4:
            raise Killed
        train_on(self, images, labels, rate)

    folder, train_on = tmp_path / "run", straight_run.Child._train_on
    with monkeypatch.context() as patch:
        patch.setattr(straight_run, "SAVE_S", 0.0)
        patch.setattr(straight_run.Child, "_train_on", kill)
        with pytest.raises(Killed):
            train(folder)
    assert state_of(folder)["step"] == 4
    train(folder)
    assert_same_run(folder, whole)


def test_a_signal_stops_a_child_after_its_step(tmp_path, whole, monkeypatch):
    def stop(self, images, labels, rate):
        train_on(self, images, labels, rate)
        if self.step == 5:
            os.kill(os.getpid(), signal.SIGTERM)

    folder, train_on = tmp_path / "run", straight_run.Child._train_on
    with monkeypatch.context() as patch:
        patch.setattr(straight_run.Child, "_train_on", stop)
        with pytest.raises(StoppedError, match="stopped by SIGTERM at step 5 of 6"):
            train(folder)
    train(folder)
    assert_same_run(folder, whole)


def test_a_reward_does_not_depend_on_the_children_before(tmp_path, whole):
    before = tf.config.optimizer.get_experimental_options()
    other = replace(JOB, config=network_of(PNASNET_5, "cifar", num_cells=1, penultimate_filters=60))
    train(tmp_path / "other", other, epochs=1)
    train(tmp_path / "again")
    assert_same_run(tmp_path / "again", whole)
    assert tf.config.optimizer.get_experimental_options() == before


def test_a_state_that_is_damaged_or_of_another_child_is_told(tmp_path, whole):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    (folder / STATE).write_bytes((whole / STATE).read_bytes()[:1000])
    with pytest.raises(ValueError, match=f"{STATE} is not the state of a child"):
        train(folder)
    (folder / STATE).write_bytes((whole / STATE).read_bytes())
    with pytest.raises(ValueError, match=f"{STATE} is the state of another child"):
        train(folder, job(auxiliary_weight=0.4))


def test_a_loss_that_is_not_finite_is_told(tmp_path):
    with pytest.raises(FloatingPointError, match=r"the loss is nan at step [23]; the learning"):
        train(tmp_path / "run", job(learning_rate=1e38))
    assert not (tmp_path / "run" / STATE).exists()


@pytest.mark.parametrize(
    "one, is_straight",
    [
        (JOB, True),
        (job(optimizer="rmsprop"), False),
        (job(freeze_backbone=True), False),
        (replace(JOB, devices=2), False),
        (replace(JOB, weights="some.keras"), False),
        (replace(JOB, config=replace(CONFIG, stem="imagenet", penultimate_filters=64)), False),
    ],
)
def test_what_the_straight_way_can_not_do_is_left_to_keras(tmp_path, monkeypatch, one, is_straight):
    monkeypatch.setattr(straight_run, "train_straight", lambda *arguments: ("straight", 1.0))
    monkeypatch.setattr(child, "_data", lambda *arguments: DATA)
    monkeypatch.setattr("keras_nasnet.training.trainer.train", lambda *arguments, **named: None)
    monkeypatch.setattr("keras_nasnet.training.log.read_log", lambda path: [{"val_accuracy": 0.5}])
    assert child.train_child(one, 0.1, tmp_path)[0] == ("straight" if is_straight else 0.5)


def test_a_child_trains_on_the_images_it_sees_and_validates_with_as_many_as_an_epoch_has():
    few = replace(JOB, data="digits", recipe=recipe("search-child", epochs=2, steps_per_epoch=5))
    many = replace(few, recipe=replace(few.recipe, batch_size=1000))
    few = replace(few, recipe=replace(few.recipe, batch_size=8))
    (training, some), (whole, all_of_them) = (child._data_of(one, 0.1) for one in (few, many))
    assert 80 <= len(training) < 100 < len(whole), "two epochs see no more"
    assert 40 <= len(some) < 50 < 100 < len(all_of_them)
    assert {*some.labels} == {*range(10)}


def test_what_keras_has_begun_is_left_to_keras(tmp_path):
    assert straight.can_train(JOB, tmp_path)
    (tmp_path / CHECKPOINT).touch()
    assert not straight.can_train(JOB, tmp_path)


@pytest.mark.parametrize("steps_per_epoch", [0, 2])
def test_a_child_without_chance_is_trained_as_by_fit(tmp_path, steps_per_epoch):
    """From the same first weights, on the same batches at the same rates."""
    one = job(learning_rate=0.002, drop_path_rate=0.0, steps_per_epoch=steps_per_epoch)
    trainer.train(one, DATA, tmp_path / "fit", verbose=0, say=lambda line: None)
    train(tmp_path / "straight", one)
    fit, ours = (read_log(tmp_path / name / LOG) for name in ("fit", "straight"))
    assert len(fit) == len(ours) == one.recipe.epochs
    for expected, row in zip(fit, ours, strict=True):
        assert list(row) == list(expected)
        assert row == pytest.approx(expected, rel=1e-3)
