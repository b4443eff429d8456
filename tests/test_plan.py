"""The plan's figures: the paper's, and those of the built models."""

import keras
import numpy as np
import pytest
from conftest import images, randomize, relative_difference
from test_genotype import random_genotype

from keras_nasnet.catalog import MODELS, NASNET_A, network_of
from keras_nasnet.network import build
from keras_nasnet.plan import NASNetConfig, plan
from keras_nasnet.summary import summarize


def totals(config, **options):
    rows = summarize(config, **options)
    return sum(row.params for row in rows), sum(row.mult_adds for row in rows)


def test_published_counts():
    assert totals(MODELS["NASNetMobile"])[0] == 5_326_716
    assert totals(MODELS["NASNetLarge"])[0] == 88_949_818
    assert totals(MODELS["NASNetCIFAR"])[0] == 3_383_786
    assert totals(MODELS["NASNetMobile"], include_top=False)[0] == 4_269_716
    assert totals(MODELS["NASNetLarge"], include_top=False)[0] == 84_916_818
    assert totals(MODELS["NASNetMobile"])[1] == pytest.approx(564e6, rel=0.01)
    assert totals(MODELS["NASNetLarge"])[1] == pytest.approx(23.8e9, rel=0.01)


def test_depth_counts_the_stem_cells():
    for name, cells in (("NASNetMobile", 16), ("NASNetLarge", 22), ("NASNetCIFAR", 20)):
        ratios = [placement.depth_ratio for placement in plan(MODELS[name])]
        assert len(ratios) == cells
        assert ratios[0] == pytest.approx(1 / cells)
        assert ratios[-1] == 1


def test_large_skips_the_input_of_a_reduction():
    for name, back in (("NASNetMobile", 1), ("NASNetLarge", 2)):
        cells = {placement.name: placement for placement in plan(MODELS[name])}
        after = cells[f"cell_{MODELS[name].num_cells:02d}"]
        assert after.previous == after.current - back
        assert after.layout.previous_strides == 2


@pytest.mark.parametrize("stem", ["imagenet", "cifar"])
@pytest.mark.parametrize("seed", range(3))
def test_plan_is_the_built_model(stem, seed):
    """Parameters and shapes; a random genotype, some with concat and inputs in the output."""
    genotype = random_genotype(seed)
    config = network_of(genotype, stem, num_cells=1, classes=7)
    config = network_of(
        genotype, stem, num_cells=1, classes=7, penultimate_filters=config.filters_multiple * 2
    )
    model = build(config, keras.Input((37, 64, 3)))
    rows = summarize(config, (37, 64))
    layers = {layer.name: layer for layer in model.layers}
    for row in rows:
        assert row.params == layers[row.name].count_params(), row.name
        if row.name != "predictions":
            assert layers[row.name].output.shape == (None, *row.size, row.channels)
    # Shapes come from the plan: that the tensors have them is seen by computing.
    randomize(model)
    assert np.isfinite(model.predict(images(1, 37, 64, 3), verbose=0)).all()


@pytest.mark.every_backend
def test_any_size_is_the_static_size():
    """A random genotype built for any size and for one size: the same variables and outputs."""
    config = network_of(random_genotype(3), num_cells=1, classes=5)
    dynamic = randomize(build(config, keras.Input((None, None, 3))))
    static = build(config, keras.Input((33, 46, 3)))
    assert [w.shape for w in dynamic.weights] == [w.shape for w in static.weights]
    static.set_weights(dynamic.get_weights())
    x = images(2, 33, 46, 3)
    wanted = static.predict(x, verbose=0)
    assert relative_difference(dynamic.predict(x, verbose=0), wanted) <= 1e-6


BAD = [
    ({"num_cells": 0}, "num_cells.*got 0"),
    ({"num_cells": 2.5}, "num_cells.*2.5"),
    ({"penultimate_filters": 100}, "multiple of 96.*96 or 192.*got 100"),
    ({"penultimate_filters": 90}, "such as 96; got 90"),
    ({"stem": "mnist"}, "'mnist' is not known; allowed are imagenet, cifar"),
    ({"pool_padding": "valid"}, "'valid' is not known; allowed are same, zeros"),
    ({"batch_norm_momentum": 1.0}, "batch_norm_momentum.*1.0"),
    ({"batch_norm_epsilon": 0}, "batch_norm_epsilon.*0"),
]


@pytest.mark.parametrize("settings, message", BAD)
def test_bad_settings_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        NASNetConfig(**{"genotype": NASNET_A, "num_cells": 1, "penultimate_filters": 96} | settings)


def test_too_small_an_input_is_refused():
    with pytest.raises(ValueError, match="at least 32 x 32, got 31 x 64"):
        summarize(MODELS["NASNetMobile"], (31, 64))
