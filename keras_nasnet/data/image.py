"""Image files and arrays as pixels."""

import math
import os
import struct
from collections.abc import Callable, Iterable
from io import BytesIO
from os import PathLike
from typing import IO, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from keras_nasnet.tensor import Size

Box: TypeAlias = tuple[float, float, float, float]  # left, top, right and bottom, in pixels
Crop: TypeAlias = Callable[[int, int], Box]  # from width and height
Keep: TypeAlias = Callable[[np.ndarray], object]  # of a whole image
Picture: TypeAlias = str | PathLike[str] | IO[bytes] | np.ndarray

# Of a decoded file, 4 to 12 bytes each; 61-megapixel cameras stay below.
MAX_PIXELS = 1 << 26
JPEG = ("JPEG", "MPO")  # Pillow's formats that can be decoded at a fraction
QUARTER_TURNS = range(5, 9)  # EXIF orientations that swap width and height
# A JPEG is decoded at a half, a quarter or an eighth if this many times the wanted size is left:
# for 12 and 24-megapixel photos the result then differs by at most 2 of 255.
OVERSAMPLING = 4
# A JPEG file up to this size takes `Image.open` longer to open than to decode.
SMALL_BYTES = 1 << 14
SMALL_PIXELS = 1 << 16
START_OF_FRAME = (0xC0, 0xC1, 0xC2)  # baseline, extended and progressive


class UnreadableImageError(ValueError):
    """An image that cannot be decoded.

    Args:
        source: what the message names.
        reason: str, what is wrong with it.
    """

    def __init__(self, source: object, reason: str) -> None:
        super().__init__(f"{source}: {reason}")
        self.reason = reason


class TooManyPixelsError(UnreadableImageError):
    """An image that is larger than allowed, and so was not decoded.

    Args:
        source, reason: as in `UnreadableImageError`.
        pixels: float, how many it has; infinity if that is not known.
    """

    def __init__(self, source: object, reason: str, pixels: float = math.inf) -> None:
        super().__init__(source, reason)
        self.pixels = pixels


def load_image(
    source: Picture,
    size: Size | None = None,
    crop: Crop | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
    formats: Iterable[str] | None = None,
    keep: Keep | None = None,
) -> np.ndarray:
    """Reads an image of any format and mode that Pillow knows.

    EXIF rotation is applied; grey, palette, 16-bit and CMYK become RGB; transparent parts white.

    Args:
        source: path, binary stream, or array `(height, width)` or `(height, width, channels)` of
            uint8.
        size: `(height, width)` to resize to after cropping the middle to that aspect ratio; None
            to keep the image's own.
        crop: function from the image's width and height to left, top, right and bottom of the
            box to resize to `size` instead.
        max_pixels: int, default 2**26, which is 8192 x 8192. A file of more is not decoded. For
            more than twice `PIL.Image.MAX_IMAGE_PIXELS`, Pillow's own limit, raise that too.
        formats: Pillow's names of the formats to read; None (default) for all. Of a file from
            strangers: for some formats Pillow runs other programs.
        keep: called with the whole image, uint8 `(height, width, 3)`, if crops of it are equal to
            those of the file. They are not of large JPEG files, which are decoded at a fraction.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        UnreadableImageError: if it is not an image or truncated.
        TooManyPixelsError: one of these, if it has more than `max_pixels`.
    """
    try:
        image = _small_jpeg(source, size, max_pixels)
        if image is not None:
            is_whole, box = True, None if size is None else _box(*image.size, size, crop)
        else:
            image, is_whole, box = _decoded(source, size, crop, max_pixels, formats)
        if keep is not None and is_whole:
            keep(_pixels(image))
        if size is not None and (image.size, box) != (size[::-1], (0, 0, *image.size)):
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
        return _pixels(image)
    except TooManyPixelsError:
        raise
    # Pillow raises all of these for files that are damaged or not images.
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, UnidentifiedImageError):
            reason = "not an image in a known format"
        elif isinstance(error, Image.DecompressionBombError):
            reason = f"{str(error).partition(',')[0]} (Pillow's limit); make the image smaller"
        is_large = isinstance(error, Image.DecompressionBombError)
        kind = TooManyPixelsError if is_large else UnreadableImageError
        raise kind(source, reason) from error


