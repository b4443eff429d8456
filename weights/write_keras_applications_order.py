"""Writes the order of layers in keras.applications' legacy weight files.

Those files store layers in the order of the model, so the order is read from the installed
keras.applications. Run it from the repository root after Keras has changed:

    python weights/write_keras_applications_order.py
"""

import json
from pathlib import Path

import keras

TARGET = (
    Path(__file__).parents[1] / "keras_nasnet" / "weights" / "formats" / "keras_applications.json"
)


def layer_order(model: keras.Model) -> list[str]:
    """Names of the layers with weights, in order."""
    return [layer.name for layer in model.layers if layer.weights]


if __name__ == "__main__":
    orders = {
        name: layer_order(getattr(keras.applications, name)(weights=None))
        for name in ("NASNetMobile", "NASNetLarge")
    }
    TARGET.write_text(json.dumps(orders, indent=0) + "\n")
    print(f"{TARGET}: " + ", ".join(f"{name} {len(order)}" for name, order in orders.items()))
