"""Mistakes in arguments, settings and folders: one line each, without a traceback."""

import argparse
import json
import re
import time

import pytest
from support.command import run
from support.networks import one_block
from support.pictures import encoded

from keras_nasnet.cells.catalog import NASNET_A
from keras_nasnet.cli.arguments import run_folder
from keras_nasnet.data import source
from keras_nasnet.lock import HOLDER, LOCK

SEARCH = ["search", "--data", "digits", "--out", "{tmp}/run"]
CLUSTER = [*SEARCH, "--trials", "3", "--scheduler"]
TRAIN = ["train", "--data", "digits", "--out", "{tmp}/run"]
MANY = "999999999"
NO_FOLDER = r"no/x\.\w+ cannot be written: .*/no does not exist; create that folder first"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["info", "NASNetHuge"], "NASNetHuge is not a model, genotype or file; .*allowed are"),
        (["info", "NASNetMobile", "--input-size", "20"], "at least 32 x 32, got 20 x 20"),
        (["info", "NASNetMobile", "--input-size", "a"], "wanted N or HEIGHTxWIDTH, got 'a'"),
        (["info", "NASNetMobile", "--stem", "cifar"], "--stem is for genotypes"),
        (["info", "NASNetMobile", "--penultimate-filters", "100"], "96 or 120"),
        (["info", "NASNetMobile", "--num-cells", MANY], f"num_cells: .* at most 1,000, got {MANY}"),
        (["info", "NASNetMobile", "--penultimate-filters", MANY], "at most 100,000, got"),
        (["info", "NASNetMobile", "--input-size", MANY], "at most 16,384 x 16,384, got"),
        (
            ["info", "NASNetMobile", "--input-size", "9" * 5000],
            "WIDTH, got '9+\\.\\.\\.9+'$",
        ),
        (["info", "x" * 5000], r"x{77}\.\.\. is not a model, genotype or file"),
        (["info", "{tmp}/deep.json"], "deep.json: not readable JSON: .* nested too deep"),
        (["info", "{tmp}/large.json"], "large.json: wanted at most 200,000 characters of JSON"),
        (["info", "{tmp}/binary.json"], "binary.json: not JSON: not UTF-8 text"),
        ([*TRAIN, "--num-cells", "900", "--penultimate-filters", "96000"], "10,000,000,000 param"),
        ([*TRAIN, "--input-size", "64", "--devices", "0"], "devices: wanted an integer of at l"),
        ([*TRAIN, "--seed", MANY * 2], "seed: wanted an integer of at most 4,294,967,295"),
        (
            [*TRAIN[:-1], "{tmp}/deep.json/run"],
            "run cannot be written: .*deep.json is not a folder",
        ),
        ([*SEARCH[:-1], "{tmp}/deep.json/run", "--trials", "3"], "deep.json is not a folder"),
        (["plot", "NASNetLarge", "--out", "{tmp}/no/x.svg"], NO_FOLDER),
        (["embed", "a.jpg", "--out", "{tmp}/no/x.npy"], NO_FOLDER),
        (["convert", "a.h5", "{tmp}/no/x.keras"], NO_FOLDER),
        (["export", "NASNetMobile", "{tmp}/deep.json/x"], "x cannot be written: .*is not a folder"),
        (
            ["predict", "{tmp}", "a.jpg", "--weights", "none"],
            "--weights: .* already has weights; leave it",
        ),
        (["benchmark", "NASNetMobile", "--batch-sizes", MANY], "--batch-sizes: .* at most 4,096"),
        (["train", "--data", "nowhere", "--out", "{tmp}/run"], "nowhere is not a folder"),
        (["train", "--data", "digits", "--out", "{tmp}"], "already exists; name a new folder"),
        (["train", "--out", "{tmp}/run"], "--data: required, names the images"),
        (["train", "--data", "digits"], "one of the arguments --out --resume is required"),
        (["train", "--resume", "{tmp}"], "is not a run folder"),
        (
            ["train", "--resume", "{tmp}", "--seed", "3", "--set", "epochs=9"],
            "leave out --set, --seed",
        ),
        ([*TRAIN, "--set", "epochs=0"], "epochs.*got 0"),
        ([*TRAIN, "--genotype", "best.json"], "best.json is not a model, genotype or file"),
        ([*TRAIN, "--set", "epochs"], "wanted NAME=VALUE, got 'epochs'"),
        ([*TRAIN, "--set", "epoch=3"], "did you mean epochs"),
        ([*TRAIN, "--recipe", "cifar"], "did you mean cifar10"),
        ([*TRAIN, "--devices", "3", "--set", "batch_size=32"], "batch_size: wanted a multiple"),
        (["recipes", "--set", "epochs=3"], "name the recipe"),
        (
            ["search", "--data", "digits", "--out", "{tmp}/run"],
            "--minutes, --trials: at least one is required",
        ),
        ([*SEARCH, "--minutes", "0"], "minutes: wanted a number > 0, got 0"),
        ([*SEARCH, "--minutes", "9", "--images", "0"], "num_images: wanted an integer of at least"),
        ([*SEARCH, "--trials", "1", "--images", "0"], "images: wanted an integer of at least 1"),
        (
            [*SEARCH, "--minutes", "9", "--set", "steps_per_epoch=3"],
            "--set steps_per_epoch: not with --minutes or --images",
        ),
        ([*SEARCH, "--trials", "3", "--rungs", "0"], "rungs: wanted an integer of at least 1"),
        ([*SEARCH, "--trials", "3", "--for", "NASNetTiny"], "model: 'NASNetTiny' is not known"),
        ([*SEARCH, "--trials", "3", "--max-parameters", "9"], "the smallest cells of this space"),
        ([*SEARCH, "--trials", "3", "--dry-run"], "--dry-run: prints the plan of a new search"),
        (["search", "--out", "{tmp}/run", "--trials", "3"], "--data: required, names the images"),
        ([*SEARCH, "--trials", "0"], "max_trials: wanted an integer of at least 1, got 0"),
        ([*SEARCH, "--trials", "3", "--filters", "0"], ": filters: wanted"),
        ([*SEARCH, "--trials", "3", "--blocks", "0"], "num_blocks: wanted"),
        ([*SEARCH, "--trials", "3", "--blocks", MANY], "num_blocks: wanted .* at most 64"),
        ([*SEARCH, "--trials", "3", "--num-cells", MANY], "num_cells: wanted .* at most 1,000"),
        ([*SEARCH, "--trials", "3", "--filters", MANY], "filters: wanted .* at most 100,000"),
        ([*SEARCH, "--trials", "3", "--input-size", MANY], "input size: wanted at most 16,384"),
        ([*SEARCH, "--trials", "3", "--workers", MANY], "workers: wanted .* at most 1,024"),
        ([*SEARCH, "--trials", "3", "--seed", "-1"], "seed: wanted an integer of at least 0"),
        ([*SEARCH, "--trials", "3", "--workers", "0"], "workers: wanted"),
        ([*SEARCH, "--trials", "3", "--finalists", "0"], "finalists: wanted"),
        ([*SEARCH, "--trials", "3", "--scheduler-file", "{tmp}/a"], "/a is not a file"),
        ([*SEARCH, "--trials", "3", "--tls-key", "a"], "scheduler, scheduler_file: wanted one"),
        ([*CLUSTER, "tcp://a:1", "--tls-key", "a"], "tls_key: wanted all three or none"),
        ([*CLUSTER, "tls://a:1"], "tls://a:1: needs tls_ca_file, tls_cert and tls_key"),
        ([*CLUSTER, "tcp://127.0.0.1:1"], "no Dask scheduler at tcp://127.0.0.1:1: "),
        ([*CLUSTER, "nonsense://a"], "no Dask scheduler at nonsense://a: "),
        ([*SEARCH, "--trials", "3", "--set", "epochs=0"], "epochs.*got 0"),
        (["search", "--resume", "{tmp}", "--trials", "9"], "is not a search folder"),
        (["plot", "NASNetLarge", "--out", "{tmp}/cells.jpg"], "wanted a file ending in .png"),
        (
            ["train", "--data", "digits", "--out", "{tmp}/run", "--weights", "x"],
            "weights: x is not a file",
        ),
        (["predict", "{tmp}/absent", "a.jpg"], "is not a run folder, a .keras file or a model"),
        (["predict", "NASNetMobil", "a.jpg"], "did you mean NASNetMobile"),
        (["info", "NASNetLarg"], "did you mean NASNetLarge"),
        (["recipes", "finetun"], "did you mean finetune"),
        (["predict", "{tmp}/genotype.json", "a.jpg"], "cannot be loaded as a Keras model"),
        (["predict", "NASNetMobile", "a.jpg", "--top", "0"], "--top: wanted at least 1"),
        (["evaluate", "NASNetMobile"], "--data: required for a model that is not in a run folder"),
        (["evaluate", "NASNetMobile", "--data", "{tmp}/no"], "no is not a folder; allowed are dig"),
        (["evaluate", "{tmp}", "--data", "digits", "--csv", "{tmp}/no/x.csv"], NO_FOLDER),
        (["evaluate", "{tmp}", "--data", "digits", "--out", "{tmp}/no/x.html"], NO_FOLDER),
        (["evaluate", "{tmp}", "--data", "digits", "--out", "{tmp}"], "is a folder; name a file"),
        (
            ["evaluate", "{tmp}", "--data", "digits"],
            "is not a run folder, a .keras file or a model",
        ),
        ([], "the following arguments are required"),
    ],
)
def test_a_mistake_is_told_in_a_line(capsys, tmp_path, monkeypatch, arguments, message):
    monkeypatch.setattr("keras_nasnet.search.cluster.TIMEOUT_S", 1)
    (tmp_path / "genotype.json").write_text(NASNET_A.to_json())
    (tmp_path / "deep.json").write_text("[" * 10**5)
    (tmp_path / "large.json").write_text("[" * 10**6)
    (tmp_path / "binary.json").write_bytes(b"\xff")
    arguments = [argument.format(tmp=tmp_path) for argument in arguments]
    status, _, err = run(capsys, *arguments)
    assert status == 2
    assert "Traceback" not in err
    assert re.search(message, err), err
    assert not (tmp_path / "run").exists()


