"""Processes that hold the lock of a folder."""

import json
import os
import subprocess
import sys
import time

import pytest

from keras_nasnet.lock import HOLDER

HOLD = """
import sys, time
from pathlib import Path
from keras_nasnet.lock import locked
with locked(Path(sys.argv[1])):
    print("READY", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def hold():
    """Has another process hold a folder for some seconds; the process."""
    started = []

    def start(folder, seconds=60):
        command = [sys.executable, "-c", HOLD, str(folder), str(seconds)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        started.append(process)
        assert process.stdout.readline() == b"READY\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def written_by(folder, age_s=0.0, host="elsewhere", pid=7):
    """Leaves in a folder what a process on a host wrote there, some seconds ago."""
    holder = {"pid": pid, "host": host, "since": "2026-11-25 03:12:05+00:00"}
    (folder / HOLDER).write_text(json.dumps(holder))
    heard = time.time() - age_s
    os.utime(folder / HOLDER, (heard, heard))
