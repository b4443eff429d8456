"""Runs the server until it is told to stop."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

import uvicorn
from fastapi import FastAPI

# After SIGTERM for what came in, then for the end of threads: all is gone within 10.
GRACE_S, END_S = 7, 2


class Stopped(SystemExit):
    """SIGTERM."""


@contextmanager
def stoppable() -> Iterator[None]:
    """Within it SIGTERM raises `Stopped`, so that processes that were started are ended too."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(128 + number)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def bound(host: str, port: int) -> socket.socket:
    """A socket that holds an address, and on which nothing listens yet.

    Raises:
        ValueError: if it is taken, or cannot be had here.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        held = socket.socket(family, socket.SOCK_STREAM)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(address)
    except OSError as error:
        raise ValueError(f"{host}, port {port}: {error.strerror or error}") from None
    return held


def serve(app: FastAPI, held: socket.socket, started: Callable[[], None]) -> None:
    """Serves until SIGTERM or Ctrl-C: then no new requests, and what came in is answered.

    Args:
        app: ASGI application.
        held: from `bound`.
        started: called when requests are accepted.
    """
    config = uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_S,
    )
    server = _Server(config, started)
    with suppress(Stopped, KeyboardInterrupt):
        server.run(sockets=[held])
    # The end of this process waits for threads, and a call of a model cannot be stopped.
    end = threading.Timer(END_S, os._exit, [1])
    end.daemon = True
    end.start()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, started: Callable[[], None]) -> None:
        super().__init__(config)
        self._started = started

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._started()
