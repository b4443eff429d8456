"""Export formats for other programs, one module each, independent of Keras."""

from pathlib import Path
from typing import Protocol

import numpy as np

from keras_nasnet.inference.formats import litert, onnx, openvino, saved_model
from keras_nasnet.inference.formats.servable import Runner, Servable


class Format(Protocol):
    """What each module provides."""

    @property
    def RUNTIME(self) -> str:
        """The module of the program that runs it."""

    @property
    def EXTRA(self) -> str:
        """The extra of this package that installs it."""

    @property
    def PRECISIONS(self) -> tuple[str, ...]:
        """The allowed values of `precision`."""

    @property
    def FILE(self) -> str | None:
        """The file that identifies a folder of the format; None if the format is a file."""

    def write(
        self, servable: Servable, path: Path, precision: str, images: np.ndarray | None = None
    ) -> None:
        """Writes a file or folder; `int8` is calibrated on `images`, 0 to 255."""

    def load(self, path: Path) -> Runner:
        """An export as a `Runner`."""


FORMATS: dict[str, Format] = {
    "tf_saved_model": saved_model,
    "onnx": onnx,
    "openvino": openvino,
    "litert": litert,
}


def format_of(path: Path) -> str | None:
    """The name of the format of an export, by its content; None for anything else."""
    if path.is_dir():
        return next((n for n, m in FORMATS.items() if m.FILE and (path / m.FILE).is_file()), None)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(8)
    if start[4:] == b"TFL3":  # the identifier of FlatBuffers
        return "litert"
    return "onnx" if start[:1] == b"\x08" else None  # the first field, `ir_version`, an integer
