"""Files that cannot be written: what is told, and that nothing is left half written."""

import errno
import os
import resource

import pytest

from keras_nasnet.atomic import (
    NotWrittenError,
    check_place,
    replace_file,
    replace_folder,
    replace_text,
)


@pytest.fixture
def full_disk(monkeypatch):
    def fsync(number):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fsync)


FULL = r"file.txt could not be written: No space left on device; make room there"


def test_a_full_disk_is_told_of_the_file(tmp_path, full_disk):
    path = tmp_path / "file.txt"
    with pytest.raises(NotWrittenError, match=f"{FULL}$"):
        replace_text(path, "new")
    assert not list(tmp_path.iterdir())
    path.write_text("old")
    with pytest.raises(NotWrittenError, match=f"{FULL}. What was there before is intact.$"):
        replace_text(path, "new")
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file.txt"]


def test_a_file_that_grows_too_large_is_told(tmp_path):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(NotWrittenError, match=r"file.txt could not be written: File too large"):
            replace_text(tmp_path / "file.txt", "x" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())


def test_a_folder_too(tmp_path, full_disk):
    def write(path):
        path.mkdir()
        (path / "part").write_text("new")

    with pytest.raises(NotWrittenError, match="folder could not be written: No space left"):
        replace_folder(tmp_path / "folder", write)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("replace", [replace_file, replace_folder])
def test_libraries_with_errors_of_their_own(tmp_path, replace):
    def write(path):
        raise RuntimeError("write failed: errno = 28, error message = 'No space left on device'")

    with pytest.raises(NotWrittenError, match=f"{FULL}$"):
        replace(tmp_path / "file.txt", write)

    def fail(path):
        raise RuntimeError("the model is not built")

    with pytest.raises(RuntimeError, match="^the model is not built$"):
        replace(tmp_path / "file.txt", fail)


def test_where_nothing_can_be_written(tmp_path):
    (tmp_path / "file").touch()
    for path, message in (
        ("nodir/x", "nodir does not exist; create that folder first"),
        ("file/x", "file is not a folder"),
    ):
        for replace in (replace_file, replace_folder):
            with pytest.raises(NotWrittenError, match=f"x cannot be written: .*/{message}"):
                replace(tmp_path / path, lambda beside: pytest.fail("too late"))
    with pytest.raises(NotWrittenError, match="it is a folder"):
        replace_text(tmp_path, "text")
    check_place(tmp_path / "nodir" / "deeper" / "x", makes_folders=True)
    with pytest.raises(NotWrittenError, match="file is not a folder"):
        check_place(tmp_path / "file" / "deeper" / "x", makes_folders=True)
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_folder_that_is_not_ours_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(NotWrittenError, match=f"no permission to write in {tmp_path}"):
        replace_text(tmp_path / "x", "text")
