"""The example's server as a process, and its clients."""

import contextlib
import io
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

SERVING = Path(__file__).parents[2] / "examples" / "serving"
sys.path.append(str(SERVING))
from client import classify  # noqa: E402


@contextlib.contextmanager
def server(model: Path, start_s=120):
    """The example's server of a SavedModel, in a process of its own; yields the URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, SERVING / "server.py", model, "--port", str(port)]
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _wait(f"http://127.0.0.1:{port}/health", process, start_s)
        yield f"http://127.0.0.1:{port}/v1/models/nasnet:predict"
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # the server leaves its workers behind otherwise
        process.wait()


def _wait(url, process, start_s):
    end = time.monotonic() + start_s
    while time.monotonic() < end and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:  # not listening yet, or not ready
            time.sleep(0.2)
    raise TimeoutError(f"no server at {url} after {start_s} s")


def photo(seed: int, size=(320, 240)) -> bytes:
    """A JPEG file of random colours that run into each other."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), "uint8")
    stream = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


def load(url: str, requests: int, clients: int) -> tuple[list[float], int]:
    """Seconds that each answered request took, and the number of those that were not."""

    def ask(i):
        start = time.perf_counter()
        try:
            (answer,) = classify([photos[i % len(photos)]], url)
        except OSError:
            return None
        return time.perf_counter() - start if answer == wanted[i % len(photos)] else None

    photos = [photo(seed) for seed in range(16)]
    wanted = [classify([each], url)[0] for each in photos]
    with ThreadPoolExecutor(clients) as pool:
        times = list(pool.map(ask, range(requests)))
    return [each for each in times if each is not None], times.count(None)
