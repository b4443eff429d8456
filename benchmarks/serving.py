"""`keras-nasnet serve` under load: losses, speed beside the bare model, hostile requests.

KERAS_BACKEND=tensorflow python benchmarks/serving.py --model NASNetMobile --requests 1000
KERAS_BACKEND=tensorflow python benchmarks/serving.py --soak 20
"""

import argparse
import contextlib
import http.client
import io
import itertools
import json
import random
import re
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import requests
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.pictures import huge_png
from support.servers import as_json, command

PHOTOS = 16
ROUNDS = 5  # of the bare model, before and after
EVERY_S = 5  # of memory
JPEG, TYPED = {"Content-Type": "image/jpeg"}, {"Content-Type": "application/json"}
GONE = (requests.ConnectionError, ConnectionError, http.client.HTTPException)


def photo(seed: int, size=(320, 240)) -> bytes:
    """A JPEG file of random colors that run into each other."""
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), "uint8")
    stream = io.BytesIO()
    Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).save(stream, "JPEG")
    return stream.getvalue()


class Client:
    """Sends good requests one after another, and checks each answer."""

    def __init__(self, url, photos, wanted):
        self.url, self.photos, self.wanted = url, photos, wanted
        self.session = requests.Session()

    def ask(self, number) -> float | None:
        """Seconds until the right answer; None for any other."""
        start = time.perf_counter()
        try:
            answer = self.session.post(
                f"{self.url}/predict", self.photos[number % PHOTOS], headers=JPEG, timeout=300
            )
        except GONE:
            return None
        seconds = time.perf_counter() - start
        if answer.status_code != 200:
            return None
        return seconds if self.is_right(number, answer) else None

    def is_right(self, number, answer) -> bool:
        """Whether probabilities are those of the image alone; batches round them otherwise."""
        wanted = self.wanted[number % PHOTOS]
        found = answer.json()["images"][0]["predictions"]
        return all(abs(each["probability"] - wanted[each["class"]]) < 1e-3 for each in found)


def clients(url, number) -> list[Client]:
    photos = [photo(seed) for seed in range(PHOTOS)]
    wanted = []
    for each in photos:
        answer = requests.post(f"{url}/predict?top=1000", each, headers=JPEG).json()
        found = answer["images"][0]["predictions"]
        wanted.append({each["class"]: each["probability"] for each in found})
    return [Client(url, photos, wanted) for _ in range(number)]


def figure(url, name) -> float:
    text = requests.get(f"{url}/metrics").text
    return float(re.search(rf"^{name} (\S+)", text, re.MULTILINE)[1])


def measure(url, runner, num_requests, num_clients):
    """Prints losses, latencies, and images per second beside the bare model."""
    pool = ThreadPoolExecutor(num_clients)
    every = clients(url, num_clients)
    numbers = [range(start, num_requests, num_clients) for start in range(num_clients)]
    [*pool.map(lambda client: client.ask(0), every)]  # connects
    before = [figure(url, f"keras_nasnet_batch_images_{part}") for part in ("sum", "count")]
    start = time.perf_counter()
    work = zip(every, numbers, strict=True)
    times = [*pool.map(lambda pair: [pair[0].ask(number) for number in pair[1]], work)]
    seconds = time.perf_counter() - start
    after = [figure(url, f"keras_nasnet_batch_images_{part}") for part in ("sum", "count")]
    times = [*itertools.chain(*times)]
    answered = [each for each in times if each is not None]
    images, batches = (b - a for a, b in zip(before, after, strict=True))
    size = round(images / batches)
    bare = statistics.median(bare_speed(runner, size) for _ in range(ROUNDS))
    speed = len(answered) / seconds
    p50, p99 = (1000 * np.percentile(answered, q) for q in (50, 99))
    print(
        f"{num_requests} requests from {num_clients} clients: {times.count(None)} lost, "
        f"{speed:.1f} images/s, p50 {p50:.0f} ms, p99 {p99:.0f} ms; {images / batches:.1f} images "
        f"a batch; the bare model at batch {size}: {bare:.1f} images/s, ratio {speed / bare:.2f}"
    )


def bare_speed(runner, size) -> float:
    images = np.random.default_rng(0).integers(0, 256, (size, *runner.size, 3), "uint8")
    runner(images)
    calls, start = 0, time.perf_counter()
    while time.perf_counter() - start < 2:
        runner(images)
        calls += 1
    return size * calls / (time.perf_counter() - start)


