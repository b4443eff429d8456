"""A Dask cluster of processes of this machine."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from keras_nasnet.search.local import THREADS
from support import TESTS

SCHEDULER = ("dask_scheduler", "--host", "127.0.0.1", "--port", "0")
WORKERS = ("dask_worker", "--host", "127.0.0.1", "--nthreads", "1", "--death-timeout", "60")


class Cluster:
    """A scheduler and two workers, with the nannies that replace them."""

    def __init__(self, folder: Path):
        self.file = folder / "scheduler.json"
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join((TESTS, os.environ.get("PYTHONPATH", ""))),
            "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "false",
            **dict.fromkeys(THREADS, "1"),  # rewards depend on how many there are
        }

        def start(name, *arguments):
            command = [sys.executable, "-m", f"distributed.cli.{name}", *arguments]
            command += ["--no-dashboard", "--scheduler-file", str(self.file)]
            return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)

        self.scheduler = start(*SCHEDULER)
        self.nannies = start(
            *WORKERS, "--nworkers", "2", "--local-directory", str(folder / "workers")
        )
        while not self.file.exists():
            assert self.scheduler.poll() is None
            time.sleep(0.05)

    def workers(self) -> list[int]:
        """The processes that run what the cluster is given."""
        children = psutil.Process(self.nannies.pid).children(recursive=True)
        return [child.pid for child in children if "resource_tracker" not in str(child.cmdline())]

    def close(self) -> None:
        processes = psutil.Process(self.nannies.pid).children(recursive=True)
        for process in (self.scheduler, self.nannies, *processes):
            if psutil.pid_exists(process.pid):
                os.kill(process.pid, signal.SIGKILL)
        for process in (self.scheduler, self.nannies):
            process.wait()
