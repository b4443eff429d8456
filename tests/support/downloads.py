"""A local server of one file, and processes that download it."""

import hashlib
import http.server
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path


class RangeHandler(http.server.BaseHTTPRequestHandler):
    """Serves `server.content` at any path, from where `Range` says, at `server.bytes_per_s`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        content = self.server.content
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=")[:-1])
        if start >= len(content):
            self.send_response(416)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        step = self.server.bytes_per_s // 100
        for i in range(start, len(content), step):
            part = content[i : i + step]
            self.server.bytes_sent += len(part)  # before the client can have it
            try:
                self.wfile.write(part)
            except OSError:
                return
            time.sleep(0.01)

    def log_message(self, *arguments):
        pass


@contextmanager
def serve(content: bytes, bytes_per_s: int = 1 << 30):
    """A local server of one file; yields the server, with its `url` and the `bytes_sent`."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), RangeHandler)
    server.content, server.bytes_per_s, server.bytes_sent = content, bytes_per_s, 0
    server.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()


def start_fetch(url: str, home: Path, content: bytes) -> subprocess.Popen:
    """A process that downloads the served file to `home/models/file.h5`."""
    file_hash = hashlib.md5(content).hexdigest()
    code = (
        "from keras_nasnet.weights.download import fetch\n"
        "from keras_nasnet.weights.manifest import PublishedFile\n"
        f"print(fetch(PublishedFile('file.h5', 'file.h5', {file_hash!r})))\n"
    )
    environment = os.environ | {"KERAS_HOME": str(home), "KERAS_NASNET_MIRROR": url}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_downloads(folder: Path, kills: int, rng: random.Random) -> Counter:
    """Kills downloads at random moments; each goes on where the one before it was killed.

    Returns:
        How often nothing, the right file, or a bad file was at the final path after the kill, how
        many bytes were sent for a file's bytes, and how the last download, not killed, ended.
    """
    content = rng.randbytes(1 << 20)
    target = folder / "models" / "file.h5"
    outcomes = Counter()
    with serve(content, bytes_per_s=1 << 20) as server:
        for _ in range(kills):
            process = start_fetch(server.url, folder, content)
            time.sleep(rng.uniform(0.1, 1.0))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            if not target.exists():
                outcomes["nothing there"] += 1
            elif target.read_bytes() == content:
                outcomes["right file"] += 1
                target.unlink()
            else:
                outcomes["bad file"] += 1
        process = start_fetch(server.url, folder, content)
        process.communicate()
        outcomes["whole at the end"] = int(target.read_bytes() == content)
    return outcomes


def fetch_at_once(folder: Path, processes: int, rng: random.Random) -> tuple[int, float]:
    """Starts downloads of one file at once.

    Returns:
        How many ended with the right file, and how many transfers that took.
    """
    content = rng.randbytes(1 << 20)
    with serve(content, bytes_per_s=1 << 20) as server:
        running = [start_fetch(server.url, folder, content) for _ in range(processes)]
        paths = [Path(process.communicate()[0].split()[-1]) for process in running]
        right = sum(path.read_bytes() == content for path in paths)
        return right, server.bytes_sent / len(content)
