"""Weight file formats: one row of `FORMATS` and one module each.

The rows can be printed without Keras; a module is imported when its format is read or written.
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
    """What the module of a format provides."""

    def read(self, file: "File") -> "NamedArrays | None":
        """The arrays of a file of this format, checked but not read; None for another format.

        Raises:
            ValueError: if the file is damaged or declares too much; libraries raise others.
        """

    def save(self, model: "keras.Model", path: Path) -> None:
        """Writes a model's weights; missing if a format has no `endings`."""


@dataclass(frozen=True, slots=True)
class Format:
    """One row of the list.

    Args:
        module: relative name of its module (a `Code`), for `importlib.import_module`.
        title: its name in cards and tables.
        takes: the files that `load_weights` takes, in Markdown.
        endings: file name endings for writing; empty (default) if it is only read.
    """

    module: str
    title: str
    takes: str
    endings: tuple[str, ...] = ()

    @property
    def code(self) -> Code:
        return cast(Code, import_module(self.module, __name__))


# In the order in which they are tried: the first that recognises a file reads it.
FORMATS: Sequence[Format] = (
    Format(
        ".own_safetensors",
        "keras_nasnet safetensors",
        "written by `keras_nasnet.save_safetensors`",
        (".safetensors",),
    ),
    Format(
        ".own_keras",
        "keras_nasnet HDF5",
        "written by `model.save_weights` or `model.save`",
        (".weights.h5", ".keras"),
    ),
    Format(
        ".keras_applications",
        "keras.applications HDF5",
        "NASNetMobile and NASNetLarge: legacy `.h5`, full model or weights only; Keras 3 "
        "`.weights.h5` and `.keras`",
    ),
    Format(
        ".slim",
        "TensorFlow checkpoint from slim, the authors' code",
        "NASNet and PNASNet, with or without `.index`: moving averages of the weights "
        "(`raw=True` for the raw weights), the auxiliary head if present, no "
        "background class",
    ),
    Format(
        ".timm",
        "PyTorch safetensors, as from timm",
        '`"hf://timm/nasnetalarge.tf_in1k"`, `"hf://timm/pnasnet5large.tf_in1k"`, or a '
        "`.safetensors` file",
    ),
    Format(
        ".cadene",
        "PyTorch state dict, as from Cadene",
        "`.pth` for NASNet-A Mobile and Large, PNASNet-5 Large, and timm's networks",
    ),
)


def written_endings() -> list[str]:
    """The file name endings that can be written."""
    return [ending for each in FORMATS for ending in each.endings]


def format_to_write(path: Path) -> Format:
    """The format for the ending of a file name.

    Raises:
        ValueError: if no format has it.
    """
    for each in FORMATS:
        if path.name.endswith(each.endings):
            return each
    raise ValueError(f"{path}: wanted a file ending in {', '.join(written_endings())}")
