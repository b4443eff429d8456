"""How much a weight file may declare, checked against the network before anything is read."""

from functools import cache

from keras_nasnet.cells.catalog import MODELS
from keras_nasnet.cells.summary import summarize

MAX_OBJECTS = 100_000  # groups, arrays, names; NASNetLarge with its optimizer has 10,000
MAX_HEADER_BYTES = 1 << 25  # of a table of contents; NASNetLarge's is below 1 MB
# The weights as float32, four more values each for the optimizer and moving averages, and room
# for overhead; or float64 with three more.
COPIES = 8
FLOOR_BYTES = 1 << 28  # a small network may have a large classifier in its file


def max_bytes(params: int | None = None) -> int:
    """The largest unpacked size of a file, in bytes.

    Args:
        params: int, the network's parameters; None (default) for those of the largest of
            `list_models()`, where the network is not known.
    """
    return max(FLOOR_BYTES, COPIES * 4 * (_largest() if params is None else params))


@cache
def _largest() -> int:
    return max(sum(row.params for row in summarize(config)) for config in MODELS.values())
