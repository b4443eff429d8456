"""keras-tuner's private names: those in use are there, and stand in one place."""

import ast
import inspect
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import keras_tuner
from keras_tuner.engine.base_tuner import BaseTuner

import keras_nasnet

PACKAGE = Path(keras_nasnet.__file__).parent
PRIVATE = PACKAGE / "search" / "private.py"


def private_names(tree):
    """Names that begin with one underscore, of what is called, set and defined."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    return {name for name in names if name.startswith("_") and not name.startswith("__")}


def theirs(folder):
    """Names of what keras-tuner's own oracle and tuner have."""
    oracle = keras_tuner.oracles.RandomSearchOracle("loss", max_trials=1)
    return {"Oracle": {*dir(oracle)}, "BaseTuner": {*dir(BaseTuner(oracle, directory=folder))}}


def imports(tree):
    """Modules and names that are imported from where keras-tuner keeps what is private."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("keras_tuner.src"):
            yield from ((node.module, alias.name) for alias in node.names)


def is_there(module, name):
    try:
        return hasattr(import_module(module), name)
    except ImportError:
        return False


def test_keras_tuner_has_the_private_names_in_use(tmp_path):
    tree, has = ast.parse(PRIVATE.read_text()), theirs(tmp_path)
    used = {
        kind.bases[0].attr if isinstance(kind.bases[0], ast.Attribute) else kind.bases[0].id: kind
        for kind in tree.body
        if isinstance(kind, ast.ClassDef)
    }
    moved = [f"{base}.{n}" for base in used for n in private_names(used[base]) - has[base]]
    moved += [".".join(place) for place in imports(tree) if not is_there(*place)]
    assert not moved, (
        f"keras-tuner {version('keras-tuner')} has moved {', '.join(sorted(moved))}: "
        f"mend {PRIVATE.relative_to(PACKAGE.parent)}"
    )


def test_private_names_stand_in_one_place(tmp_path):
    """And no name of ours is one of keras-tuner's by chance."""
    from keras_nasnet.search import NASNetTuner, SearcherOracle

    has = theirs(tmp_path)
    for base, kind in (("Oracle", SearcherOracle), ("BaseTuner", NASNetTuner)):
        assert not private_names(ast.parse(inspect.getsource(kind))) & has[base]
    places = [path for path in PACKAGE.rglob("*.py") if [*imports(ast.parse(path.read_text()))]]
    assert places == [PRIVATE]
