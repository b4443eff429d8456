"""Names of augmentations, for recipes, which do without Keras."""

from collections.abc import Collection

from keras_nasnet.check import shown, unknown

AUGMENTATIONS = (
    "pad_crop",
    "resized_crop",
    "flip",
    "color",
    "rand_augment",
    "cutout",
    "mixup",
    "cutmix",
)


def check_augmentation(names: Collection[str]) -> None:
    """Raises `ValueError` for a string, and for an unknown name, with the nearest known one."""
    if isinstance(names, str):
        raise ValueError(f"augmentation: wanted names, such as ({names!r},); got {shown(names)}")
    for name in names:
        if name not in AUGMENTATIONS:
            raise ValueError(unknown("augmentation", name, AUGMENTATIONS))
