"""Fine-tuning: what is chosen from the data, where it starts, when it stops, what it keeps."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from support.runs import CONFIG, job, rows, run_of, source

from keras_nasnet.data import Batches
from keras_nasnet.data.source import Source
from keras_nasnet.training import Job, fit_linear_head, fit_within, make_model, recipe
from keras_nasnet.training.budget import Pace, cut_epochs
from keras_nasnet.training.callback import MODEL, RunCallback, least_accuracy
from keras_nasnet.training.choices import Facts, choices, choose
from keras_nasnet.training.job import read_config

every_backend = pytest.mark.every_backend

FEW, MANY = (16, 16, 16, 16), (9000, 9000)


def values(counts, side=224, is_pretrained=True):
    facts = Facts(counts, side, sum(counts) // 4, is_pretrained)
    return {name: choice.value for name, choice in choices(facts).items()}


def test_each_choice_follows_from_the_data_and_has_a_reason():
    few, many = values(FEW), values(MANY)
    assert few["batch_size"] < many["batch_size"], "several steps in each epoch"
    assert few["epochs"] > many["epochs"]
    assert few["best_by"] == "last", "16 images to validate with"
    assert values((64, 64))["best_by"] == "loss"
    assert "best_by" not in many
    assert not {"freeze_backbone", "unfreeze_from"} & {*few}, "few images train every layer too"
    assert few["learning_rate"] < recipe("finetune").learning_rate
    assert few["ema_momentum"] > 0
    assert not {"learning_rate", "ema_momentum"} & {*many}
    assert few["patience"] < few["epochs"]
    assert "resized_crop" in few["augmentation"]
    assert "resized_crop" not in values(FEW, side=32)["augmentation"]
    assert "class_weights" not in few
    assert values((40, 4))["class_weights"]
    assert few["linear_head"]
    assert few["freeze_normalization"]
    three = choices(Facts(FEW, 224, 16, True, devices=3))["batch_size"].value
    assert (few["batch_size"], three) == (16, 18)
    scratch = values(FEW, is_pretrained=False)
    assert not {"linear_head", "freeze_normalization", "epochs"} & {*scratch}
    assert all(choice.source for choice in choices(Facts((40, 4), 32, 10, True)).values())


@pytest.mark.parametrize("counts", [(1, 0), (1, 1), (10**6, 10**6)])
def test_choices_are_settings_for_any_number_of_images(counts):
    data = (source(2), source(2))
    data[0].labels = np.repeat([0, 1], [min(count, 1) for count in counts])
    replace(job("finetune").recipe, **values(counts))


def test_what_is_given_is_not_chosen():
    pretrained = replace(job("finetune", epochs=6), weights="a.h5", size=(224, 224))
    chosen = choose(pretrained, (source(26), source(8)), given=("epochs",))
    assert chosen.recipe.epochs == pretrained.recipe.epochs
    assert {"batch_size", "augmentation", "linear_head"} <= {*chosen.choices}
    assert "epochs" not in chosen.choices
    assert chosen.recipe.patience == pretrained.recipe.epochs // 2
    assert "resized_crop" not in chosen.recipe.augmentation, "they are stored at 32 x 32"
    frozen = replace(pretrained, recipe=replace(pretrained.recipe, freeze_backbone=True))
    assert choose(frozen, (source(26), source(8))).recipe.freeze_backbone
    assert Job.from_dict(json.loads(json.dumps(chosen.to_dict()))) == chosen


def test_class_weights_are_of_the_labels():
    unequal = source(4)
    unequal.labels = np.array([0, 0, 0, 1])
    batches = Batches(unequal, (32, 32), 4, one_hot=True, class_weights=(2 / 3, 2))
    np.testing.assert_allclose(batches[0][2], [2 / 3, 2 / 3, 2 / 3, 2], rtol=1e-6)
    with pytest.raises(ValueError, match="class_weights: wanted one_hot=True"):
        Batches(unequal, (32, 32), class_weights=(1, 1))


def colors(examples, classes, seed=0):
    """Images each of the color of its class, and noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(examples) % classes
    images = rng.integers(0, 120, (examples, 32, 32, 3))
    images[np.arange(examples), ..., labels % 3] += 20 * (1 + labels // 3)[:, None, None]
    return Source(images.astype("uint8"), labels, [str(label) for label in range(classes)])


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return make_model(job("finetune", dropout_rate=0.0), 3, 1)


@every_backend
def test_the_linear_head_is_scikit_learns(network):
    training, held_out = colors(30, 3), Batches(colors(12, 3, 1), (32, 32), 8)
    fit_linear_head(network, training, held_out)
    vectors = keras.Model(network.input, network.get_layer("predictions").input)
    (images, labels), (others, _) = Batches(training, (32, 32), 30)[0], held_out[0]
    x, z = (vectors.predict(batch, verbose=0).astype("float64") for batch in (images, others))
    mean, deviation = x.mean(0), x.std(0) + 1e-6
    found = network.predict(others, verbose=0)
    distances = []
    for strength in (1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        regression = LogisticRegression(C=strength, max_iter=300)
        regression.fit((x - mean) / deviation, labels)
        distances.append(abs(regression.predict_proba((z - mean) / deviation) - found).max())
    assert min(distances) < 0.01


def test_a_linear_head_of_two_classes_and_of_one_without_images():
    training = colors(20, 2)
    training.class_names += ["none"]
    model = make_model(job("finetune", dropout_rate=0.0), 3, 1)
    held_out = Batches(colors(10, 2, 1), (32, 32), 8)
    fit_linear_head(model, training, held_out, augmentation=("flip", "mixup"))
    scores = model.predict(held_out, verbose=0)
    assert (scores.argmax(-1) == held_out.source.labels).all()
    assert scores[:, 2].max() < 1e-3


STILL = {
    "linear_head": True,
    "freeze_normalization": True,
    "learning_rate": 1e-12,
    "patience": 2,
    "epochs": 5,
}


@every_backend
def test_a_linear_head_that_is_not_beaten_is_kept(tmp_path):
    said = []
    model = run_of(job("finetune", **STILL), tmp_path, say=said.append)
    assert len(rows(tmp_path)) == 2, "it stops early"
    assert "no epoch was better in validation than the linear classifier" in said[-1]
    kept = keras.saving.load_model(tmp_path / MODEL)
    images = Batches(source(8, 1), (32, 32), 8)[0][0]
    np.testing.assert_allclose(
        kept.predict(images, verbose=0), model.predict(images, verbose=0), atol=1e-4
    )
    linear = read_config(tmp_path)["linear"]
    assert linear["val_accuracy"] == 1.0, "bright and dark images are told apart"
    before = (tmp_path / "log.csv").read_bytes()
    run_of(Job.of_run(tmp_path), tmp_path, resume=True)
    assert (tmp_path / "log.csv").read_bytes() == before, "a run that stopped early has ended"


def test_the_last_epoch_is_kept_unless_it_is_worse_than_the_linear_head_by_more_than_chance(
    tmp_path,
):
    said = []
    run_of(job("finetune", **STILL | {"best_by": "last", "epochs": 2}), tmp_path, say=said.append)
    assert f"{MODEL}: epoch 2" in said[-1], "no better than the linear classifier, and no worse"
    linear = {"val_accuracy": 0.75, "val_loss": 0.9}
    least = least_accuracy(0.75, 16)
    assert least == pytest.approx(0.75 - np.std([1] * 12 + [0] * 4) / 4)
    callback = RunCallback(
        *(tmp_path, None, None, 0.1),
        **{"steps_per_epoch": 1, "total_steps": 2, "step": 0, "metrics": [], "patience": 0},
        **{"best_by": "last", "num_validation": 16, "linear": linear, "checkpoint_s": 1},
        say=said.append,
    )
    accuracies = (least + 0.01, 0.9, least + 0.01, least - 0.01)
    epochs = [
        {"epoch": epoch, "val_accuracy": accuracy, "val_loss": 1.0}
        for epoch, accuracy in enumerate(accuracies)
    ]
    scores = [*map(callback.score, [linear, *epochs])]
    assert scores[:4] == sorted(scores[:4]), "what validates best is not looked for"
    assert scores[4] < scores[0]


def test_what_is_frozen_by_a_recipe():
    settings = {"freeze_normalization": True, "unfreeze_from": "cell_01"}
    model = make_model(job("finetune", **settings), 2, 6)
    trained = {variable.path.partition("/")[0] for variable in model.trainable_variables}
    assert "cell_00" not in trained
    assert {"cell_01", "predictions"} <= trained
    assert all(variable.path.endswith(("kernel", "bias")) for variable in model.trainable_variables)


PACE = Pace(start_s=30, step_s=1, epoch_s=60, features_s=30)


def test_epochs_are_cut_to_the_minutes():
    planned = job("finetune", epochs=10, patience=5)
    assert cut_epochs(planned, PACE, minutes=11) is planned
    cut = cut_epochs(planned, PACE, minutes=6, spent_s=60)
    assert (cut.recipe.epochs, cut.recipe.patience) == (4, 4)
    assert cut.choices["epochs"] == "10 cut to fit 6 minutes, 1 s per step"
    with pytest.raises(ValueError, match=r"minutes: wanted at least 3\.0, .*got 2"):
        cut_epochs(planned, PACE, minutes=2, spent_s=60)
    with pytest.raises(ValueError, match="minutes: wanted a number > 0, got nan"):
        fit_within(planned, (source(26), source(8)), float("nan"))


def test_the_pace_is_measured():
    planned = Job(CONFIG, replace(job("finetune").recipe, epochs=10**6), "arrays", (32, 32))
    cut = fit_within(planned, (source(26), source(8, 1)), 2)
    assert 1 <= cut.recipe.epochs < 200
    assert "to fit 2 minutes" in cut.choices["epochs"]
