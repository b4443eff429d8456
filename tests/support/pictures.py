"""Image files."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

RED = (200, 40, 30)


def encoded(mode="RGB", size=(12, 8), file_format="PNG", **options):
    """A red image (grey: 90) as a stream."""
    image = Image.new("RGB", size, RED)
    if mode == "P":
        image = image.quantize(8)
    elif mode == "L":
        image = Image.new("L", size, 90)
    elif mode == "I;16":
        image = Image.fromarray(np.full(size[::-1], 90 * 257, "uint16"))
    elif mode == "RGBA":
        image.putalpha(0)
    else:
        image = image.convert(mode)
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    stream.seek(0)
    return stream


def write_folder(folder, classes, images=5):
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(images):
            stream = encoded(size=(20 + i, 30), file_format="JPEG")
            (folder / name / f"{i}.jpg").write_bytes(stream.read())
        (folder / name / "notes.txt").write_text("not an image")


def photo(size=(48, 40), mode="RGB", file_format="JPEG"):
    """A smooth random image as a file's bytes."""
    pixels = np.random.default_rng(0).integers(0, 256, (4, 5, len(mode)), "uint8")
    stream = io.BytesIO()
    image = Image.fromarray(pixels.squeeze(), mode).resize(size, Image.Resampling.BICUBIC)
    image.save(stream, file_format)
    return stream.getvalue()


def huge_png():
    """The header of a PNG of 13,000 x 13,000 pixels, and some of them."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", 13_000, 13_000, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(100_000))),
        (b"IEND", b""),
    ]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def huge_jpeg():
    """A JPEG whose header says that it is of 13,000 x 13,000 pixels."""
    data = bytearray(photo())
    start = data.index(b"\xff\xc0") + 5
    data[start : start + 4] = struct.pack(">HH", 13_000, 13_000)
    return bytes(data)


BAD = {
    "empty": b"",
    "text": b"this is no image",
    "truncated jpeg": photo()[:-200],
    "start of a jpeg": photo()[:3],
    "start of a png": photo(file_format="PNG")[:10],
    "truncated png": photo(file_format="PNG")[:-200],
    "gif": photo(file_format="GIF"),
    "huge png": huge_png(),
    "huge jpeg": huge_jpeg(),
}
