"""What Prometheus reads."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from starlette.types import Scope

from keras_nasnet.serving.refused import STATUSES

TIMES_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128)
CONTENT_TYPE = CONTENT_TYPE_LATEST
PATHS = ("/", "/predict", "/embed", "/model", "/health", "/ready", "/metrics", "/docs")


@dataclass
class Seen:
    """The status of an answer; 499, as of nginx, if the client left before."""

    status: int = 499


class Metrics:
    """Requests, errors, times and batches of one server."""

    def __init__(self) -> None:
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._registry = registry
        self._requests = Counter(
            "keras_nasnet_requests", "Requests answered", ["path", "status"], registry=registry
        )
        self._seconds = Histogram(
            "keras_nasnet_request_seconds",
            "Time from a request to its answer",
            ["path"],
            buckets=TIMES_S,
            registry=registry,
        )
        self.errors = Counter(
            "keras_nasnet_errors",
            "Errors told to clients, of requests and of images",
            ["kind"],
            registry=registry,
        )
        for kind in STATUSES:
            self.errors.labels(kind)  # counted from zero
        self.batches = Histogram(
            "keras_nasnet_batch_images",
            "Images classified together",
            buckets=SIZES,
            registry=registry,
        )
        self._waiting = Gauge(
            "keras_nasnet_waiting_images", "Images that wait for the model", registry=registry
        )

    def watch(self, num_waiting: Callable[[], int]) -> None:
        """Says where the number of waiting images is read."""
        self._waiting.set_function(num_waiting)

    @contextmanager
    def request(self, scope: Scope) -> Iterator[Seen]:
        """Counts and times a request, whose status is set in the context."""
        seen, start = Seen(), time.perf_counter()
        path = scope["path"] if scope["path"] in PATHS else "other"
        try:
            yield seen
        finally:
            self._requests.labels(path, seen.status).inc()
            self._seconds.labels(path).observe(time.perf_counter() - start)

    def text(self) -> bytes:
        return generate_latest(self._registry)