def _small_jpeg(source: Picture, size: Size | None, max_pixels: int) -> Image.Image | None:
    """The image of a small JPEG file without EXIF, in half the time of `Image.open`; else None.

    None for damaged files too: `Image.open` says what is wrong with them.
    """
    if isinstance(source, BytesIO):
        data = source.getbuffer()[:SMALL_BYTES].tobytes()
    elif isinstance(source, str | PathLike) and os.path.isfile(source):  # no pipe: read once
        with open(source, "rb", buffering=0) as file:
            data = file.read(SMALL_BYTES)
    else:
        return None
    whole = _jpeg_size(data) if len(data) < SMALL_BYTES else None
    limit = min(max_pixels, SMALL_PIXELS, Image.MAX_IMAGE_PIXELS or SMALL_PIXELS)
    if whole is None or whole[0] * whole[1] > limit or not _is_whole(whole, size):
        return None
    try:
        return Image.frombytes("RGB", whole, data, "jpeg", "RGB", "")
    except (OSError, ValueError):
        return None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a JPEG of 3 channels without metadata but JFIF's; else None."""
    if data[:2] != b"\xff\xd8":
        return None
    start = 2
    while start + 10 <= len(data):
        mark, kind, length, depth, height, width, channels = struct.unpack_from(
            ">BBHBHHB", data, start
        )
        if mark != 0xFF or 0xE1 <= kind <= 0xEF:  # of applications: EXIF, several images, Adobe
            return None
        if kind in START_OF_FRAME:
            return (width, height) if (depth, channels) == (8, 3) and width * height else None
        start += 2 + length
    return None


def _decoded(
    source: Picture,
    size: Size | None,
    crop: Crop | None,
    max_pixels: int,
    formats: Iterable[str] | None,
) -> tuple[Image.Image, bool, Box | None]:
    """An upright image, grey or RGB; whether it `_is_whole`; and the box to resize in it."""
    if isinstance(source, np.ndarray):
        is_grey = source.ndim == 3 and source.shape[2] == 1
        image = Image.fromarray(source[..., 0] if is_grey else source)
    else:
        if formats is not None:
            Image.init()  # else only some formats can be named
            formats = [name for name in formats if name in Image.OPEN]
        image = Image.open(source, formats=formats)
        _check_pixels(source, image, max_pixels)
    if image.format not in JPEG:  # decodes
        ImageOps.exif_transpose(image, in_place=True)
    is_whole, box = _is_whole(image.size, size), None
    if size is not None:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
        width, height = image.size[::-1] if orientation in QUARTER_TURNS else image.size
        box = _drafted(image, _box(width, height, size, crop), size)
    ImageOps.exif_transpose(image, in_place=True)
    return _opaque(image), is_whole, box


def _pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB"))


def _check_pixels(source: Picture, image: Image.Image, max_pixels: int) -> None:
    """Refuses an image based on its header."""
    width, height = image.size
    if width * height > max_pixels:
        raise TooManyPixelsError(
            source,
            f"{width:,} x {height:,} is {width * height:,} pixels, allowed are {max_pixels:,}; "
            "make the image smaller, or pass max_pixels to load_image",
            width * height,
        )


def _is_whole(whole: tuple[int, int], size: Size | None) -> bool:
    """Whether an image is too small for any box in it to be decoded at a fraction."""
    return size is None or max(whole) < 2 * OVERSAMPLING * min(size)


def _drafted(image: Image.Image, box: Box, size: Size) -> Box:
    """Sets a JPEG to be decoded no larger than need be; returns the box in what it will be."""
    shrinking = min((box[2] - box[0]) / size[1], (box[3] - box[1]) / size[0]) / OVERSAMPLING
    if shrinking < 2:
        return box
    whole, least = image.width, [math.ceil(side / shrinking) for side in image.size]
    _, drafted = image.draft(None, (least[0], least[1])) or (None, (0, 0, *image.size))
    left, top, right, bottom = (side * drafted[2] / whole for side in box)
    return left, top, right, bottom


def _box(width: int, height: int, size: Size, crop: Crop | None) -> Box:
    """What to resize in an upright image."""
    return crop(width, height) if crop else _middle(width, height, size)


def _middle(width: int, height: int, size: Size) -> Box:
    """The box that `PIL.ImageOps.fit` resizes."""
    ratio = size[1] / size[0]
    box_width, box_height = min(width, height * ratio), min(height, width / ratio)
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, left + box_width, top + box_height


def _opaque(image: Image.Image) -> Image.Image:
    """The image as grey or RGB, on white."""
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip
        image = Image.fromarray((np.asarray(image) >> 8).astype("uint8"))
    if image.has_transparency_data:
        if image.mode != "RGBA":
            image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        return white
    return image if image.mode in ("L", "RGB") else image.convert("RGB")
