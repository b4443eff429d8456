"""Where inference time goes on TensorFlow, before and after `keras_nasnet.fuse`.

Prints the share of each kind of operation, the rate of the dense convolutions, and the share of
the machine's matrix multiplication rate that the whole network reaches.

    KERAS_BACKEND=tensorflow python benchmarks/operations.py --model NASNetMobile --batch 16
"""

import argparse
import os
import statistics
import time
from collections import Counter

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

import keras_nasnet
from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.summary import summarize

KINDS = {
    "depthwise": ("Depthwise",),
    "dense convolution": ("Conv2D", "FusedConv2D", "MatMul"),
    "pool": ("Pool",),
    "concatenation, padding, slices": ("Concat", "Pad", "Slice"),
    "batch normalization": ("FusedBatchNorm",),
}


def profile(model, images, rounds):
    """Seconds per run by kind of operation, and per run without tracing; medians."""
    function = tf.function(lambda x: model(x, training=False)).get_concrete_function(
        tf.TensorSpec(images.shape)
    )
    frozen = convert_variables_to_constants_v2(function)
    v1 = tf.compat.v1
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen.graph.as_graph_def(), name="")
    feed = {frozen.inputs[0].name: images}
    fetch = frozen.outputs[0].name
    options = v1.RunOptions(trace_level=v1.RunOptions.FULL_TRACE)
    with v1.Session(graph=graph) as session:
        for _ in range(3):
            session.run(fetch, feed)
        times, shares = [], []
        for _ in range(rounds):
            start = time.perf_counter()
            session.run(fetch, feed)
            times.append(time.perf_counter() - start)
            metadata = v1.RunMetadata()
            session.run(fetch, feed, options, metadata)
            shares.append(by_kind(metadata))
    kinds = set().union(*shares)
    medians = {kind: statistics.median(share[kind] for share in shares) for kind in kinds}
    return statistics.median(times), medians


def by_kind(metadata) -> Counter:
    seconds: Counter = Counter()
    for device in metadata.step_stats.dev_stats:
        for node in device.node_stats:
            label = node.timeline_label.partition("= ")[2] or node.node_name
            seconds[kind_of(label)] += (node.op_end_rel_micros - node.op_start_rel_micros) / 1e6
    return seconds


def kind_of(label: str) -> str:
    operation = label.partition("(")[0]
    for kind, names in KINDS.items():
        if any(name in operation for name in names):
            return kind
    return "ReLU, sums and other"


def matrix_rate(size=1024, rounds=10) -> float:
    """Multiply-adds per second of a product of square matrices."""
    matrix = tf.random.normal((size, size))
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        tf.matmul(matrix, matrix).numpy()
        times.append(time.perf_counter() - start)
    return size**3 / statistics.median(times)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="NASNetMobile", choices=("NASNetMobile", "NASNetLarge"))
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    size = MODELS[options.model].input_size
    images = np.random.default_rng(0).uniform(-1, 1, (options.batch, size, size, 3))
    mult_adds = options.batch * sum(row.mult_adds for row in summarize(MODELS[options.model]))
    model = getattr(keras_nasnet, options.model)(weights=None)
    limit = matrix_rate()
    print(f"matrix multiplication: {limit / 1e9:.0f} billion multiply-adds per second")
    for name, network in (("ours", model), ("fused", keras_nasnet.fuse(model))):
        seconds, kinds = profile(network, images.astype("float32"), options.rounds)
        total = sum(kinds.values())
        print(
            f"{name}: {1000 * seconds:.0f} ms, {mult_adds / seconds / 1e9:.0f} billion "
            f"multiply-adds per second, {mult_adds / seconds / limit:.0%} of that limit"
        )
        for kind, spent in sorted(kinds.items(), key=lambda item: -item[1]):
            print(f"  {spent / total:5.0%}  {kind}")


if __name__ == "__main__":
    main()
