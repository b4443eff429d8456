"""Names of classes as indices."""

from collections.abc import Sequence

import numpy as np

from keras_nasnet.check import cut, did_you_mean, shown
from keras_nasnet.data.imagenet import imagenet_classes


def class_indices(names: Sequence[str], known: Sequence[str]) -> np.ndarray:
    """Where names are among a classifier's class names.

    Args:
        names: list of str, or WordNet IDs if `known` are ImageNet's classes.
        known: list of str.

    Returns:
        Int array of the length of `names`.

    Raises:
        ValueError: if a name is unknown, or stands for several classes.
    """
    indices: dict[str, list[int]] = {}
    for index, name in enumerate(known):
        indices.setdefault(name, []).append(index)
    imagenet = imagenet_classes()
    if list(known) == [name for _, name in imagenet]:
        indices |= {wordnet_id: [index] for index, (wordnet_id, _) in enumerate(imagenet)}
    for name in names:
        if name not in indices:
            raise ValueError(
                f"the model has no class {shown(name)}; {did_you_mean(name, known)}"
                f"its {len(known):,} classes are {cut(', '.join(known))}"
            )
        if len(indices[name]) > 1:
            raise ValueError(f"the model has {len(indices[name])} classes named {shown(name)}")
    return np.array([indices[name][0] for name in names], int)
