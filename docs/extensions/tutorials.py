"""Writes the tutorials as they are executed: in full, or in seconds for tests.

A line of a tutorial like `EPOCHS = 20  # smoke: 2` takes its second value where the environment
variable `KERAS_NASNET_SMOKE` is 1. The setting is part of the text that is hashed, so outputs of
one setting are not kept for the other.
"""

import logging
import os
import re
import shutil
from pathlib import Path

from keras_nasnet.cells import NASNET_A, plot_genotype
from keras_nasnet.terminal import import_keras

SMOKE = os.environ.get("KERAS_NASNET_SMOKE") == "1"
LINE = re.compile(r"^(\w+ = )(.+?)  # smoke: (.+)$", re.MULTILINE)

DOCS = Path(__file__).parents[1]
SOURCES, PAGES = DOCS / "tutorials", DOCS / "learn"
SCRIPTS = DOCS.parent / "build" / "tutorials"
THUMBNAIL = SCRIPTS.with_suffix(".png")  # of a tutorial without a picture

WARNING = """
.. warning::

   These pages were built in the smoke setting, for tests: the networks are tiny and hardly trained.
"""

ORDER = (
    "from_keras_applications",
    "bring_weights",
    "finetune",
    "train",
    "search",
    "cluster",
    "serve",
    "detection",
)


def write_scripts():
    """Writes the scripts without the remarks about the smoke setting, and a picture for them.

    What is left of scripts that are gone, pages too, is removed.
    """
    SCRIPTS.mkdir(parents=True, exist_ok=True)
    plot_genotype(NASNET_A, THUMBNAIL)
    for path in (*SOURCES.glob("*.py"), *SOURCES.glob("*.rst")):
        text = LINE.sub(r"\1\3" if SMOKE else r"\1\2", path.read_text())
        if SMOKE and path.suffix == ".rst":
            text += WARNING
        (SCRIPTS / path.name).write_text(text)
    for path in SCRIPTS.glob("*.py"):
        if not (SOURCES / path.name).exists():
            path.unlink()
            for page in PAGES.glob(f"{path.stem}.*"):
                page.unlink()


def order(name):
    """The place of a tutorial among the others."""
    return ORDER.index(Path(name).stem)


def before_each(conf, name):
    """Starts a script with a fresh Keras, and without the folder of its name, where it writes."""
    import_keras()
    import keras

    for library in ("absl", "tensorflow"):
        logging.getLogger(library).setLevel(logging.ERROR)
    shutil.rmtree(SCRIPTS / Path(name).stem, ignore_errors=True)
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
