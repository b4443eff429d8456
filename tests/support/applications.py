"""keras.applications' networks, and ours that are like them."""

import keras_nasnet
from keras_nasnet import NASNET_A


def applications_nasnet(include_top=True, input_shape=(64, 64, 3), classes=1000):
    """keras.applications' network with the structure of its Mobile, 8 filters in the last cell."""
    from keras.src.applications import nasnet

    return nasnet.NASNet(
        input_shape=input_shape,
        penultimate_filters=96,
        num_blocks=4,
        stem_block_filters=32,
        skip_reduction=False,
        filter_multiplier=2,
        include_top=include_top,
        weights=None,
        classes=classes,
        default_size=224,
    )


def like_applications(**options):
    """Our network of the same structure."""
    return keras_nasnet.NASNet(NASNET_A, 4, 96, pool_padding="zeros", **options)
