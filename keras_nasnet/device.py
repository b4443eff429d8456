"""Data-parallel training on the devices of one machine, with each backend's own means."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import keras

Device = TypeVar("Device")


@contextmanager
def data_parallel(num_devices: int) -> Iterator[None]:
    """Models built, compiled and fitted in this context split each batch across devices.

    On TensorFlow with `tf.distribute.MirroredStrategy` and batch normalization over the whole
    batch; on JAX with `keras.distribution.DataParallel`, which sees the whole batch anyway.

    Args:
        num_devices: int >= 1; 1 changes nothing.

    Raises:
        ValueError: if there are too few devices, or the backend is torch, which has its own
            launcher.
    """
    if num_devices == 1:
        yield
    elif keras.config.backend() == "tensorflow":
        import tensorflow as tf

        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        names = [device.name for device in _first(devices, num_devices)]
        with tf.distribute.MirroredStrategy(names).scope():
            yield
    elif keras.config.backend() == "jax":
        devices = _first(keras.distribution.list_devices(), num_devices)
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=devices))
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)
    else:
        raise ValueError(
            f"devices: wanted 1 under {keras.config.backend()}, got {num_devices}; "
            "tensorflow and jax train on several"
        )


def is_mirrored() -> bool:
    """Whether TensorFlow splits batches across devices here."""
    if keras.config.backend() != "tensorflow":
        return False
    import tensorflow as tf

    return tf.distribute.get_strategy().num_replicas_in_sync > 1


def _first(devices: Sequence[Device], num_devices: int) -> Sequence[Device]:
    if len(devices) < num_devices:
        raise ValueError(f"devices: wanted at most {len(devices)}, got {num_devices}")
    return devices[:num_devices]
