"""Shapes, parameters and multiply-adds of a network, from its plan alone."""

from dataclasses import dataclass

from keras_nasnet.cells.config import MAX_INPUT_SIZE, NASNetConfig
from keras_nasnet.cells.layout import CellLayout
from keras_nasnet.cells.operation import operation_steps, strided_size
from keras_nasnet.cells.plan import plan
from keras_nasnet.check import check_size
from keras_nasnet.tensor import Size


@dataclass(frozen=True, slots=True)
class Summary:
    """One row of `summarize`: a cell, the stem's convolution or the classifier."""

    name: str
    kind: str
    size: Size  # height and width of the output
    channels: int
    params: int
    mult_adds: int


def summarize(
    config: NASNetConfig,
    input_size: Size | None = None,
    include_top: bool = True,
    classes: int | None = None,
    input_channels: int = 3,
) -> list[Summary]:
    """Output shape, parameters and multiply-adds of each part, without building anything.

    Multiply-adds count convolutions and the classifier for one image, as the paper does.

    Args:
        config: the network.
        input_size: height and width in pixels, each from 32 to 16,384. Default: the config's.
        include_top: bool, whether the classifier is counted.
        classes: int. Default: the config's.
        input_channels: int >= 1.

    Returns:
        List of `Summary`, in order; they add up to the whole network.

    Raises:
        ValueError: if the input size is out of range.
    """
    size = input_size or (config.input_size, config.input_size)
    size = check_size(size, config.min_input_size, MAX_INPUT_SIZE)
    if config.stem == "imagenet":  # no padding, stride 2
        size = ((size[0] - 1) // 2, (size[1] - 1) // 2)
    kernel = 3 * 3 * input_channels * config.stem_filters
    params = kernel + 4 * config.stem_filters
    rows = [Summary("stem", "stem", size, config.stem_filters, params, kernel * size[0] * size[1])]
    sizes = [size]
    for placement in plan(config):
        layout, size = placement.layout, sizes[placement.current]
        previous_size = size if placement.previous is None else sizes[placement.previous]
        params, mult_adds = _count(layout, size, previous_size)
        sizes.append(strided_size(size, (layout.strides, layout.strides)))
        rows.append(
            Summary(
                placement.name, placement.kind, sizes[-1], layout.output_channels, params, mult_adds
            )
        )
    if include_top:
        classes = classes or config.classes
        weights = config.penultimate_filters * classes
        rows.append(Summary("predictions", "dense", (1, 1), classes, weights + classes, weights))
    return rows


def _count(layout: CellLayout, current_size: Size, previous_size: Size) -> tuple[int, int]:
    """Parameters and multiply-adds of a cell."""
    params = mult_adds = 0
    for stage in layout.stages:
        size = strided_size(current_size, (stage.input_strides, stage.input_strides))
        if stage.name == "previous":
            size = previous_size
        channels = stage.channels
        for step in operation_steps(stage.op, channels, layout.filters, stage.strides):
            size = strided_size(size, step.strides)
            params += step.num_params(channels, layout.filters)
            mult_adds += step.mult_adds(channels, layout.filters, size)
            channels = step.output_channels(channels, layout.filters)
    return params, mult_adds


def short_count(count: int) -> str:
    """A count as printed in tables: `"5.3M"`, `"564M"`, `"23.8B"`."""
    if count >= 1e9:
        return f"{count / 1e9:.1f}B"
    return f"{count / 1e6:.1f}M" if count < 1e8 else f"{count / 1e6:.0f}M"
