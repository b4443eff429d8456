"""Formats in which other programs run a classifier: a module each, none of which knows Keras."""

from pathlib import Path
from typing import Protocol

import numpy as np

from keras_nasnet.inference.formats import litert, onnx, openvino, saved_model
from keras_nasnet.inference.formats.servable import Runner, Servable


class Format(Protocol):
    """What each of the modules has."""

    @property
    def RUNTIME(self) -> str:
        """The module of the program that runs it."""

    @property
    def EXTRA(self) -> str:
        """The extra of this package that brings it."""

    @property
    def PRECISIONS(self) -> tuple[str, ...]:
        """What `precision` may be."""

    @property
    def FILE(self) -> str | None:
        """By which a folder of the format is known; None if it is a file."""

    def write(
        self, servable: Servable, path: Path, precision: str, images: np.ndarray | None = None
    ) -> None:
        """Writes a file or folder; `images`, 0 to 255, are what `int8` measures."""

    def load(self, path: Path) -> Runner:
        """A function from images `(batch, height, width, 3)`, 0 to 255, to probabilities."""


FORMATS: dict[str, Format] = {
    "tf_saved_model": saved_model,
    "onnx": onnx,
    "openvino": openvino,
    "litert": litert,
}
