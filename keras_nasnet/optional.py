"""Packages that only some features need."""

from importlib import import_module
from types import ModuleType


def import_optional(module: str, extra: str) -> ModuleType:
    """Imports a module of an optional dependency.

    Args:
        module: str, such as `"sklearn.datasets"`.
        extra: str, the extra of this package that installs it.

    Raises:
        ValueError: if it is not installed, with the command that installs it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError:
        raise ValueError(
            f"{module.partition('.')[0]} is not installed: pip install 'keras_nasnet[{extra}]'"
        ) from None
