"""NASNet's operations and cells in float64 NumPy, written from the paper and slim, not from us."""

import numpy as np


def relu(x):
    return np.maximum(x, 0)


def windows(x, kernel_size, strides, dilation=1, fill=0.0):
    """The pixels under each tap of a kernel with "same" padding: (taps..., batch, h, w, c)."""
    sizes = [-(-n // s) for n, s in zip(x.shape[1:3], strides, strict=True)]
    pads = []
    for n, out, k, s in zip(x.shape[1:3], sizes, kernel_size, strides, strict=True):
        total = max((out - 1) * s + (k - 1) * dilation + 1 - n, 0)
        pads.append((total // 2, total - total // 2))
    padded = np.pad(x, ((0, 0), *pads, (0, 0)), constant_values=fill)
    taps = []
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            rows = slice(i * dilation, i * dilation + (sizes[0] - 1) * strides[0] + 1, strides[0])
            cols = slice(j * dilation, j * dilation + (sizes[1] - 1) * strides[1] + 1, strides[1])
            taps.append(padded[:, rows, cols])
    return np.array(taps)


def convolution(x, kernel, strides=(1, 1), dilation=1):
    taps = windows(x, kernel.shape[:2], strides, dilation)
    return np.einsum("tbhwc,tcd->bhwd", taps, kernel.reshape(-1, *kernel.shape[2:]))


def depthwise(x, kernel, strides=(1, 1)):
    taps = windows(x, kernel.shape[:2], strides)
    return np.einsum("tbhwc,tc->bhwc", taps, kernel.reshape(-1, kernel.shape[2]))


def batch_normalization(x, w, epsilon):
    scale = w["gamma"] / np.sqrt(w["moving_variance"] + epsilon)
    return (x - w["moving_mean"]) * scale + w["beta"]


def max_pool(x, size, strides):
    return windows(x, (size, size), (strides, strides), fill=-np.inf).max(0)


def average_pool(x, size, strides):
    ones = np.ones_like(x)
    pair = (strides, strides)
    return windows(x, (size, size), pair).sum(0) / windows(ones, (size, size), pair).sum(0)


class Weights:
    """The weights of a layer by path, in float64, below a prefix."""

    def __init__(self, values, prefix=""):
        self.values, self.prefix = values, prefix

    @classmethod
    def of(cls, layer):
        import keras

        paths = {w.path.partition(f"{layer.name}/")[2]: w for w in layer.weights}
        return cls({p: keras.ops.convert_to_numpy(w).astype("float64") for p, w in paths.items()})

    def __truediv__(self, name):
        return Weights(self.values, f"{self.prefix}{name}/")

    def __getitem__(self, name):
        return self.values[self.prefix + name]

    def __contains__(self, name):
        return any(path.startswith(f"{self.prefix}{name}/") for path in self.values)


def unit(x, w, epsilon, strides=(1, 1), dilation=1, activation=relu):
    """ReLU, convolution or separable convolution, batch normalization."""
    x = activation(x)
    if f"{w.prefix}kernel" in w.values:
        x = convolution(x, w["kernel"], strides, dilation)
    else:
        x = convolution(depthwise(x, w["depthwise_kernel"], strides), w["pointwise_kernel"])
    return batch_normalization(x, w / "batch_normalization", epsilon)


def separable(x, w, epsilon, strides=1):
    x = unit(x, w / "separable_0", epsilon, (strides, strides))
    return unit(x, w / "separable_1", epsilon)


def factorized_reduction(x, w, epsilon, activation=relu):
    x = activation(x)
    odd = np.pad(x, ((0, 0), (0, 1), (0, 1), (0, 0)))[:, 1:, 1:]
    halves = [
        convolution(pixels[:, ::2, ::2], w[f"path_{i}_kernel"]) for i, pixels in ((1, x), (2, odd))
    ]
    return batch_normalization(np.concatenate(halves, -1), w / "batch_normalization", epsilon)


def _states(current, previous, w, epsilon):
    h = unit(current, w / "current" / "convolution_0", epsilon)
    if "factorized_reduction_0" in w / "previous":
        p = factorized_reduction(previous, w / "previous" / "factorized_reduction_0", epsilon)
    elif "convolution_0" in w / "previous":
        p = unit(previous, w / "previous" / "convolution_0", epsilon)
    else:
        p = previous
    return h, p


def normal_cell(current, previous, w, epsilon):
    """NASNet-A's normal cell, figure 4 on the left."""
    h, p = _states(current, previous, w, epsilon)
    x1 = separable(h, w / "block_0_left", epsilon) + separable(p, w / "block_0_right", epsilon)
    x2 = separable(p, w / "block_1_left", epsilon) + separable(p, w / "block_1_right", epsilon)
    x3 = average_pool(h, 3, 1) + p
    x4 = average_pool(p, 3, 1) + average_pool(p, 3, 1)
    x5 = separable(h, w / "block_4_left", epsilon) + h
    return np.concatenate([p, x1, x2, x3, x4, x5], -1)


def reduction_cell(current, previous, w, epsilon):
    """NASNet-A's reduction cell, figure 4 on the right."""
    h, p = _states(current, previous, w, epsilon)
    x1 = separable(h, w / "block_0_left", epsilon, 2)
    x1 = x1 + separable(p, w / "block_0_right", epsilon, 2)
    x2 = max_pool(h, 3, 2) + separable(p, w / "block_1_right", epsilon, 2)
    x3 = average_pool(h, 3, 2) + separable(p, w / "block_2_right", epsilon, 2)
    x4 = x2 + average_pool(x1, 3, 1)
    x5 = separable(x1, w / "block_4_left", epsilon) + max_pool(h, 3, 2)
    return np.concatenate([x2, x3, x4, x5], -1)
