"""What a person sees of Keras's import and of long work."""

import os
import subprocess
import sys

import pytest

from keras_nasnet import terminal


@pytest.mark.every_backend
def test_keras_and_grain_are_imported_without_a_word():
    code = """
from keras_nasnet.terminal import import_keras
import_keras()
from keras_nasnet.data import Batches, open_data
next(iter(Batches(open_data("digits")[0], (8, 8), 8, seed=0).stream(0)))
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (result.stdout, result.stderr) == (b"", b"")


def test_what_was_said_is_shown_if_an_import_fails(capfd):
    @terminal.quiet_stderr()
    def fail():
        os.write(2, b"a reason\n")
        assert capfd.readouterr().err == ""
        raise ImportError

    with pytest.raises(ImportError):
        fail()
    assert capfd.readouterr().err == "a reason\n"
    os.write(2, b"as before\n")
    assert capfd.readouterr().err == "as before\n"


@pytest.mark.parametrize(("line_s", "lines"), [(0, 3), (60, 0)])
def test_progress_is_lines_without_a_terminal(line_s, lines, capsys, monkeypatch):
    monkeypatch.setattr(terminal, "LINE_S", line_s)
    assert list(terminal.track("abc", "reading", 3)) == ["a", "b", "c"]
    told = capsys.readouterr().err.splitlines()
    assert told == [f"reading: {number} of 3" for number in range(lines)]
