"""Layers made of other layers, which freeze like Keras's own."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras


class Composite(keras.layers.Layer):
    """A layer that creates sublayers in `build` and keeps them frozen.

    Keras passes `trainable` on to the layers that exist when it is set, and saves it for layers
    that have a config of their own. The parts of a cell are neither: they are made from the cell's
    config when it is built.

    Args:
        frozen: names of frozen parts of a trainable layer, such as
            `"current/convolution_0/batch_normalization"`; written by `get_config`. Default none.
    """

    def __init__(self, *args: Any, frozen: Iterable[str] = (), **kwargs: Any) -> None:
        self._frozen = tuple(frozen)
        super().__init__(*args, **kwargs)

    @property
    def trainable(self) -> bool:
        return super().trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._frozen = ()
        keras.layers.Layer.trainable.fset(self, value)

    def _freeze_parts(self) -> None:
        """To be called at the end of `build`."""
        for name, part in self._parts():
            # Not by `self.trainable = False`: TensorFlow skips a value that is set already.
            if not self.trainable or name in self._frozen:
                part.trainable = False

    def _parts(self) -> Iterator[tuple[str, keras.layers.Layer]]:
        """Every sublayer with its name here."""
        for part in self._flatten_layers(include_self=False):
            if part.path is not None:
                yield part.path.removeprefix(f"{self.path}/"), part

    def get_config(self) -> dict[str, Any]:
        frozen = list(self._frozen)
        if self.built and self.trainable:
            frozen = [name for name, part in self._parts() if not part.trainable]
        return {**super().get_config(), "frozen": frozen}