def hostile(url, timeout_s):
    """Hostile requests by name: what sends one, and the statuses that may come of it."""
    host, port = url.removeprefix("http://").split(":")
    large = bytes(80_000_000)
    deep = b'{"images": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    noise = io.BytesIO()
    Image.new("RGB", (7_000, 7_000)).save(noise, "PNG")  # allowed, and 147 MB when decoded

    def post(body, headers=JPEG):
        return lambda: requests.post(f"{url}/predict", body(), headers=headers, timeout=300)

    def raw(text, pause, steps):
        def send():
            with socket.create_connection((host, int(port)), timeout=300) as connection:
                for _ in range(steps):
                    connection.sendall(text)
                    time.sleep(pause)
                connection.settimeout(300)
                return connection.recv(100)

        return send

    head = f"POST /predict HTTP/1.1\r\nHost: {host}\r\nContent-Type: image/jpeg\r\n".encode()
    return {
        "truncated JPEG": (post(lambda: photo(0)[:-300]), (400,)),
        "13,000 x 13,000 PNG": (post(huge_png), (413,)),
        "7,000 x 7,000 PNG": (post(noise.getvalue), (200, 503)),
        # What is refused may be on its way when the connection ends.
        "80 MB": (post(lambda: large), (413, 0)),
        "80 MB in parts": (post(lambda: (large[: 1 << 20] for _ in range(80))), (413, 0)),
        "deep JSON": (post(lambda: deep, TYPED), (400,)),
        "wrong type": (post(lambda: b"hello", {"Content-Type": "text/plain"}), (415,)),
        "JSON of wrong types": (post(lambda: b'{"images": [{"a": 1}]}', TYPED), (400,)),
        "33 images": (post(lambda: as_json([photo(0)] * 33), TYPED), (413,)),
        "31 bad of 32": (post(lambda: as_json([b"x"] * 31 + [photo(0)]), TYPED), (200,)),
        "multipart without end": (
            post(
                lambda: b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\n',
                {"Content-Type": "multipart/form-data; boundary=x"},
            ),
            (200, 400),
        ),
        "slow body": (raw(head + b"Content-Length: 9\r\n\r\n", timeout_s, 1), (408,)),
        "silent": (lambda: leave(url, b"", 1), (0,)),
        "gone in the middle": (lambda: leave(url, head + b"Content-Length: 9\r\n\r\nx", 0), (0,)),
        "no HTTP": (raw(b"\x00\xff\r\n\r\n", 0, 1), (400,)),
        "path": (raw(b"GET /../../etc/passwd HTTP/1.0\r\n\r\n", 0.1, 1), (404,)),
    }


def attack(url, end, timeout_s, counts, wrong):
    """Sends hostile requests, in random order, until the time is over."""
    attacks = hostile(url, timeout_s)
    while time.monotonic() < end:
        name = random.choice([*attacks])
        send, allowed = attacks[name]
        status = 0  # of no answer
        with contextlib.suppress(*GONE, OSError):
            answer = send()
            status = answer.status_code if hasattr(answer, "status_code") else _status(answer)
        counts[name, status] += 1
        if status not in allowed:
            wrong[name, status] += 1


def leave(url, text, seconds) -> bytes:
    """Leaves a connection without a word or in the middle of one."""
    host, port = url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(text)
        time.sleep(seconds)
    return b""


def _status(answer: bytes) -> int:
    words = answer.split()
    return int(words[1]) if len(words) > 1 else 0


def soak(url, minutes, num_clients, timeout_s):
    """Prints what came of good and hostile requests, and the memory over time."""
    end = time.monotonic() + 60 * minutes
    counts, wrong, lost, good = Counter(), Counter(), [], []
    every = clients(url, num_clients)

    def work(client):
        for number in itertools.count():
            if time.monotonic() >= end:
                return
            seconds = client.ask(number)
            (lost if seconds is None else good).append(seconds)

    threads = [threading.Thread(target=work, args=[client]) for client in every]
    threads += [
        threading.Thread(target=attack, args=[url, end, timeout_s, counts, wrong])
        for _ in range(num_clients)
    ]
    for thread in threads:
        thread.start()
    memory = []
    while time.monotonic() < end:
        time.sleep(EVERY_S)
        memory.append(figure(url, "process_resident_memory_bytes") / 2**20)
    for thread in threads:
        thread.join()
    quarters = [statistics.median(part) for part in np.array_split(memory, 4)]
    print(json.dumps({f"{name}: {status}": n for (name, status), n in sorted(counts.items())}))
    print(
        f"{minutes} minutes: {len(good):,} good requests answered, {len(lost)} lost, p99 "
        f"{1000 * np.percentile(good, 99):.0f} ms; {sum(counts.values()):,} hostile ones, "
        f"{sum(wrong.values())} with another answer than expected {dict(wrong)}; memory by "
        f"quarters {', '.join(f'{each:.0f}' for each in quarters)} MiB, at most {max(memory):.0f}; "
        f"open files {figure(url, 'process_open_fds'):.0f}"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="NASNetMobile")
    parser.add_argument("--format", default="onnx", help="the runtime; default: %(default)s")
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--max-batch", default="16")
    parser.add_argument("--soak", type=float, metavar="MINUTES")
    parser.add_argument("--timeout", type=float, default=30, help="of the server; default: 30 s")
    options = parser.parse_args()

    import keras_nasnet
    from keras_nasnet.inference.formats import FORMATS

    model = getattr(keras_nasnet, options.model)(weights=None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        keras_nasnet.export(model, path, options.format, features=True)
        arguments = [path, "--max-batch", options.max_batch]
        if options.soak:
            with command(*arguments, "--timeout", str(options.timeout)) as (_, url):
                soak(url, options.soak, options.clients, options.timeout)
        else:
            runner = FORMATS[options.format].load(path)
            print(f"{options.model}, {options.format}: ", end="")
            with command(*arguments) as (_, url):
                measure(url, runner, options.requests, options.clients)


if __name__ == "__main__":
    main()
