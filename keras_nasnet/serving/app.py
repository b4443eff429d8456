"""The requests that a server answers."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import resources
from typing import Any, TypeAlias

import numpy as np
from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException

from keras_nasnet import __version__
from keras_nasnet.inference.formats.servable import FEATURES, Outputs
from keras_nasnet.serving import answer, schema
from keras_nasnet.serving.batcher import Batcher
from keras_nasnet.serving.body import File, Reader
from keras_nasnet.serving.gate import Gate, refuse
from keras_nasnet.serving.limits import Limits
from keras_nasnet.serving.metrics import CONTENT_TYPE, Metrics
from keras_nasnet.serving.model import ServedModel
from keras_nasnet.serving.refused import RefusedError

PAGE = {"/": "index.html", "/style.css": "style.css", "/script.js": "script.js"}
TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
# A page may load nothing from elsewhere, nor be shown within another.
POLICY = "default-src 'self'; img-src 'self' blob: data:; frame-ancestors 'none'; base-uri 'none'"
MAX_TOP = 1_000

Describe: TypeAlias = Callable[[Outputs], dict[str, Any]]  # what an answer says of an image


def make_app(
    model: ServedModel, limits: Limits, token: str | None = None, origins: Sequence[str] = ()
) -> FastAPI:
    """The server of a model as an ASGI application.

    Args:
        model: `ServedModel`.
        limits: `Limits`.
        token: str that requests have to bear; None (default) for none.
        origins: of pages elsewhere whose scripts may read the answers (CORS). Default: none.
    """
    metrics = Metrics()
    service = Service(model, limits, metrics)
    app = FastAPIOffline(
        title="keras_nasnet",
        version=__version__,
        description="Classifies images. [The page](.) does so in the browser.",
        lifespan=service.lifespan,
        redoc_url=None,
        dependencies=[] if token is None else [Depends(HTTPBearer(auto_error=False))],  # for /docs
    )
    service.add_to(app)
    _add_errors(app, metrics)
    app.add_middleware(Gate, limits=limits, metrics=metrics, token=token)
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    return app


class Service:
    """What requests share: the model, its thread, and those that decode.

    Args:
        model: `ServedModel`.
        limits: `Limits`.
        metrics: `Metrics`.
    """

    def __init__(self, model: ServedModel, limits: Limits, metrics: Metrics) -> None:
        self.model = model
        self.limits = limits
        self.metrics = metrics
        self.batcher = Batcher(model.outputs, limits, metrics.batches.observe)
        metrics.watch(lambda: self.batcher.num_waiting)

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        with Reader(self.model.runner.size, self.limits) as self.reader:
            async with self.batcher:
                yield

    def add_to(self, app: FastAPI) -> None:
        app.post("/predict", **schema.PREDICT)(self.predict)
        app.post("/embed", **schema.EMBED)(self.embed)
        app.get("/model", **schema.MODEL)(self.about)
        app.get("/health", **schema.HEALTH)(self.health)
        app.get("/ready", **schema.READY)(self.ready)
        app.get("/metrics", **schema.METRICS)(self.read_metrics)
        for path, name in PAGE.items():
            app.get(path, include_in_schema=False)(_page(name))

    async def predict(
        self,
        request: Request,
        top: int = Query(5, ge=1, le=MAX_TOP, description="classes per image"),
        maps: bool = Query(False, description="whether to return class activation maps"),
    ) -> Response:
        if maps and not self.model.has_features:
            raise RefusedError("no_features", f"no activation maps: {self.model.why_none}")
        names = self.model.runner.class_names
        return await self._answer(request, lambda row: answer.predictions(row, names, top, maps))

    async def embed(self, request: Request) -> Response:
        if not self.model.has_features:
            raise RefusedError("no_features", f"no features: {self.model.why_none}")
        return await self._answer(request, lambda row: {FEATURES: row[FEATURES].tolist()})

    async def about(self) -> Response:
        return JSONResponse(answer.about(self.model, self.limits))

    async def health(self) -> Response:
        return JSONResponse({"status": "alive"})

    async def ready(self) -> Response:
        since, now = self.batcher.busy_since, asyncio.get_running_loop().time()
        if since is not None and now - since > self.limits.timeout_s:
            raise RefusedError("timeout", f"the model has been running for {now - since:.0f} s")
        if self.batcher.num_waiting >= self.limits.queue:
            raise RefusedError("timeout", f"{self.batcher.num_waiting} images are waiting")
        return JSONResponse({"status": "ready"})

    async def read_metrics(self) -> Response:
        return Response(self.metrics.text(), media_type=CONTENT_TYPE)

    async def _answer(self, request: Request, describe: Describe) -> Response:
        """An answer with an item for each image; an error if none can be read."""
        files = await self.reader.files(request)
        try:
            async with asyncio.timeout_at(request.scope["deadline"]):
                rows = await self._rows(files)
        except TimeoutError:
            raise RefusedError(
                "timeout", f"no answer within {self.limits.timeout_s:g} s; try again later"
            ) from None
        items = [
            {"name": file.name}
            | ({"error": row.to_dict()} if isinstance(row, RefusedError) else describe(row))
            for file, row in zip(files, rows, strict=True)
        ]
        errors = [row for row in rows if isinstance(row, RefusedError)]
        for error in errors:
            self.metrics.errors.labels(error.kind).inc()
        if len(errors) < len(rows):
            return JSONResponse({"images": items})
        first = errors[0]
        return JSONResponse({"error": first.to_dict(), "images": items}, first.status)

    async def _rows(self, files: list[File]) -> list[Outputs | RefusedError]:
        """What the model gives for each file, or why it cannot be read."""
        images = await self.reader.pixels(files)
        good = [image for image in images if isinstance(image, np.ndarray)]
        rows = iter(await self.batcher.outputs(good) if good else ())
        return [each if isinstance(each, RefusedError) else next(rows) for each in images]


def _page(name: str) -> Any:
    """Answers with one of the page's files, which is read once."""
    file = resources.files("keras_nasnet.serving") / "page" / name
    content, suffix = file.read_bytes(), name[name.rindex(".") :]
    headers = {"Content-Security-Policy": POLICY, "X-Content-Type-Options": "nosniff"}

    async def page() -> Response:
        return Response(content, headers=headers, media_type=TYPES[suffix])

    return page


def _add_errors(app: FastAPI, metrics: Metrics) -> None:
    """Makes every error JSON of one form."""

    async def refused(request: Request, error: Exception) -> Response:
        return refuse(error if isinstance(error, RefusedError) else _told(error), metrics)

    async def of_http(request: Request, error: Any) -> Response:  # no such path or method
        kind = HTTPStatus(error.status_code).name.lower()
        content = {"kind": kind, "message": error.detail}
        return JSONResponse({"error": content}, error.status_code, error.headers)

    app.add_exception_handler(RefusedError, refused)
    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(Exception, refused)
    app.add_exception_handler(HTTPException, of_http)


def _told(error: Exception) -> RefusedError:
    if isinstance(error, RequestValidationError):
        first = error.errors()[0]
        return RefusedError("malformed", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    return RefusedError("model_failed", "the server failed; its log says why")