SETTINGS = {
    "data": "digits",
    "trials": 2,
    "seconds": None,
    "finalists": None,
    "finalist_epochs": None,
    "searcher": "random",
    "blocks": 1,
    "num_cells": 1,
    "filters": 2,
    "seed": 0,
    "input_size": [32, 32],
    "recipe": "search-child",
    "set": ["epochs=1"],
}


@pytest.mark.parametrize(
    "change, message",
    [
        ({"data": None}, "data: wanted a string, got None"),
        ({"trials": "9"}, "max_trials: wanted an integer of at least 1, got '9'"),
        ({"seconds": "9"}, "max_seconds: wanted > 0, got '9'"),
        ({"finalists": [1]}, r"finalists: wanted an integer .* got \[1\]"),
        ({"searcher": {}}, "searcher: wanted a string, got {}"),
        ({"searcher": "luck"}, "searcher: 'luck' is not known"),
        ({"blocks": "5"}, "num_blocks: wanted an integer .* got '5'"),
        ({"num_cells": 1.5}, "num_cells: wanted an integer .* got 1.5"),
        ({"filters": "<"}, "filters: wanted an integer .* got '<'"),
        ({"seed": None}, "seed: wanted an integer .* got None"),
        ({"input_size": 32}, "input size: wanted .* got 32"),
        ({"recipe": 3}, "recipe: wanted a string, got 3"),
        ({"set": "epochs=1"}, "set: wanted a list of strings, got 'epochs=1'"),
        ({"set": ["epochs=x"]}, "epochs: wanted int, got 'x'"),
        ({"trails": 3}, "search.json: a search: unknown key 'trails'; did you mean trials"),
    ],
)
def test_an_edited_search_is_refused_by_name(capsys, tmp_path, change, message):
    (tmp_path / "search.json").write_text(json.dumps(SETTINGS | change))
    status, _, err = run(capsys, "search", "--resume", tmp_path)
    assert status == 2
    assert re.search(message, err), err
    assert [path.name for path in tmp_path.iterdir()] == ["search.json"]


