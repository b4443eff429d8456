"""The training recipes as data, each value with its source."""

from collections.abc import Mapping
from typing import Any, NamedTuple


class Choice(NamedTuple):
    """A value of a recipe and where it comes from."""

    value: Any
    source: str


def _choices(source: str, **values: Any) -> dict[str, Choice]:
    return {name: Choice(value, source) for name, value in values.items()}


_OWN = "our choice"
_SLIM_CIFAR = "slim nasnet.py, cifar_config"

# Settings for fine-tuning, with their values where all of a network is trained, to the last epoch,
# from random weights.
FINE_TUNING: dict[str, Any] = {
    "freeze_backbone": False,
    "unfreeze_from": "",
    "freeze_normalization": False,
    "linear_head": False,
    "class_weights": False,
    "patience": 0,
    "best_by": "accuracy",
}
_WHOLE = _choices(_OWN, **FINE_TUNING, steps_per_epoch=0)

_CIFAR10 = {
    **_choices("slim nasnet.py, cifar_config: 937,500 steps", epochs=600),
    **_choices(
        _SLIM_CIFAR, batch_size=32, learning_rate=0.025, base_batch_size=32, schedule="cosine"
    ),
    **_choices("paper, appendix A", optimizer="sgd", momentum=0.9),
    **_choices(
        _SLIM_CIFAR,
        l2=5e-4,
        clip_norm=5.0,
        label_smoothing=0.0,
        dropout_rate=0.0,
        drop_path_rate=0.4,
        auxiliary_weight=0.4,
        batch_norm_momentum=0.9,
    ),
    **_choices("paper, section 4", drop_path_schedule="linear"),
    **_choices("none in slim for CIFAR-10", ema_momentum=0.0),
    **_choices(
        "paper, section 4 and appendix A",
        augmentation=("pad_crop", "flip", "cutout"),
        whiten=True,
    ),
    **_WHOLE,
}

_IMAGENET = {
    **_choices("slim nasnet.py: 250,000 steps of 1,600 images", epochs=312),
    **_choices("paper, appendix A: RMSProp, decay 0.9, epsilon 1.0", optimizer="rmsprop"),
    **_choices("slim: x 0.97 every 2.4 epochs", schedule="exponential"),
    **_choices("slim train_image_classifier.py", momentum=0.9),
    **_choices("slim nasnet.py", clip_norm=10.0, auxiliary_weight=0.4, batch_norm_momentum=0.9997),
    **_choices("paper, appendix A", label_smoothing=0.1, dropout_rate=0.5, ema_momentum=0.9999),
    **_choices("paper, section 4", drop_path_schedule="linear"),
    **_choices(
        "paper, appendix A: as Inception",
        augmentation=("resized_crop", "flip", "color"),
        whiten=False,
    ),
    **_WHOLE,
}

RECIPES: Mapping[str, Mapping[str, Choice]] = {
    "cifar10": _CIFAR10,
    "imagenet-mobile": {
        **_IMAGENET,
        **_choices(
            "slim nasnet.py, mobile_imagenet_config: 50 workers of 32 at 0.04",
            batch_size=1600,
            learning_rate=0.04,
            base_batch_size=32,
        ),
        **_choices("slim nasnet.py, mobile_imagenet_config", l2=4e-5, drop_path_rate=0.0),
    },
    "imagenet-large": {
        **_IMAGENET,
        **_choices(
            "slim nasnet.py, large_imagenet_config: 100 workers of 16 at 0.015",
            batch_size=1600,
            learning_rate=0.015,
            base_batch_size=16,
        ),
        **_choices("slim nasnet.py, large_imagenet_config", l2=5e-5, drop_path_rate=0.3),
    },
    "finetune": {
        **_CIFAR10,
        **_choices(
            _OWN,
            epochs=10,
            learning_rate=0.02,
            clip_norm=5.0,
            l2=4e-5,
            label_smoothing=0.1,
            drop_path_rate=0.0,
            auxiliary_weight=0.0,
            augmentation=("resized_crop", "flip"),
            whiten=False,
        ),
        **_choices("our choice: the linear classifier it starts from has none", dropout_rate=0.0),
        **_choices("our choice: adapts within a hundred steps", batch_norm_momentum=0.9),
    },
    "search-child": {
        **_CIFAR10,
        **_choices("paper, appendix A", epochs=20),
        **_choices(_OWN, batch_size=128, drop_path_rate=0.0, auxiliary_weight=0.0),
        **_choices(
            "our choice: the standard augmentation, without cutout",
            augmentation=("pad_crop", "flip"),
        ),
    },
}
