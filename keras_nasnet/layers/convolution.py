"""Convolutions and pools, each in the way that is fastest on the backend and device."""

from collections.abc import Sequence

import keras
from keras import ops

from keras_nasnet.layers.shifted import is_xla_on_cpu, sum_of_shifted, sums_shifted
from keras_nasnet.onednn import is_onednn_used
from keras_nasnet.tensor import MapShape, Padding, Size, Tensor

MAX_COLUMNS = 3  # in the widest depthwise kernel of which oneDNN has a fast gradient


def pair(value: int | Sequence[int]) -> Size:
    """Height and width, from one int for both or from one each."""
    height, width = (value, value) if isinstance(value, int) else value
    return height, width


def strided_shape(shape: MapShape, strides: Size, channels: int) -> MapShape:
    """Shape after "same" padding; unknown sizes stay unknown."""
    height, width = (
        None if size is None else -(-size // stride)
        for size, stride in zip(shape[1:3], strides, strict=True)
    )
    return shape[0], height, width, channels


def convolve(
    x: Tensor,
    kernel: Tensor,
    strides: Size = (1, 1),
    dilation_rate: int = 1,
    padding: Padding = "same",
    bias: Tensor | None = None,
) -> Tensor:
    """A convolution, channels last.

    Args:
        x: float tensor `(batch, height, width, channels)`.
        kernel: float tensor `(kernel height, kernel width, channels, filters)`.
        strides: pair of int.
        dilation_rate: int. With strides, one must be a multiple of the other.
        padding: `"same"` or `"valid"`.
        bias: None, or float tensor `(filters,)`.

    Returns:
        Float tensor `(batch, height, width, filters)`.
    """
    x, strides, dilation_rate = _undilated(x, strides, dilation_rate)
    is_pointwise = tuple(kernel.shape[:2]) == (1, 1)
    if is_pointwise and max(strides) > 1 and (is_xla_on_cpu() or _has_onednn(x)):
        # With strides, the gradient of oneDNN 3's `jit_1x1` writes past its memory where the
        # channels are no multiple of 16.
        x, strides = x[:, :: strides[0], :: strides[1], :], (1, 1)
    if is_pointwise and is_xla_on_cpu():
        x = ops.matmul(x, kernel[0, 0])
    else:
        x = ops.conv(x, kernel, strides, padding, "channels_last", dilation_rate)
    return x if bias is None else _add_bias(x, bias)


def convolve_depthwise(
    x: Tensor,
    kernel: Tensor,
    strides: Size = (1, 1),
    dilation_rate: int = 1,
    padding: Padding = "same",
    training: bool | None = None,
) -> Tensor:
    """A depthwise convolution, channels last.

    With XLA on a CPU, it is the sum of shifted inputs times their taps. With oneDNN the gradient of
    a wide kernel is computed a few columns at a time, for which it has a faster kernel.

    Args:
        x: float tensor `(batch, height, width, channels)`.
        kernel: float tensor `(kernel height, kernel width, channels, 1)`.
        strides: pair of int, both the same.
        dilation_rate, padding: as in `convolve`.
        training: bool, whether gradients will be taken. Default None, for False.

    Returns:
        Float tensor `(batch, height, width, channels)`.
    """
    x, strides, dilation_rate = _undilated(x, strides, dilation_rate)
    if sums_shifted(x):
        taps = ops.squeeze(kernel, -1)
        return sum_of_shifted(x, taps, strides, dilation_rate, padding)
    is_plain = (tuple(strides), dilation_rate, padding) == ((1, 1), 1, "same")
    if training and is_plain and kernel.shape[1] > MAX_COLUMNS and _has_onednn(x):
        return _convolve_depthwise_onednn(x, kernel)
    return ops.depthwise_conv(x, kernel, strides, padding, "channels_last", dilation_rate)


def pool_average(
    x: Tensor, pool_size: int, strides: Size = (1, 1), padding: Padding = "same"
) -> Tensor:
    """Averages over windows, without what lies beyond the border, channels last.

    Args:
        x: float tensor `(batch, height, width, channels)`.
        pool_size: int.
        strides: pair of int.
        padding: `"same"` or `"valid"`.

    Returns:
        Float tensor `(batch, height, width, channels)`.
    """
    if not sums_shifted(x):
        return ops.average_pool(x, pool_size, strides, padding, data_format="channels_last")
    taps = ops.ones((pool_size, pool_size, 1), x.dtype)
    total, count = (
        sum_of_shifted(pixels, taps, strides, 1, padding)
        for pixels in (x, ops.ones_like(x[:1, :, :, :1]))
    )
    return total / count


def _convolve_depthwise_onednn(x: Tensor, kernel: Tensor) -> Tensor:
    """Same padding, no strides; the kernel's gradient by `MAX_COLUMNS` of its columns at a time."""
    import tensorflow as tf
    from tensorflow.python.eager import record

    kernel = tf.convert_to_tensor(kernel)
    rows, columns, *channels = kernel.shape
    settings = {"strides": [1, 1, 1, 1]}

    def gradients(upstream: Tensor) -> tuple[Tensor, Tensor]:
        of_x = tf.raw_ops.DepthwiseConv2dNativeBackpropInput(
            input_sizes=tf.shape(x),
            filter=kernel,
            out_backprop=upstream,
            padding="SAME",
            **settings,
        )
        before = [(rows - 1) // 2, (columns - 1) // 2]
        padded = tf.pad(x, [(0, 0), (before[0], rows // 2), (before[1], columns // 2), (0, 0)])
        of_kernel = []
        for first in range(0, columns, MAX_COLUMNS):
            count = min(MAX_COLUMNS, columns - first)
            width = tf.shape(x)[2] + count - 1
            of_kernel.append(
                tf.raw_ops.DepthwiseConv2dNativeBackpropFilter(
                    input=tf.slice(padded, [0, 0, first, 0], [-1, -1, width, -1]),
                    filter_sizes=[rows, count, *channels],
                    out_backprop=upstream,
                    padding="VALID",
                    **settings,
                )
            )
        return of_x, tf.concat(of_kernel, 1)

    # `tf.custom_gradient` would do this too, but it keeps every graph for good.
    with record.stop_recording():
        y = tf.nn.depthwise_conv2d(x, kernel, padding="SAME", **settings)
    record.record_operation("DepthwiseConv2d", [y], [x, kernel], gradients)
    return y


def reduce_factorized(
    x: Tensor, path_1_kernel: Tensor, path_2_kernel: Tensor, bias: Tensor | None = None
) -> Tensor:
    """Halves height and width with one 1x1 convolution on the even and one on the odd pixels.

    Past the last row and column the odd pixels are zero (slim's `factorized_reduction`: pad right
    and bottom, then crop left and top).

    Args:
        x: float tensor `(batch, height, width, channels)`.
        path_1_kernel, path_2_kernel: float tensors `(1, 1, channels, filters of this path)`.
        bias: None, or float tensor of the filters of both paths.

    Returns:
        Float tensor `(batch, ceil(height / 2), ceil(width / 2), filters of both paths)`.
    """
    shifted = _shifted(x)
    paths = ((x, path_1_kernel), (shifted, path_2_kernel))
    x = ops.concatenate(
        [convolve(pixels, kernel, (2, 2), padding="valid") for pixels, kernel in paths], axis=-1
    )
    return x if bias is None else _add_bias(x, bias)


def _shifted(x: Tensor) -> Tensor:
    """Moves pixels up and left by one, with zeros after the last row and column."""
    padded = ops.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return tf.slice(padded, [0, 1, 1, 0], [-1, -1, -1, -1])  # its gradient is a fast one
    return padded[:, 1:, 1:, :]


def _add_bias(x: Tensor, bias: Tensor) -> Tensor:
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        return tf.nn.bias_add(x, bias)  # TensorFlow fuses it with the convolution
    return x + bias


def _undilated(x: Tensor, strides: Size, dilation_rate: int) -> tuple[Tensor, Size, int]:
    """The same convolution without strides and dilation at once, which no backend supports.

    All taps of a dilated convolution with the same strides lie on the grid of its outputs: it is
    a plain convolution of those pixels.
    """
    if dilation_rate == 1 or strides == (1, 1):
        return x, strides, dilation_rate
    return x[:, :: strides[0], :: strides[1], :], (1, 1), dilation_rate // max(strides)


def _has_onednn(x: Tensor) -> bool:
    """Whether oneDNN computes a convolution of `x`."""
    if keras.config.backend() != "tensorflow" or x.dtype != "float32" or is_xla_on_cpu():
        return False
    import tensorflow as tf

    return is_onednn_used() and not tf.config.list_logical_devices("GPU")
