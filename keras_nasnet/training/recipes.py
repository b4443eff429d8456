"""How to train: the settings of a recipe, and the recipes by name."""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

from keras_nasnet.cells.config import DROP_PATH_SCHEDULES
from keras_nasnet.check import check_integers, is_number, shown, unknown
from keras_nasnet.data.augmentation_name import AUGMENTATIONS as AUGMENTATIONS
from keras_nasnet.training.recipe_table import RECIPES

MAX_EPOCHS = 1_000_000  # published recipes have 10 to 600
MAX_BATCH = 1_000_000  # images: the largest in use are tens of thousands
OPTIMIZERS = ("sgd", "rmsprop")
BEST_BY = ("accuracy", "loss", "last")
SCHEDULES = ("cosine", "exponential", "constant")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    Args:
        epochs: int from 1 to 1,000,000.
        batch_size: int from 1 to 1,000,000, in total over all devices.
        optimizer: `"sgd"` or `"rmsprop"`.
        learning_rate: float > 0, for a batch of `base_batch_size`; scales with the batch.
        base_batch_size: int from 1 to 1,000,000.
        schedule: of the learning rate: `"cosine"` to zero at the last step, `"exponential"` by
            0.97 every 2.4 epochs in steps, or `"constant"`.
        momentum: float in [0, 1).
        l2: float >= 0. Half of it times the squared norm of every kernel is added to the loss.
        clip_norm: float > 0, global norm of the gradients.
        label_smoothing: float in [0, 1).
        dropout_rate: float in [0, 1), before the classifier.
        drop_path_rate: float in [0, 1), of the last cell at the last step; see
            `ScheduledDropPath`.
        drop_path_schedule: `"linear"`, `"depth"`, `"step"` or `"constant"`.
        auxiliary_weight: float >= 0, of the auxiliary head's loss; 0 for no head.
        ema_momentum: float in [0, 1), of the moving average of the weights that is evaluated and
            saved instead of them; 0 for none.
        batch_norm_momentum: float in [0, 1).
        augmentation: tuple of members of `AUGMENTATIONS`, applied in that list's order.
        whiten: bool. Whether each channel is normalized to mean 0 and variance 1, measured on
            the training images, rather than scaled to -1..1.
        freeze_backbone: bool. Whether only the classifier is trained, with batch normalization in
            inference mode.
        unfreeze_from: str, the first layer that is trained, such as `"cell_02"`; `""` (default)
            for all. Not with `freeze_backbone`.
        freeze_normalization: bool, default False. Whether batch normalization stays in inference
            mode, as it was pretrained.
        linear_head: bool, default False. Whether training starts from the best linear classifier
            on the frozen network, and has to beat it.
        class_weights: bool, default False. Whether each class weighs the same in loss and accuracy.
        steps_per_epoch: int from 0 to 1,000,000, batches of an epoch; 0 (default): one pass over
            the images. With fewer, the next epoch goes on with the images after them.
        patience: int >= 0, epochs without a better one until training stops; 0 (default): never.
        best_by: `"accuracy"` (default) or `"loss"` in validation, which finds the best epoch; or
            `"last"`, the last epoch that is no worse in accuracy than the linear classifier, or by
            a standard error at most.

    Raises:
        ValueError: if a value is out of range or has the wrong type.
    """

    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float
    base_batch_size: int
    schedule: str
    momentum: float
    l2: float
    clip_norm: float
    label_smoothing: float
    dropout_rate: float
    drop_path_rate: float
    drop_path_schedule: str
    auxiliary_weight: float
    ema_momentum: float
    batch_norm_momentum: float
    augmentation: tuple[str, ...]
    whiten: bool
    freeze_backbone: bool
    unfreeze_from: str = ""
    freeze_normalization: bool = False
    linear_head: bool = False
    class_weights: bool = False
    steps_per_epoch: int = 0
    patience: int = 0
    best_by: str = "accuracy"

    def __str__(self) -> str:
        """The settings that 0.1 had, and of later ones those that are not the default.

        A search's folder keeps it, so what it is in a folder of 0.1 must not change.
        """
        values = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        shown = (f"{name}={value!r}" for name, (value, no) in values.items() if value != no)
        return f"Recipe({', '.join(shown)})"

    def __post_init__(self) -> None:
        self._check_numbers()
        for name, allowed in (
            ("optimizer", OPTIMIZERS),
            ("schedule", SCHEDULES),
            ("drop_path_schedule", tuple(DROP_PATH_SCHEDULES)),
            ("best_by", BEST_BY),
        ):
            self._check((name,), allowed.__contains__, f"one of {', '.join(allowed)}")
        self._check(
            ("augmentation",),
            lambda names: (
                isinstance(names, list | tuple) and all(name in AUGMENTATIONS for name in names)
            ),
            f"some of {', '.join(AUGMENTATIONS)}",
        )
        self._check(
            ("whiten", "freeze_backbone", "freeze_normalization", "linear_head", "class_weights"),
            lambda value: isinstance(value, bool),
            "true or false",
        )
        self._check(
            ("unfreeze_from",),
            lambda value: isinstance(value, str) and not (value and self.freeze_backbone),
            "the name of a layer, and none with freeze_backbone",
        )

    def _check_numbers(self) -> None:
        check_integers(1, MAX_EPOCHS, epochs=self.epochs)
        check_integers(0, MAX_EPOCHS, patience=self.patience, steps_per_epoch=self.steps_per_epoch)
        check_integers(
            1, MAX_BATCH, batch_size=self.batch_size, base_batch_size=self.base_batch_size
        )
        self._check(
            ("learning_rate", "clip_norm"), lambda value: is_number(value) and value > 0, "> 0"
        )
        self._check(
            ("l2", "auxiliary_weight"), lambda value: is_number(value) and value >= 0, ">= 0"
        )
        self._check(
            (
                "momentum",
                "label_smoothing",
                "dropout_rate",
                "drop_path_rate",
                "ema_momentum",
                "batch_norm_momentum",
            ),
            lambda value: is_number(value) and 0 <= value < 1,
            "[0, 1)",
        )

    def _check(self, names: tuple[str, ...], is_valid: Callable[[Any], bool], wanted: str) -> None:
        for name in names:
            value = getattr(self, name)
            if not is_valid(value):
                raise ValueError(f"{name}: wanted {wanted}, got {shown(value)}")

    @property
    def scaled_learning_rate(self) -> float:
        """The learning rate at the first step, for this batch size."""
        return self.learning_rate * self.batch_size / self.base_batch_size


def recipe(name: str, **changes: Any) -> Recipe:
    """A recipe, with some of its values changed.

    Args:
        name: a key of `RECIPES`.
        changes: fields of `Recipe`; strings are converted to the field's type.

    Raises:
        ValueError: if the name or a field is unknown, suggesting the closest, or a value is out
            of range.
    """
    if not isinstance(name, str) or name not in RECIPES:
        raise ValueError(unknown("recipe", name, RECIPES))
    values = {field: choice.value for field, choice in RECIPES[name].items()}
    for field, value in changes.items():
        if field not in values:
            raise ValueError(unknown("setting", field, values))
        values[field] = _read(field, value) if isinstance(value, str) else value
    return Recipe(**values)


def _read(name: str, text: str) -> Any:
    kind: Any = next(field.type for field in fields(Recipe) if field.name == name)
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        if kind in (int, float):
            return kind(text)
    except (KeyError, ValueError):
        raise ValueError(f"{name}: wanted {kind.__name__}, got {shown(text)}") from None
    return text if kind is str else tuple(part for part in text.split(",") if part)