def test_settings_of_a_search_that_are_missing_are_named(capsys, tmp_path):
    for text, message in (
        (json.dumps({key: SETTINGS[key] for key in SETTINGS if key != "filters"}), "filters is mi"),
        ("[]", "wanted an object with data, trials, "),
        ("[" * 10**5, "nested too deep"),
    ):
        (tmp_path / "search.json").write_text(text)
        status, _, err = run(capsys, "search", "--resume", tmp_path)
        assert status == 2
        assert re.search(f"search.json: .*{message}", err), err


def test_an_edited_run_is_refused_by_name(capsys, tmp_path):
    """By what goes on with it and by what takes the names of its classes."""
    (tmp_path / "model.keras").touch()
    (tmp_path / "config.json").write_text('{"class_name": ["cat"]}')
    for arguments in (["train", "--resume", tmp_path], ["predict", tmp_path, "a.jpg"]):
        status, _, err = run(capsys, *arguments)
        assert status == 2
        assert "config.json: a run: unknown key 'class_name'; did you mean class_names?" in err


def test_random_weights_are_told(capsys, tmp_path, monkeypatch):
    image = tmp_path / "grey.png"
    image.write_bytes(encoded("L").read())
    monkeypatch.setattr(
        "keras_nasnet.inference.classifier.build_model", lambda *_, weights: one_block()
    )
    status, out, err = run(capsys, "predict", "NASNetCIFAR", image, "--weights", "none")
    assert status == 0
    assert err == (
        "keras-nasnet: NASNetCIFAR has random weights, its predictions are meaningless\n"
    )
    assert "%" in out
    status, _, err = run(capsys, "predict", "NASNetMobile", image)
    assert (status, err) == (0, "")


@pytest.mark.parametrize("command", ["train", "search"])
def test_a_folder_in_use_is_told_in_a_line(capsys, tmp_path, hold, monkeypatch, command):
    process = hold(tmp_path)
    monkeypatch.setattr(source, "open_data", pytest.fail)
    begin = time.monotonic()
    status, out, err = run(capsys, command, "--resume", tmp_path)
    assert time.monotonic() - begin < 2
    assert (status, out) == (2, "")
    assert re.fullmatch(
        rf"keras-nasnet: {tmp_path} is in use by process {process.pid} on \S+ since .*\n", err
    )
    assert {path.name for path in tmp_path.iterdir()} == {LOCK, HOLDER}


def test_what_a_killed_process_left_is_a_new_folder(tmp_path, hold):
    process = hold(tmp_path / "run")
    process.kill()
    process.wait()
    parser = argparse.Namespace(out=tmp_path / "run", resume=None)
    assert run_folder(parser, ()) == tmp_path / "run"
    (tmp_path / "run" / "config.json").touch()
    with pytest.raises(ValueError, match="already exists"):
        run_folder(parser, ())
