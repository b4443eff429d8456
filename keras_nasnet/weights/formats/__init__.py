"""Formats of weight files: a row of `FORMATS` and a module each.

The rows alone are printed without Keras; a module is imported when its format is read or written.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import keras

    from keras_nasnet.weights.array import NamedArrays
    from keras_nasnet.weights.file import File


class Code(Protocol):
    """What the module of a format has."""

    def read(self, file: "File") -> "NamedArrays | None":
        """The arrays of a file of this format, checked but not read; None of another.

        Raises:
            ValueError: and others, if the file is damaged or declares too much.
        """

    def save(self, model: "keras.Model", path: Path) -> None:
        """Writes a model's weights; a format without `endings` lacks it."""


@dataclass(frozen=True, slots=True)
class Format:
    """A row of the list.

    Args:
        module: of its `Code`, as `importlib.import_module` takes it in this package.
        title: what cards and tables call it.
        takes: what of it `load_weights` takes, in Markdown.
        endings: of the names of files that are written in it; none (default) if it is only read.
    """

    module: str
    title: str
    takes: str
    endings: tuple[str, ...] = ()

    @property
    def code(self) -> Code:
        return cast(Code, import_module(self.module, __name__))


# In the order in which a file is shown to them: the first that knows it reads it.
FORMATS: Sequence[Format] = (
    Format(
        ".own_safetensors",
        "safetensors of keras_nasnet",
        "as `keras_nasnet.save_safetensors` writes it",
        (".safetensors",),
    ),
    Format(
        ".own_keras",
        "HDF5 of keras_nasnet",
        "as `model.save_weights` and `model.save` write it",
        (".weights.h5", ".keras"),
    ),
    Format(
        ".keras_applications",
        "HDF5 of keras.applications",
        "NASNetMobile and NASNetLarge: legacy `.h5`, whole or weights only; `.weights.h5` and "
        "`.keras` of Keras 3",
    ),
    Format(
        ".slim",
        "TensorFlow checkpoint of slim, the authors' code",
        "NASNet and PNASNet, with or without `.index`: the moving averages of the weights "
        "(`raw=True` for the weights themselves), the auxiliary head if there is one, no "
        "background class",
    ),
    Format(
        ".timm",
        "safetensors of a PyTorch network, as timm's",
        '`"hf://timm/nasnetalarge.tf_in1k"`, `"hf://timm/pnasnet5large.tf_in1k"`, or a '
        "`.safetensors` file",
    ),
    Format(
        ".cadene",
        "state dict of a PyTorch network, as Cadene's",
        "`.pth` of NASNet-A Mobile, Large and PNASNet-5 Large, and of timm's networks",
    ),
)


def written_endings() -> list[str]:
    """The endings of what can be written."""
    return [ending for each in FORMATS for ending in each.endings]


def format_to_write(path: Path) -> Format:
    """The format that the ending of a name stands for.

    Raises:
        ValueError: if it stands for none.
    """
    for each in FORMATS:
        if path.name.endswith(each.endings):
            return each
    raise ValueError(f"{path}: wanted a file ending in {', '.join(written_endings())}")
