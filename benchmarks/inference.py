"""Images per second compared with keras.applications, alternately in one process; medians.

Our model as it is, and fused in each precision, as functions of a float32 batch: `tf.function`
or `jax.jit`. Fused on TensorFlow also with `predict_on_batch`, and in float32 compiled by XLA.

    KERAS_BACKEND=tensorflow python benchmarks/inference.py --rounds 10
    KERAS_BACKEND=jax python benchmarks/inference.py --models NASNetMobile --batches 4
"""

import argparse
import gc
import os
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import keras
import numpy as np

import keras_nasnet

SIZES = {"NASNetMobile": 224, "NASNetLarge": 331}
BATCHES = {"NASNetMobile": (1, 16), "NASNetLarge": (8,)}
PEER = "keras.applications"


def compiled(model, images, way="function"):
    """A function that runs the model on the images and waits for the result."""
    if way == "predict":
        array = keras.ops.convert_to_numpy(images)
        return lambda: model.predict_on_batch(array)
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        xla = True if way == "XLA" else None
        function = tf.function(lambda x: model(x, training=False), jit_compile=xla)
        return lambda: function(images).numpy()
    if keras.config.backend() == "jax":
        import jax

        variables = [
            [variable.value for variable in part]
            for part in (model.trainable_variables, model.non_trainable_variables)
        ]
        function = jax.jit(lambda *state: model.stateless_call(*state, training=False)[0])
        return lambda: function(*variables, images).block_until_ready()
    return lambda: model.predict_on_batch(images)


def as_trained(model):
    """The model with no biases of zero, which TensorFlow would leave out of its graph."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.name in ("beta", "moving_mean"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


def ways_of(name, precisions):
    """Models with the way to run them, by printed label."""
    ours = as_trained(getattr(keras_nasnet, name)(weights=None))
    ways = {
        PEER: (as_trained(getattr(keras.applications, name)(weights=None)), "function"),
        "ours": (ours, "function"),
    }
    for precision in precisions:
        fused = keras_nasnet.fuse(ours, precision)
        ways[f"fused {precision}"] = fused, "function"
        if keras.config.backend() == "tensorflow":
            ways[f"fused {precision} predict"] = fused, "predict"
            if precision == "float32":  # in half precision, XLA is far slower on a CPU
                ways[f"fused {precision} XLA"] = fused, "XLA"
    return ways


def medians(functions, rounds):
    """Seconds of each function; each round calls all of them once."""
    first = {}
    for name, function in functions.items():
        start = time.perf_counter()
        function()
        first[name] = time.perf_counter() - start
        function()
    times = {name: [] for name in functions}
    for i in range(rounds):
        # The order rotates from round to round.
        for name in list(functions) if i % 2 else reversed(functions):
            start = time.perf_counter()
            functions[name]()
            times[name].append(time.perf_counter() - start)
    return first, {name: statistics.median(values) for name, values in times.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--models", nargs="+", default=list(SIZES), choices=SIZES)
    parser.add_argument("--batches", nargs="+", type=int, help="default: 1 and 16; 8 for Large")
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16"])
    options = parser.parse_args()
    print(f"Keras {keras.__version__} on {keras.config.backend()}")
    print("model         batch  images/s  ratio  first call  what")
    for name in options.models:
        size, ways = SIZES[name], ways_of(name, options.precisions)
        for batch in options.batches or BATCHES[name]:
            images = np.random.default_rng(0).uniform(-1, 1, (batch, size, size, 3))
            images = keras.ops.convert_to_tensor(images.astype("float32"))
            functions = {what: compiled(model, images, way) for what, (model, way) in ways.items()}
            first, seconds = medians(functions, options.rounds)
            for what in functions:
                print(
                    f"{name:13} {batch:5} {batch / seconds[what]:9.1f} "
                    f"{seconds[PEER] / seconds[what]:6.2f} {first[what]:9.1f} s  {what}",
                    flush=True,
                )
        del ways, functions
        keras.utils.clear_session()
        gc.collect()


if __name__ == "__main__":
    main()
