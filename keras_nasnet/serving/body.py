"""The images in the body of a request: multipart, raw bytes or JSON."""

import asyncio
import base64
import binascii
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from keras_nasnet.check import check_keys, parse_json
from keras_nasnet.data.image import TooManyPixelsError, UnreadableImageError, load_image
from keras_nasnet.serving.limits import Limits
from keras_nasnet.serving.refused import RefusedError
from keras_nasnet.tensor import Size

JSON, MULTIPART = "application/json", "multipart/form-data"
FORMATS = {  # Pillow's names by type; none for which it runs other programs or reads other files
    "image/jpeg": "JPEG",
    "image/png": "PNG",
    "image/webp": "WEBP",
    "image/gif": "GIF",
    "image/avif": "AVIF",
    "image/bmp": "BMP",
    "image/tiff": "TIFF",
}
# Images of more are decoded one after another, and so not in the way of others.
MANY_PIXELS = 1 << 24
WANTED_JSON = 'wanted {"images": ["BASE64", ...]}'

Result = TypeVar("Result")


@dataclass(frozen=True)
class File:
    """An image file of a request, by the name that the client gave it."""

    name: str | None
    data: bytes


class Reader:
    """Reads and decodes the images of requests, in threads, so that the event loop goes on.

    To be used as a context, at whose end the threads are left.

    Args:
        size: `(height, width)` of the images.
        limits: `Limits`.
    """

    def __init__(self, size: Size, limits: Limits) -> None:
        self._size = size
        self._limits = limits
        self._threads = ThreadPoolExecutor(os.cpu_count(), "decode")
        self._for_large = ThreadPoolExecutor(1, "decode-large")

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *error: object) -> None:
        for threads in (self._threads, self._for_large):
            threads.shutdown(wait=False, cancel_futures=True)

    async def files(self, request: Request) -> list[File]:
        """The files in a request's body.

        Raises:
            RefusedError: if it is of another type, damaged, or has too many files or none.
        """
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind in FORMATS:
            files = [File(None, await request.body())]
        elif kind == MULTIPART:
            files = await self._multipart(request)
        elif kind == JSON:
            body = await request.body()
            files = await _run(self._threads, self._of_json, body)
        else:
            allowed = ", ".join((MULTIPART, JSON, *FORMATS))
            raise RefusedError(
                "unsupported_type", f"Content-Type: got {kind or 'none'}; allowed are {allowed}"
            )
        if not files:
            raise RefusedError("no_images", "the request has no image")
        return files

    async def pixels(self, files: list[File]) -> list[np.ndarray | RefusedError]:
        """The pixels of each file, uint8 `(height, width, 3)`, or why it cannot be decoded."""
        return await asyncio.gather(*map(self._pixels, files))

    async def _pixels(self, file: File) -> np.ndarray | RefusedError:
        try:
            return await _run(self._threads, self._decode, file, MANY_PIXELS)
        except TooManyPixelsError:
            return await _run(self._for_large, self._decode, file, self._limits.max_pixels)

    async def _multipart(self, request: Request) -> list[File]:
        try:
            form = request.form(max_files=self._limits.max_images, max_fields=1)
            async with form as parts:
                files = []
                for name, part in parts.multi_items():
                    if not isinstance(part, UploadFile):
                        raise RefusedError("malformed", f"the part {name!r} is not a file")
                    files.append(File(part.filename, await part.read()))
                return files
        except HTTPException as error:  # Starlette's, of whatever is wrong with it
            if error.detail.startswith("Too many files"):
                raise self._too_many() from None
            raise RefusedError("malformed", f"the body is not multipart: {error.detail}") from None

    def _of_json(self, body: bytes) -> list[File]:
        try:
            content = parse_json(body.decode(), self._limits.max_bytes)
            check_keys("the body", content, ["images"])
        except ValueError as error:
            raise RefusedError("malformed", f"{error}; {WANTED_JSON}") from None
        images = content["images"]
        if not isinstance(images, list) or not all(isinstance(each, str) for each in images):
            raise RefusedError("malformed", f"images: {WANTED_JSON}")
        if len(images) > self._limits.max_images:
            raise self._too_many()
        try:
            return [File(None, base64.b64decode(text, validate=True)) for text in images]
        except (binascii.Error, ValueError) as error:
            raise RefusedError("malformed", f"images: not base64: {error}; {WANTED_JSON}") from None

    def _too_many(self) -> RefusedError:
        reason = f"the request has more than {self._limits.max_images} images"
        return RefusedError("too_many_images", reason)

    def _decode(self, file: File, most: int) -> np.ndarray | RefusedError:
        """Its pixels, or why there are none; raises if it is allowed but has more than `most`."""
        limit = self._limits.max_pixels
        try:
            return load_image(
                BytesIO(file.data),
                self._size,
                max_pixels=min(limit, most),
                formats=FORMATS.values(),
            )
        except TooManyPixelsError as error:
            if error.pixels <= limit:
                raise
            return RefusedError("too_many_pixels", f"the image has more than {limit:,} pixels")
        except UnreadableImageError as error:
            return RefusedError("unreadable_image", f"the image cannot be read: {error.reason}")
        except MemoryError:
            return RefusedError("too_many_pixels", "there is no memory to decode the image")


async def _run(threads: ThreadPoolExecutor, work: Callable[..., Result], *arguments: Any) -> Result:
    return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)
