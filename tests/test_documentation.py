"""The code in README and in the pages of `docs/` runs, and what they link to is there.

Networks have small cells and random weights in place of downloads, data sets a few images; searches
end after a trial whose child does not train. Shell commands are parsed, those that only print are
run. A block that does neither says why in a comment before it: `<!-- not run: REASON -->`.
"""

import re
import shlex
import tomllib
from dataclasses import replace
from functools import wraps
from pathlib import Path

import keras
import numpy as np
import pytest
from markdown_it import MarkdownIt
from support.networks import ONE_BLOCK
from support.pictures import photo, write_folder
from support.works import Idle

from keras_nasnet import cli, factory
from keras_nasnet.search import NASNetTuner, SearcherOracle, tuner
from keras_nasnet.training import choices, trainer

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NOT_RUN = re.compile(r"<!-- not run: \w.+ -->")
PRINTING = ("info", "list", "plot", "recipes")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PATH = re.compile(r"`((?:benchmarks|docs|examples|keras_nasnet|tests|weights)/[\w/.]+)[^`]*`")


def blocks(page, *languages):
    """Line and text of the blocks of a page in some languages that are not marked."""
    before = ""
    for token in MarkdownIt().parse(page.read_text()):
        if token.type == "fence" and token.info in languages and not NOT_RUN.search(before):
            yield token.map[0] + 1, token.content
        before = token.content


def with_blocks(*languages):
    pages = [page for page in PAGES if any(blocks(page, *languages))]
    return pytest.mark.parametrize("page", pages, ids=lambda page: str(page.relative_to(ROOT)))


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder with images in which networks are small and searches short; names for the code."""
    whole = factory.build_model

    @wraps(whole)
    def build_model(config, *arguments, input_shape=None, weights=None, **options):
        config = replace(config, genotype=ONE_BLOCK, num_cells=1, penultimate_filters=128)
        side = 32 if options.get("auxiliary") else None
        shape = input_shape or (side, side, 3)
        return whole(config, *arguments, input_shape=shape, weights=None, **options)

    monkeypatch.setattr(factory, "build_model", build_model)
    monkeypatch.setattr(trainer, "build_model", build_model)
    monkeypatch.setattr(choices, "MIN_EPOCHS", 1)
    monkeypatch.setattr(choices, "MAX_EPOCHS", 1)
    child_of = NASNetTuner.child_of
    monkeypatch.setattr(
        NASNetTuner, "child_of", lambda *given, **data: Idle(child_of(*given, **data).job)
    )
    monkeypatch.setattr(
        tuner,
        "SearcherOracle",
        lambda searcher, objective, trials, *limits, **named: SearcherOracle(
            searcher, objective, 1, *limits, **named
        ),
    )
    monkeypatch.chdir(tmp_path)
    write_folder(tmp_path / "photos", ["cat", "dog"])
    (tmp_path / "photo.jpg").write_bytes(photo())
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3)).astype("float32")
    return {"images": images, "labels": np.array([0, 1, 0, 1])}


@with_blocks("python")
def test_python(page, small):
    if page.name == "detection.md":
        pytest.importorskip("keras_hub")
    try:
        for line, code in blocks(page, "python"):
            exec(compile("\n" * line + code, page, "exec"), small)
    finally:
        keras.config.set_dtype_policy("float32")


@with_blocks("sh")
def test_commands(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    makefile = (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for _, text in blocks(page, "sh"):
        for line in text.replace("\\\n", "").splitlines():
            words = [word for word in shlex.split(line, comments=True) if "=" not in word[:20]]
            match words:
                case ["keras-nasnet", command, *_] if command in PRINTING:
                    assert cli.main(shlex.split(line, comments=True)[1:]) == 0
                case ["keras-nasnet", *_]:
                    cli._parser().parse_args(shlex.split(line, comments=True)[1:])
                case ["make", target, *_]:
                    assert f"\n{target}:" in makefile
                case ["pip", "install", name]:
                    assert {*re.search(r"\[(.+)\]", name)[1].split(",")} <= {*extras}
                case [program, script, *_] if program.endswith("python"):
                    assert (ROOT / script).is_file()
                case [".ci/run"] | [".venv/tensorflow/bin/pytest", *_] | []:
                    pass
                case _:
                    pytest.fail(f"{line}: neither run nor marked as not run")


def test_every_block_names_its_language():
    for page in PAGES:
        for token in MarkdownIt().parse(page.read_text()):
            if token.type == "fence":
                assert token.info, f"{page}:{token.map[0] + 1}"


def test_links_and_paths():
    for page in [*PAGES, *(ROOT / "docs").rglob("*.rst"), *(ROOT / "docs").rglob("*.py")]:
        text = page.read_text()
        paths = PATH.findall(text)
        if page.parent == ROOT:  # the others' links are checked by `make docs`
            paths += LINK.findall(text)
        for path in paths:
            assert (ROOT / path).exists() or (ROOT / "keras_nasnet" / path).exists(), page
