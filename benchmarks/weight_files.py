"""Weight files under attack: mutated, killed while downloading, wanted by many at once.

Prints how many of each were refused, loaded or left half done:

    python benchmarks/weight_files.py --mutations 1000 --kills 100 --processes 8

Files of every format with damaged headers and bodies; and one of them again, by its number:

    python benchmarks/weight_files.py --fuzz 5000 --processes 2
    python benchmarks/weight_files.py --fuzz-only 29 --processes 1
"""

import argparse
import hashlib
import http.server
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import hostile_files
from attempt import attempt, write_files
from fuzzing import fuzz
from mutation import MUTATIONS, mutate


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


def mutations(folder: Path, count: int) -> None:
    """Damaged files of a network, with and without their hash."""
    rng = random.Random(0)
    model, files = write_files(folder)
    hashes = {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    for path in files:
        results = attempt(model, path, hashes[path])
        print(f"{path.name}, {path.stat().st_size:,} bytes, as it is: {results}")
    outcomes = {hashed: Counter() for hashed in (True, False)}
    for i in range(count):
        path, kind = files[i % 2], MUTATIONS[i // 2 % len(MUTATIONS)]
        damaged = folder / f"damaged_{path.name}"
        mutate(path, damaged, kind, rng)
        for hashed, counter in outcomes.items():
            result = attempt(model, damaged, hashes[path] if hashed else None)
            counter[result if hashed else f"{kind} {result}"] += 1
    print(f"{count} mutations, hash known:", dict(outcomes[True]))
    print(f"{count} mutations, no hash:", dict(sorted(outcomes[False].items())))


def hostile(folder: Path) -> None:
    """What each file made to harm costs, in a process of its own."""
    for name, write in hostile_files.CASES.items():
        path = write(folder)
        command = [sys.executable, hostile_files.__file__, str(path)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=600)
        row = result.stdout.strip() or f"ended with {result.returncode}"
        print(f"{name}, {path.stat().st_size:,} bytes: {row}", flush=True)
        path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--hostile", action="store_true", help="files made to harm, nothing else")
    parser.add_argument("--fuzz", type=int, help="this many files of every format, nothing else")
    parser.add_argument("--fuzz-only", type=int, nargs="+", help="the files of these numbers")
    options = parser.parse_args()
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.fuzz or options.fuzz_only:
            fuzz(folder, options.fuzz_only or range(options.fuzz), options.processes)
            return
        if options.hostile:
            hostile(folder)
            return
        print(f"{options.kills} kills:", dict(kill_downloads(folder / "k", options.kills, rng)))
        right, transfers = fetch_at_once(folder / "p", options.processes, rng)
        print(f"{options.processes} processes at once: {right} right, {transfers:.2f} transfers")
        hostile(folder)
        mutations(folder, options.mutations)


if __name__ == "__main__":
    main()
