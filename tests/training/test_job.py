"""`config.json` of a run folder, as users edit it."""

import json

import pytest

from keras_nasnet.cells.catalog import NASNET_A, network_of
from keras_nasnet.training import job as job_module
from keras_nasnet.training.job import CONFIG, Job, is_run_file, read_config
from keras_nasnet.training.recipes import recipe

JOB = Job(network_of(NASNET_A, "cifar"), recipe("cifar10"), "photos", (32, 40), 3, "a.h5", 2)
OF_DATA = {"class_names": ["cat", "dog"], "normalization": [[0.0, 0.1, 0.2], [1.0, 0.5, 2]]}
VALUES = (None, True, "<", "", 1.5, -1, 10**400, 10**30, [], [1], ["<"], {}, {"a": 1}, "x" * 10**5)
NOT_FINITE = (float("nan"), float("inf"))


def written(run, config):
    (run / CONFIG).write_text(json.dumps(config))
    return run


def whole():
    return json.loads(json.dumps(JOB.to_dict() | OF_DATA))


def leaves():
    """Paths to all that the file says, but for the genotype, which has tests of its own."""
    config = whole()
    for name in ("config", "recipe"):
        yield from ((name, key) for key in config[name])
    yield from ((name,) for name in config)


def test_a_run_is_read_as_it_was_written(tmp_path):
    assert Job.of_run(written(tmp_path, whole())) == JOB
    assert read_config(tmp_path)["normalization"] == OF_DATA["normalization"]


@pytest.mark.parametrize("path", list(leaves()), ids="/".join)
def test_a_value_of_any_kind_is_taken_or_named(tmp_path, path):
    """Never another error than one that names the file and the key, and in a few words."""
    refused = []
    for value in (*VALUES, *NOT_FINITE):
        config = whole()
        target = config
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = value
        try:
            Job.of_run(written(tmp_path, config))
        except ValueError as error:
            refused.append(str(error))
    assert len(refused) >= len(VALUES) // 2
    for message in refused:
        assert message.startswith(f"{tmp_path / CONFIG}: ")
        assert path[-1] in message
        assert len(message) < 700


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.pop("recipe"), "recipe is missing"),
        (lambda c: c["recipe"].pop("epochs"), "recipe: an object: epochs is missing"),
        (lambda c: c.update(sed=3), "unknown key 'sed'; did you mean seed"),
        (lambda c: c["recipe"].update(learning_rat=3), "'learning_rat'; did you mean learning"),
        (lambda c: c["config"].update(num_cell=3), "config: .*'num_cell'; did you mean num_cells"),
        (lambda c: c["recipe"].update(epochs="9"), "recipe: epochs: wanted an integer .* got '9'"),
        (lambda c: c["config"]["genotype"]["normal"].pop("blocks"), "normal cell: .*blocks is mi"),
        (lambda c: c.update(size=[32]), r"input size: wanted \(height, width\).*got \(32,\)"),
        (lambda c: c.update(normalization=[[0, 0, 0], [1, 1, 0]]), "normalization: .*above 0"),
        (lambda c: c.update(class_names=["a", 5]), r"class_names: .*got \['a', 5\]"),
    ],
)
def test_a_mistake_is_named(tmp_path, change, message):
    config = whole()
    change(config)
    with pytest.raises(ValueError, match=f"{CONFIG}: .*{message}"):
        Job.of_run(written(tmp_path, config))


def test_what_is_no_configuration_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="is not a run folder"):
        Job.of_run(tmp_path)
    (tmp_path / CONFIG).write_bytes(b"\xff\x00")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        Job.of_run(tmp_path)
    (tmp_path / CONFIG).write_text("[" * 10**6)
    with pytest.raises(ValueError, match="nested too deep"):
        Job.of_run(tmp_path)
    monkeypatch.setattr(job_module, "MAX_JSON", 100)
    with pytest.raises(ValueError, match="at most 100 characters"):
        Job.of_run(written(tmp_path, whole()))


def test_the_configuration_of_another_program_is_not_taken_for_a_runs(tmp_path):
    model = tmp_path / "model.keras"
    assert not is_run_file(model)
    written(tmp_path, {"module": "keras", "config": {}})
    assert not is_run_file(model)
    written(tmp_path, whole())
    assert is_run_file(model)
