"""What is printed of the models beside the catalog it comes from."""

import runpy
from pathlib import Path

import pytest

import keras_nasnet
from keras_nasnet.cells.catalog import MODELS, PUBLICATIONS
from keras_nasnet.cells.summary import short_count, summarize
from keras_nasnet.weights.manifest import PUBLISHED

ROOT = Path(__file__).parents[2]


def test_readme_and_guide_have_the_tables():
    script = runpy.run_path(str(ROOT / "weights" / "write_tables.py"))
    firsts = ("`NASNetMobile`", "keras_nasnet safetensors")
    for page, first in zip(script["PAGES"], firsts, strict=True):
        text = page.read_text()
        assert text == script["with_tables"](text), "run python weights/write_tables.py"
        assert f"| {first} |" in text


@pytest.mark.parametrize("name", MODELS)
def test_docstrings_have_the_figures_of_the_catalog(name):
    config, published = MODELS[name], PUBLICATIONS[name]
    text = " ".join(getattr(keras_nasnet, name).__doc__.split())
    rows = summarize(config)
    figures = [
        f"{short_count(sum(row.params for row in rows))} parameters",
        f"{short_count(sum(row.mult_adds for row in rows))} multiply-adds",
        f"made for {config.input_size} x {config.input_size}",
        published.accuracy.removeprefix("CIFAR-10: error ").split()[0] + "%",
        published.source.split(",")[0],
    ]
    assert [figure for figure in figures if figure not in text] == []


@pytest.mark.parametrize("name, include_top", PUBLISHED)
def test_cards_have_the_figures_of_the_catalog(name, include_top):
    file, config = PUBLISHED[name, include_top], MODELS[name]
    name_of_card = file.url_name.replace(".h5", ".md")
    card = (ROOT / "weights" / name_of_card).read_text()
    params = sum(row.params for row in summarize(config, include_top=include_top))
    top_1, top_5 = PUBLICATIONS[name].accuracy.split(" / ")
    assert f"{params:,} parameters" in card
    assert f"top-1 {top_1}%, top-5 {top_5}% at {config.input_size} x {config.input_size}" in card
    assert file.file_hash in card
    table = (ROOT / "weights" / "README.md").read_text()
    (row,) = (line for line in table.splitlines() if f"({name_of_card})" in line)
    assert row.endswith(f"| `{name}` | {config.input_size} | {PUBLICATIONS[name].accuracy} |")
