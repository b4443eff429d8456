"""Seconds to export and load a model, compared with Keras's `export` of keras.applications' model.

Every export and load runs in its own process; building the model is not counted. Ours is
fused, checked in its runtime and has two signatures in its SavedModel; theirs is not and has one.

    KERAS_BACKEND=tensorflow python benchmarks/exports.py --model NASNetMobile
    KERAS_BACKEND=tensorflow python benchmarks/exports.py --model NASNetLarge --formats onnx
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

SIZES = {"NASNetMobile": 224, "NASNetLarge": 331}
WHOSE = {"ours": "keras_nasnet", "theirs": "keras.applications"}
BEGIN = """
import time

"""
EXPORT = {
    "ours": """
import keras_nasnet
model = keras_nasnet.{model}(weights=None)
begin = time.perf_counter()
keras_nasnet.export(model, {path!r}, {format!r})
""",
    "theirs": """
import keras
model = keras.applications.{model}(weights=None)
model(keras.ops.zeros((1, *model.input_shape[1:])))  # to ONNX Keras exports only what was called
begin = time.perf_counter()
model.export({path!r}, format={format!r}, verbose=False)
""",
}
LOAD = """
import tensorflow as tf
images = tf.zeros((1, {size}, {size}, 3))
begin = time.perf_counter()
signature = tf.saved_model.load({path!r}).signatures["serving_default"]
signature(**{{name: images for name in signature.structured_input_signature[1]}})
"""
END = """
print("SECONDS", time.perf_counter() - begin)
"""


def seconds_of(code: str, **values) -> float:
    """The seconds measured by a script in its own process."""
    result = subprocess.run(
        [sys.executable, "-c", BEGIN + code.format(**values) + END],
        capture_output=True,
        text=True,
    )
    if result.returncode:
        raise RuntimeError(result.stderr)
    return float(result.stdout.rpartition("SECONDS")[2])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="NASNetMobile", choices=SIZES)
    parser.add_argument(
        "--formats",
        nargs="+",
        default=["tf_saved_model", "onnx"],
        choices=("tf_saved_model", "onnx"),
    )
    options = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.formats:
            times = {}
            for whose in WHOSE:
                path = str(Path(folder) / f"{whose}_{name}{'.onnx' if name == 'onnx' else ''}")
                values = {"model": options.model, "path": path, "format": name}
                times[f"{name} export", whose] = seconds_of(EXPORT[whose], **values)
                if name == "tf_saved_model":
                    size = SIZES[options.model]
                    times["load and first call", whose] = seconds_of(LOAD, path=path, size=size)
            for what in dict.fromkeys(what for what, _ in times):
                ours, theirs = times[what, "ours"], times[what, "theirs"]
                print(
                    f"{options.model} {what}: {ours:.1f} s, {theirs:.1f} s with Keras's "
                    f"export of keras.applications: {ours / theirs:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
