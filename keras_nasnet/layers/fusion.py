"""Fuses a model for inference: batch normalization folded, nothing computed twice."""

from functools import cache
from typing import Any

import keras
from keras import layers

from keras_nasnet.check import check_member
from keras_nasnet.layers import Cell, ConvolutionUnit, FusedCell
from keras_nasnet.layers.auxiliary import AuxiliaryModel
from keras_nasnet.layers.fused import FusedModel, fold
from keras_nasnet.tensor import Tensor

PRECISIONS = ("float32", "bfloat16", "float16")


def fuse(model: keras.Model, precision: str = "float32") -> keras.Model:
    """Returns a faster model for inference with the same outputs as `model`.

    Batch normalization is folded into convolutions and biases, work that several operations of a
    cell share is computed once, and what only training needs is left out: drop path, dropout,
    auxiliary head. The weights are computed in float64; those of `model` stay as they are.

    Args:
        model: `keras.Model`, a NASNet of this package, any genotype and input size; or a model
            that contains one, whose other layers are kept as they are.
        precision: `"float32"` (default), `"bfloat16"` or `"float16"`, of weights and computation
            from the stem to the last cell. All before and after is float32, the input and the
            output too.

    Returns:
        `keras.Model` with the inputs and outputs of `model`, without its auxiliary head. It is not
        meant to be trained; it can be saved and loaded as any Keras model.

    Raises:
        ValueError: if `model` has no cell of this package, or `precision` is unknown.
    """
    check_member("precision", precision, PRECISIONS)
    if not _has_cells(model):
        raise ValueError(
            "model: wanted a NASNet of this package, a functional model of its cells that is not "
            f"fused yet; got {model!r}"
        )
    return _fuse(model, precision)


def _has_cells(model: layers.Layer) -> bool:
    if not isinstance(model, keras.Model) or not (model.built and model.inputs):
        return False
    return any(type(layer) is Cell or _has_cells(layer) for layer in model.layers)


def _fuse(model: keras.Model, precision: str) -> FusedModel:
    outputs = model.outputs[:1] if isinstance(model, AuxiliaryModel) else model.outputs
    # Of these outputs only, so that no layer is left that only training needs.
    functional = keras.Model(_only(model.inputs), _only(outputs))
    pairs: list[tuple[layers.Layer, layers.Layer]] = []

    @cache  # a layer that is called twice stays one layer
    def counterpart(layer: layers.Layer) -> layers.Layer:
        fused = _counterpart(layer, precision)
        pairs.append((layer, fused))
        return fused

    def call(layer: layers.Layer, *args: Any, **kwargs: Any) -> Tensor:
        if isinstance(layer, layers.Dropout):
            return args[0]
        kwargs.pop("step", None)  # of ScheduledDropPath
        return layer(*args, **kwargs)

    clone = keras.models.clone_model(functional, clone_function=counterpart, call_function=call)
    for layer, copy in pairs:
        _assign(layer, copy)
    return FusedModel(clone.input, clone.output, name=model.name)


def _only(tensors: list[Tensor]) -> Tensor | list[Tensor]:
    return tensors[0] if len(tensors) == 1 else tensors


def _counterpart(layer: layers.Layer, precision: str) -> layers.Layer:
    """The layer that does at inference what `layer` does, without its weights."""
    if _has_cells(layer):
        return _fuse(layer, precision)
    if type(layer) is Cell:
        settings = {"drop_path": None, "dtype": precision}
        return FusedCell.from_config(layer.get_config() | settings)
    if _is_stem(layer):
        return layers.Conv2D(
            layer.filters,
            layer.kernel_size,
            layer.strides,
            layer.padding,
            data_format="channels_last",
            dtype=precision,
            name=layer.name,
        )
    if isinstance(layer, keras.Model):
        return keras.models.clone_model(layer)
    return layer.__class__.from_config(layer.get_config() | {"dtype": "float32"})


def _is_stem(layer: layers.Layer) -> bool:
    return isinstance(layer, ConvolutionUnit) and not (layer.relu or layer.separable)


def _assign(layer: layers.Layer, fused: layers.Layer) -> None:
    if isinstance(fused, FusedCell):
        fused.assign(layer)
    elif _is_stem(layer):
        fused.set_weights([fold(layer)[name] for name in ("kernel", "bias")])
    elif not _has_cells(layer):
        fused.set_weights(layer.get_weights())
