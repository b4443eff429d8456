"""Image files and arrays as pixels."""

import math
from collections.abc import Callable
from os import PathLike
from typing import IO, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from keras_nasnet.tensor import Size

Box: TypeAlias = tuple[float, float, float, float]  # left, top, right and bottom, in pixels
Crop: TypeAlias = Callable[[int, int], Box]  # of width and height
Picture: TypeAlias = str | PathLike[str] | IO[bytes] | np.ndarray

# Of a file that is decoded, at 4 to 12 bytes each; cameras of 61 megapixels are below.
MAX_PIXELS = 1 << 26
JPEG = ("JPEG", "MPO")  # Pillow's formats that are decoded at a fraction
QUARTER_TURNS = range(5, 9)  # orientations of EXIF that exchange width and height
# A JPEG is decoded at a half, a quarter or an eighth if this many times the wanted size is left:
# of photos of 12 and 24 megapixels, what is made of it then differs by 2 of 255 at most.
OVERSAMPLING = 4


class UnreadableImageError(ValueError):
    """An image that cannot be decoded; the message names it."""


def load_image(
    source: Picture,
    size: Size | None = None,
    crop: Crop | None = None,
    *,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Reads an image of any format and mode that Pillow knows.

    EXIF rotation is applied; grey, palette, 16-bit and CMYK become RGB; transparent parts white.

    Args:
        source: path, binary stream, or array `(height, width)` or `(height, width, channels)` of
            uint8.
        size: `(height, width)` to resize to after cropping the middle to that aspect ratio; None
            to keep the image's own.
        crop: what to resize to `size` instead: a function from the image's width and height to
            left, top, right and bottom of a box in it.
        max_pixels: int, default 2**26, which is 8192 x 8192. A file of more is not decoded. Past
            twice Pillow's own limit, `PIL.Image.MAX_IMAGE_PIXELS`, that has to be raised too.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        UnreadableImageError: if it is no image, truncated, or of more than `max_pixels`.
    """
    try:
        if isinstance(source, np.ndarray):
            image = Image.fromarray(source.squeeze())
        else:
            image = Image.open(source)
            _check_pixels(image, max_pixels)
        if image.format not in JPEG:  # decodes
            ImageOps.exif_transpose(image, in_place=True)
        box = None if size is None else _box(image, size, crop)
        ImageOps.exif_transpose(image, in_place=True)
        image = _opaque(image)
        if size is not None:
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
        return np.asarray(image.convert("RGB"))
    # Pillow raises all of these for files that are damaged or not images.
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, UnidentifiedImageError):
            reason = "not an image of a known format"
        elif isinstance(error, Image.DecompressionBombError):
            reason = f"{str(error).partition(',')[0]}, Pillow's own; make the image smaller"
        raise UnreadableImageError(f"{source}: {reason}") from error


def _check_pixels(image: Image.Image, max_pixels: int) -> None:
    """Refuses an image by its header."""
    width, height = image.size
    if width * height > max_pixels:
        raise ValueError(
            f"{width:,} x {height:,} are {width * height:,} pixels, allowed are {max_pixels:,}; "
            "make the image smaller, or pass max_pixels to load_image"
        )


def _box(image: Image.Image, size: Size, crop: Crop | None) -> Box:
    """What to resize in an upright image or a JPEG, decoded then no larger than need be."""
    orientation = image.getexif().get(ExifTags.Base.Orientation)
    width, height = image.size[::-1] if orientation in QUARTER_TURNS else image.size
    box = crop(width, height) if crop else _middle(width, height, size)
    shrinking = min((box[2] - box[0]) / size[1], (box[3] - box[1]) / size[0]) / OVERSAMPLING
    if shrinking < 2:
        return box
    whole, least = image.width, [math.ceil(side / shrinking) for side in image.size]
    _, drafted = image.draft(None, (least[0], least[1])) or (None, (0, 0, *image.size))
    left, top, right, bottom = (side * drafted[2] / whole for side in box)
    return left, top, right, bottom


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
