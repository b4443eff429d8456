"""Windows as sums of shifted inputs: on CPUs XLA is slow at depthwise convolutions and pools."""

from collections.abc import Callable, Sequence
from functools import cache

import keras
from keras import ops

from keras_nasnet.tensor import Padding, Size, Tensor


def is_xla_on_cpu() -> bool:
    """Whether the current call is compiled by XLA for a CPU."""
    if keras.config.backend() == "jax":
        import jax

        return jax.default_backend() == "cpu"
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf
        from tensorflow.python.ops import control_flow_util

        graph = tf.compat.v1.get_default_graph()
        compiles = control_flow_util.GraphOrParentsInXlaContext(graph)
        return compiles and not tf.config.list_logical_devices("GPU")
    return False


def sums_shifted(x: Tensor) -> bool:
    """Whether windows are summed from shifted inputs."""
    return is_xla_on_cpu() and None not in x.shape[1:3]


def sum_of_shifted(
    x: Tensor, taps: Tensor, strides: Size, dilation_rate: int, padding: Padding
) -> Tensor:
    """A depthwise convolution as the sum of shifted inputs times their taps.

    Args:
        x: float tensor `(batch, height, width, channels)`, whose height and width are known.
        taps: float tensor `(kernel height, kernel width, channels)`, or with 1 for all channels.
        strides, dilation_rate, padding: as in `convolve_depthwise`.

    Returns:
        Float tensor `(batch, height, width, channels)`.
    """
    return _traced_once()(x, taps, tuple(strides), dilation_rate, padding)


@cache
def _traced_once() -> Callable[..., Tensor]:
    """`_sum_of_shifted`, with its hundred operations traced once for all layers of one shape."""
    if keras.config.backend() == "jax":
        import jax

        return jax.jit(_sum_of_shifted, static_argnums=(2, 3, 4))
    import tensorflow as tf

    return tf.function(_sum_of_shifted, autograph=False)


def _sum_of_shifted(
    x: Tensor, taps: Tensor, strides: Size, dilation_rate: int, padding: Padding
) -> Tensor:
    if padding == "same":
        x = ops.pad(x, _same_padding(x.shape, taps.shape, strides, dilation_rate))
    x = _materialized(x)
    rows, columns = (
        [
            slice(first, first + size - (count - 1) * dilation_rate, stride)
            for first in range(0, count * dilation_rate, dilation_rate)
        ]
        for size, count, stride in zip(x.shape[1:3], taps.shape, strides, strict=False)
    )
    return sum(
        x[:, rows[i], columns[j], :] * taps[i, j]
        for i in range(len(rows))
        for j in range(len(columns))
    )


def _same_padding(
    shape: Sequence[int], taps_shape: Sequence[int], strides: Size, dilation_rate: int
) -> tuple[Size, ...]:
    pads = []
    for size, taps, stride in zip(shape[1:3], taps_shape, strides, strict=False):
        outputs = -(-size // stride)
        pad = max((outputs - 1) * stride + (taps - 1) * dilation_rate + 1 - size, 0)
        pads.append((pad // 2, pad - pad // 2))
    return ((0, 0), *pads, (0, 0))


def _materialized(x: Tensor) -> Tensor:
    """Keeps XLA from computing `x` again for each tap that reads it."""
    if keras.config.backend() == "jax":
        import jax

        return jax.lax.optimization_barrier(x)
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.ops import gen_xla_ops

    @tf.custom_gradient  # it has no gradient
    def barrier(x: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        return gen_xla_ops.xla_optimization_barrier([x])[0], lambda gradient: gradient

    return barrier(x)
