"""The plan's figures: the paper's, and those of the built models."""

import keras
import numpy as np
import pytest
from support.networks import images, outputs, random_genotype, randomize, relative_difference

from keras_nasnet.cells.catalog import AMOEBANET_A, ENAS, MODELS, NASNET_A, PNASNET_5, network_of
from keras_nasnet.cells.operation import PoolStep, operation_steps
from keras_nasnet.cells.plan import plan
from keras_nasnet.cells.summary import summarize
from keras_nasnet.layers.network import build

STEMS = ("imagenet", "cifar")
RELATIVES = (PNASNET_5, AMOEBANET_A, ENAS)


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


def trainable(config):
    """Parameters without moving statistics, as timm and the papers count."""
    params = totals(config)[0]
    # Every batch normalization has as many statistics as weights.
    stages = [
        (step.output_channels(stage.channels, placement.layout.filters))
        for placement in plan(config)
        for stage in placement.layout.stages
        for step in operation_steps(
            stage.op, stage.channels, placement.layout.filters, stage.strides
        )
        if not isinstance(step, PoolStep)
    ]
    return params - 2 * (config.stem_filters + sum(stages))


@pytest.mark.parametrize(
    "name, millions, mult_adds",
    [  # Liu et al. 2018, tables 4 and 5; Real et al. 2019, table 2
        ("PNASNetMobile", 5.1, 588e6),
        ("PNASNetLarge", 86.1, 25.0e9),
        ("AmoebaNetA", 86.7, 23.1e9),
    ],
)
def test_published_counts_of_the_relatives(name, millions, mult_adds):
    config = MODELS[name]
    assert round(trainable(config) / 1e6, 1) == millions
    assert totals(config)[1] == pytest.approx(mult_adds, rel=0.005)


def test_pnasnet_large_has_the_parameters_that_timm_counts():
    assert trainable(MODELS["PNASNetLarge"]) == 86_057_668
    assert trainable(MODELS["NASNetLarge"]) == 88_753_150


def test_a_reduction_cell_may_be_one_of_its_stage():
    names = [placement.name for placement in plan(MODELS["PNASNetLarge"])]
    assert names[2:] == [
        *(f"cell_0{i}" for i in range(4)),
        "reduction_cell_0",
        *(f"cell_0{i}" for i in range(4, 7)),
        "reduction_cell_1",
        *(f"cell_0{i}" for i in range(7, 10)),
    ]


def test_depth_counts_the_stem_cells():
    published = (("NASNetMobile", 16), ("NASNetLarge", 22), ("NASNetCIFAR", 20))
    for name, cells in (*published, ("PNASNetLarge", 14), ("PNASNetMobile", 11)):
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


@pytest.mark.parametrize(
    "genotype, stem, counts_reduction",
    [
        *((random_genotype(seed), stem, False) for seed in range(3) for stem in STEMS),
        *((genotype, STEMS[i % 2], i == 0) for i, genotype in enumerate(RELATIVES)),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_plan_is_the_built_model(genotype, stem, counts_reduction):
    """Parameters and shapes; random genotypes, some with concat and inputs in the output."""
    settings = {"num_cells": 2 if counts_reduction else 1, "counts_reduction": counts_reduction}
    config = network_of(genotype, stem, classes=7, **settings)
    filters = config.filters_multiple * (6 if genotype in RELATIVES else 8)
    config = network_of(genotype, stem, classes=7, penultimate_filters=filters, **settings)
    model = build(config, keras.Input((37, 64, 3)))
    rows = summarize(config, (37, 64))
    layers = {layer.name: layer for layer in model.layers}
    for row in rows:
        assert row.params == layers[row.name].count_params(), row.name
        if row.name != "predictions":
            assert layers[row.name].output.shape == (None, *row.size, row.channels)
    # Shapes come from the plan: that the tensors have them is seen by computing.
    randomize(model)
    result = model(images(1, 37, 64, 3), training=False)
    assert np.isfinite(keras.ops.convert_to_numpy(result)).all()


@pytest.mark.every_backend
def test_any_size_is_the_static_size():
    """A random genotype built for any size and for one size: the same variables and outputs."""
    config = network_of(random_genotype(3), num_cells=1, classes=5)
    dynamic = randomize(build(config, keras.Input((None, None, 3))))
    static = build(config, keras.Input((33, 46, 3)))
    assert [w.shape for w in dynamic.weights] == [w.shape for w in static.weights]
    static.set_weights(dynamic.get_weights())
    x = images(2, 33, 46, 3)
    assert relative_difference(outputs(dynamic, x), outputs(static, x)) <= 1e-6


def test_an_input_out_of_range_is_refused():
    with pytest.raises(ValueError, match="at least 32 x 32, got 31 x 64"):
        summarize(MODELS["NASNetMobile"], (31, 64))
    for size, message in (
        ((64, 10**9), "at most 16,384 x 16,384, got 64 x 1000000000"),
        ((64,), r"wanted \(height, width\), two integers; got \(64,\)"),
        ("64", "two integers; got '64'"),
    ):
        with pytest.raises(ValueError, match=message):
            summarize(MODELS["NASNetMobile"], size)


def test_a_network_that_fits_no_memory_is_refused_before_it_is_built():
    config = network_of(NASNET_A, num_cells=1000, penultimate_filters=96_000)
    with pytest.raises(ValueError, match="at most 10,000,000,000 parameters, got one of 7,400,4"):
        build(config, keras.Input((64, 64, 3)))
