"""Folders that one process at a time works in: who is told what, and whose lock is none."""

import json
import os
import signal
import socket
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from support.locks import written_by

from keras_nasnet import lock as module
from keras_nasnet.lock import HOLDER, LEASE_S, LOCK, FolderInUseError, locked


def test_the_second_is_told_at_once_who_is_there_and_since_when(tmp_path, hold):
    process = hold(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    begin = time.monotonic()
    told = rf"{tmp_path} is in use by process {process.pid} on {socket.gethostname()} since 20"
    with pytest.raises(FolderInUseError, match=told), locked(tmp_path):
        pass
    assert time.monotonic() - begin < 2
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_lock_of_a_dead_process_is_none(tmp_path, hold, number):
    process = hold(tmp_path)
    process.send_signal(number)
    process.wait()
    assert {path.name for path in tmp_path.iterdir()} == {LOCK, HOLDER}
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir()), "nothing stays behind"


def test_a_stopped_process_is_not_dead(tmp_path, hold):
    process = hold(tmp_path)
    process.send_signal(signal.SIGSTOP)
    heard = time.time() - 10 * LEASE_S
    os.utime(tmp_path / HOLDER, (heard, heard))
    with pytest.raises(FolderInUseError), locked(tmp_path):
        pass


def test_another_host_is_believed_alive_for_two_minutes(tmp_path):
    """Where the file system keeps no locks for other hosts."""
    written_by(tmp_path, LEASE_S - 10)
    told = r"process 7 on elsewhere since 2026-11-25 03:12:05\+00:00; .* free 120 seconds after"
    with pytest.raises(FolderInUseError, match=told), locked(tmp_path):
        pass
    assert [path.name for path in tmp_path.iterdir()] == [HOLDER]
    written_by(tmp_path, LEASE_S + 10)
    with locked(tmp_path) as lock:
        lock.check()
        assert json.loads((tmp_path / HOLDER).read_text())["pid"] == os.getpid()


def test_a_lock_that_the_file_server_keeps_for_a_dead_host_is_none(tmp_path):
    written_by(tmp_path, LEASE_S + 10)
    with FileLock(tmp_path / LOCK), locked(tmp_path) as lock:
        lock.check()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": 1}', "null"])
def test_a_damaged_file_keeps_nobody_out(tmp_path, text):
    (tmp_path / HOLDER).write_text(text)
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())


def test_a_holder_is_heard_of_again_and_again(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LEASE_S", 0.2)
    with locked(tmp_path):
        os.utime(tmp_path / HOLDER, (0, 0))
        deadline = time.monotonic() + 10
        while (tmp_path / HOLDER).stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_who_was_taken_for_dead_finds_out_and_leaves_the_other_alone(tmp_path):
    with locked(tmp_path) as lock:
        lock.check()
        written_by(tmp_path)
        with pytest.raises(FolderInUseError, match="taken over by process 7 on elsewhere since"):
            lock.check()
    assert (tmp_path / HOLDER).exists()
    with locked(tmp_path.joinpath("other")) as lock:
        (tmp_path / "other" / HOLDER).unlink()  # the other one has come and gone
        with pytest.raises(FolderInUseError, match="taken over by another process"):
            lock.check()


def test_a_thread_enters_twice_and_other_threads_do_not(tmp_path):
    errors = []

    def other():
        try:
            with locked(tmp_path):
                pass
        except FolderInUseError as error:
            errors.append(str(error))

    with locked(tmp_path) as lock:
        with locked(Path(os.path.relpath(tmp_path))) as again:
            assert again is lock
        lock.check()
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(errors) == 1
    assert f"process {os.getpid()} on" in errors[0]


def test_one_at_a_time_of_many_that_wait(tmp_path):
    inside, most, entered = [], [], []

    def enter():
        for _ in range(3):
            with locked(tmp_path, wait=True):
                inside.append(1)
                most.append(len(inside))
                time.sleep(0.01)
                inside.pop()
                entered.append(1)

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1}
    assert len(entered) == 12


def test_a_folder_that_nothing_came_of_is_not_left(tmp_path):
    with pytest.raises(ValueError), locked(tmp_path / "a" / "b"):
        raise ValueError
    assert not list(tmp_path.iterdir())
    with locked(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").touch()
    assert (tmp_path / "a" / "b" / "file").exists()


def test_a_link_in_its_place_is_not_followed(tmp_path):
    target, folder = tmp_path / "target", tmp_path / "folder"
    target.write_text("kept")
    folder.mkdir()
    (folder / HOLDER).symlink_to(target)
    with locked(folder):
        pass
    (folder / LOCK).symlink_to(target)
    with pytest.raises(OSError), locked(folder):
        pass
    assert target.read_text() == "kept"
