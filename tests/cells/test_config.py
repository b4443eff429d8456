"""What a configuration refuses."""

import pytest

from keras_nasnet.cells.catalog import NASNET_A
from keras_nasnet.cells.config import NASNetConfig

BAD = [
    ({"num_cells": 0}, "num_cells.*got 0"),
    ({"num_cells": 2.5}, "num_cells.*2.5"),
    ({"penultimate_filters": 100}, "multiple of 24.*96 or 120.*got 100"),
    ({"penultimate_filters": 90}, "such as 96; got 90"),
    ({"stem": "mnist"}, "'mnist' is not known; allowed are imagenet, cifar"),
    ({"pool_padding": "valid"}, "'valid' is not known; allowed are same, zeros, average_zeros"),
    ({"counts_reduction": True}, "num_cells: wanted at least 2"),
    ({"batch_norm_momentum": 1.0}, "batch_norm_momentum.*1.0"),
    ({"batch_norm_epsilon": 0}, "batch_norm_epsilon.*0"),
    ({"num_cells": 10**9}, "num_cells: wanted an integer of at most 1,000, got 1000000000"),
    ({"num_cells": 10**5000}, "num_cells: .* at most 1,000, got an integer of 16,610 bits"),
    ({"penultimate_filters": 24 * 10**9}, "penultimate_filters: .* at most 100,000"),
    ({"stem_multiplier": 10**9}, "stem_multiplier: .* at most 100, got"),
    ({"input_size": 10**9}, "input_size: .* at most 16,384"),
    ({"classes": 10**9}, "classes: .* at most 250,000"),
    ({"stem": ["x" * 1000]}, r"stem: \['x+\.\.\.x+\.\.\. is not known"),
    ({"skip_reduction": "no"}, "skip_reduction: wanted True or False, got 'no'"),
    ({"batch_norm_momentum": "0.9"}, r"batch_norm_momentum: wanted \[0, 1\), got '0.9'"),
    ({"batch_norm_epsilon": None}, "batch_norm_epsilon: wanted > 0, got None"),
]


@pytest.mark.parametrize("settings, message", BAD)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        NASNetConfig(**{"genotype": NASNET_A, "num_cells": 1, "penultimate_filters": 96} | settings)
