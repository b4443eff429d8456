"""Answers as plain data for JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from keras_nasnet.inference.formats.servable import MAP_CLASSES, MAPS, PROBABILITIES, Outputs
from keras_nasnet.serving.limits import Limits
from keras_nasnet.serving.model import ServedModel

DIGITS = 6  # of probabilities and maps, after the point


def predictions(row: Outputs, names: Sequence[str], top: int, maps: bool) -> dict[str, Any]:
    """The best classes of an image, with their probabilities and activation maps.

    Args:
        row: outputs of the model for one image.
        names: of the classes.
        top: int, how many of them.
        maps: bool, whether to add the maps, rows of numbers, for as many classes as the model
            gives them.
    """
    probabilities = row[PROBABILITIES]
    best = np.argsort(-probabilities, kind="stable")[:top]
    found = [
        {"class": names[i], "probability": round(float(probabilities[i]), DIGITS)} for i in best
    ]
    if maps:
        known = {int(label): row[MAPS][..., i] for i, label in enumerate(row[MAP_CLASSES])}
        for index, item in zip(best, found, strict=True):
            if index in known:
                item["map"] = np.round(known[index].astype(float), DIGITS).tolist()
    return {"predictions": found}


def about(model: ServedModel, limits: Limits) -> dict[str, Any]:
    """What a client may want to know of a model and its server."""
    runner = model.runner
    return {
        "name": model.name,
        "runtime": model.runtime,
        "precision": runner.precision,
        "input_size": list(runner.size),
        "classes": runner.class_names,
        "features": model.num_features,
        "why_no_features": None if model.has_features else model.why_none,
        "card": dict(model.card),
        "limits": asdict(limits),
    }
