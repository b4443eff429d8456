"""Recipes: every value has a source and is of its type."""

from dataclasses import fields

import pytest

from keras_nasnet.training.recipe_table import RECIPES
from keras_nasnet.training.recipes import Recipe, recipe


@pytest.mark.parametrize("name", RECIPES)
def test_recipes_are_whole(name):
    assert set(RECIPES[name]) == {field.name for field in fields(Recipe)}
    assert all(choice.source for choice in RECIPES[name].values())
    recipe(name)


def test_values_of_the_authors():
    """`reference/models.md` has them from slim; here as the paper's three columns."""
    columns = [recipe(name) for name in ("cifar10", "imagenet-mobile", "imagenet-large")]
    assert [r.drop_path_rate for r in columns] == [0.4, 0.0, 0.3]
    assert [r.dropout_rate for r in columns] == [0.0, 0.5, 0.5]
    assert [r.l2 for r in columns] == [5e-4, 4e-5, 5e-5]
    assert [r.clip_norm for r in columns] == [5, 10, 10]
    assert [r.scaled_learning_rate for r in columns] == pytest.approx(
        [0.025, 0.04 * 50, 0.015 * 100]
    )


def test_learning_rates_scale_with_the_batch():
    assert recipe("cifar10", batch_size=256).scaled_learning_rate == pytest.approx(0.2)


def test_texts_are_read_as_the_settings_type():
    changed = recipe("cifar10", epochs="3", l2="1e-3", whiten="false", augmentation="flip,mixup")
    assert (changed.epochs, changed.l2, changed.whiten) == (3, 1e-3, False)
    assert changed.augmentation == ("flip", "mixup")
    assert recipe("cifar10", augmentation="").augmentation == ()


@pytest.mark.parametrize(
    "name, changes, message",
    [
        ("cifar", {}, "unknown recipe 'cifar'; did you mean cifar10"),
        (
            "cifar10",
            {"learning_rat": 1},
            "unknown setting 'learning_rat'; did you mean learning",
        ),
        ("cifar10", {"epochs": "many"}, "epochs: wanted int, got 'many'"),
        ("cifar10", {"epochs": 0}, "epochs: wanted an integer of at least 1, got 0"),
        ("cifar10", {"momentum": 1.0}, r"momentum: wanted \[0, 1\), got 1.0"),
        ("cifar10", {"whiten": "perhaps"}, "whiten: wanted bool, got 'perhaps'"),
        ("cifar10", {"optimizer": "adamw"}, "optimizer: wanted one of sgd, rmsprop"),
        ("cifar10", {"augmentation": "flop"}, "augmentation: wanted some of pad_crop"),
        ("cifar10", {"augmentation": None}, "augmentation: wanted some of pad_crop"),
        ("cifar10", {"augmentation": [{}]}, r"augmentation: wanted some of .*got \[\{\}\]"),
        ("cifar10", {"learning_rate": [1]}, r"learning_rate: wanted > 0, got \[1\]"),
        ("cifar10", {"learning_rate": "1e999"}, "learning_rate: wanted > 0, got inf"),
        ("cifar10", {"l2": None}, "l2: wanted >= 0, got None"),
        ("cifar10", {"momentum": True}, r"momentum: wanted \[0, 1\), got True"),
        ("cifar10", {"whiten": 1}, "whiten: wanted true or false, got 1"),
        ("cifar10", {"drop_path_schedule": "square"}, "drop_path_schedule: wanted one of linear"),
        ("cifar10", {"epochs": 10**9}, "epochs: wanted an integer of at most 1,000,000, got"),
        ("cifar10", {"batch_size": "9" * 20}, "batch_size: .*at most 1,000,000, got 9{20}$"),
        ("cifar10", {"epochs": "x" * 10**5}, r"epochs: wanted int, got 'x+\.\.\.x+'$"),
        (["cifar10"], {}, r"unknown recipe \['cifar10'\]; did you mean cifar10"),
    ],
)
def test_mistakes_are_named(name, changes, message):
    with pytest.raises(ValueError, match=message):
        recipe(name, **changes)
