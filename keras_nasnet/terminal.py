"""What a person sees: whole tables, progress, and nothing that a framework says if all is well."""

import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import Progress

WIDE = 1_000  # characters in a line of what is not a terminal: no cell of a table is cut
LINE_S = 60.0  # seconds between lines of progress without a terminal

Item = TypeVar("Item")

console = Console(width=None if sys.stdout.isatty() else WIDE)
errors = Console(stderr=True)


def track(items: Iterable[Item], description: str, total: int) -> Iterator[Item]:
    """The items, with their progress: a bar on a terminal, else a line every minute.

    Args:
        items: iterable.
        description: str, what is done to them, such as `"reading all images"`.
        total: int, how many there are.
    """
    if errors.is_terminal:
        with Progress(console=errors, transient=True) as progress:
            yield from progress.track(items, total=total, description=description)
        return
    last = time.monotonic()
    for number, item in enumerate(items):
        if time.monotonic() - last >= LINE_S:
            last = time.monotonic()
            print(f"{description}: {number:,} of {total:,}", file=sys.stderr, flush=True)
        yield item


def import_keras() -> None:
    """Imports Keras and its backend, without the lines that TensorFlow writes before any log level.

    If the import fails, what was written is shown.
    """
    with quiet_stderr():
        import keras  # noqa: F401


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Shows what is written to the descriptor of stderr, by C++ too, only after an exception."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with tempfile.TemporaryFile() as caught:
        os.dup2(caught.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            caught.seek(0)
            os.write(stderr, caught.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
