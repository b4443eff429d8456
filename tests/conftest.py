"""Networks small enough to build in a second or two."""

import gc
import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # tests run beside each other
# JAX's time goes into compiling: cheaply, and what one process has compiled the others read.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", os.path.abspath(".pytest_cache/jax"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")

import keras
import pytest
from support.locks import hold as hold


def pytest_collection_modifyitems(items):
    """The slow ones first, so that no process is left with one at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(autouse=True)
def _fresh_session():
    yield
    keras.utils.clear_session()
    gc.freeze()  # What is left, all that was imported, is not looked through after each test.
