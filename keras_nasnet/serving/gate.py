"""What every request passes first: the token, the limits of its body and of its time."""

import asyncio
import secrets
from contextlib import suppress

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from keras_nasnet.serving.limits import Limits
from keras_nasnet.serving.metrics import Metrics
from keras_nasnet.serving.refused import RefusedError

# Without the token: what holds no data.
OPEN = ("/", "/style.css", "/script.js", "/health", "/ready", "/docs", "/openapi.json")
OPEN_FOLDER = "/static-offline-docs/"


class Gate:
    """Refuses requests before they are read, and stops those that take too long.

    Args:
        app: what comes behind it.
        limits: `Limits`.
        metrics: `Metrics`.
        token: str that requests have to bear, or None.
    """

    def __init__(self, app: ASGIApp, limits: Limits, metrics: Metrics, token: str | None) -> None:
        self._app = app
        self._limits = limits
        self._metrics = metrics
        self._token = None if token is None else token.encode()
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._metrics.request(scope) as seen:

            async def send_and_see(message: Message) -> None:
                if message["type"] == "http.response.start":
                    seen.status = message["status"]
                await send(message)

            try:
                self._check(scope)
            except RefusedError as refusal:
                await refuse(refusal, self._metrics)(scope, receive, send_and_see)
                return
            self._inside += 1
            try:
                await self._pass(scope, receive, send_and_see)
            finally:
                self._inside -= 1

    def _check(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        is_open = scope["path"] in OPEN or scope["path"].startswith(OPEN_FOLDER)
        if self._token is not None and not is_open:
            given = headers.get("authorization", "").encode("latin-1")
            if not secrets.compare_digest(given, b"Bearer " + self._token):
                raise RefusedError("unauthorized", "wanted the header Authorization: Bearer TOKEN")
        if scope["method"] != "POST":
            return
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length) > self._limits.max_bytes:
            raise self._too_large()
        if self._inside >= self._limits.queue:
            raise RefusedError(
                "busy", f"{self._inside} requests are being answered; try again later"
            )

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on; its time ends when it has been answered, or as an error does."""
        deadline = asyncio.get_running_loop().time() + self._limits.timeout_s
        size, scope["deadline"] = 0, deadline

        async def receive_in_time() -> Message:
            nonlocal size
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise RefusedError(
                    "too_slow", f"the body did not arrive within {self._limits.timeout_s:g} s"
                ) from None
            size += len(message.get("body", b""))
            if size > self._limits.max_bytes:
                raise self._too_large()
            return message

        # Of a client that does not read its answer, the connection is closed; others have left.
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout_at(deadline + self._limits.timeout_s):
                await self._app(scope, receive_in_time, send)

    def _too_large(self) -> RefusedError:
        return RefusedError(
            "body_too_large", f"the body has more than {self._limits.max_bytes:,} bytes"
        )


def refuse(refusal: RefusedError, metrics: Metrics) -> JSONResponse:
    """The answer that is an error, which is counted."""
    metrics.errors.labels(refusal.kind).inc()
    return JSONResponse({"error": refusal.to_dict()}, refusal.status, refusal.headers)
