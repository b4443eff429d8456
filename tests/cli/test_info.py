"""What the command line says of networks, recipes and itself."""

import re

from support.command import run
from support.networks import random_genotype

from keras_nasnet.cells.catalog import NASNET_A


def test_info_of_a_model(capsys):
    status, out, _ = run(capsys, "info", "NASNetLarge")
    assert status == 0
    assert "NASNet-A (6 @ 4032) on 331 x 331" in out
    assert "88,949,818" in out
    assert "23,783,414,658" in out
    status, out, _ = run(capsys, "info", "NASNetMobile", "--input-size", "97x65")
    assert "3 x 2 x 1056" in out


def test_info_of_a_genotype(capsys, tmp_path):
    path = tmp_path / "found.json"
    path.write_text(random_genotype(1).to_json())
    status, out, _ = run(capsys, "info", path, "--stem", "cifar", "--num-cells", "2")
    assert status == 0
    assert "random 1 (2 @" in out


def test_help_teaches(capsys):
    commands = ["info", "plot", "train", "recipes", "predict", "embed", "search", "list", "convert"]
    for arguments in ([], *([name] for name in commands)):
        status, out, _ = run(capsys, *arguments, "--help")
        assert status == 0
        assert "example:" in out or not arguments


def test_recipes_are_shown_with_their_sources(capsys):
    status, out, _ = run(capsys, "recipes")
    assert status == 0
    assert "large" in out
    status, out, _ = run(capsys, "recipes", "cifar10", "--set", "drop_path_rate=0.2", "momentum=0")
    assert re.search(r"drop_path_rate +│ 0.2 +│ --set", out)
    assert re.search(r"l2 +│ 0.0005 +│ slim", out)


def test_a_bad_genotype_is_named_with_its_file(capsys, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text(NASNET_A.to_json().replace("separable_7x7", "separable_9x9", 1))
    status, _, err = run(capsys, "info", path)
    assert status == 2
    assert "bad.json: reduction cell: block 0, right edge: unknown operation" in err
