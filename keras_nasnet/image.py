"""Image files and arrays as pixels."""

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError


class UnreadableImageError(ValueError):
    """An image that cannot be decoded; the message names it."""


def load_image(source, size=None, crop=None) -> np.ndarray:
    """Reads an image of any format and mode that Pillow knows.

    EXIF rotation is applied; grey, palette, 16-bit and CMYK become RGB; transparent parts white.

    Args:
        source: path, binary stream, or array `(height, width)` or `(height, width, channels)` of
            uint8.
        size: `(height, width)` to resize to after cropping the middle to that aspect ratio; None
            to keep the image's own.
        crop: what to resize to `size` instead: a function from the image's width and height to
            left, top, right and bottom of a box in it.

    Returns:
        uint8 array `(height, width, 3)`.

    Raises:
        UnreadableImageError: if it is no image, truncated, or too large to be decoded safely.
    """
    try:
        if isinstance(source, np.ndarray):
            image = Image.fromarray(source.squeeze())
        else:
            image = Image.open(source)
        image = _to_rgb(ImageOps.exif_transpose(image))
        if crop is not None:
            box = crop(*image.size)
            image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box)
        elif size is not None:
            image = ImageOps.fit(image, (size[1], size[0]), Image.Resampling.BILINEAR)
    # Pillow raises all of these for files that are damaged or not images.
    except (OSError, ValueError, TypeError, SyntaxError, Image.DecompressionBombError) as error:
        reason = getattr(error, "strerror", None) or error
        if isinstance(error, UnidentifiedImageError):
            reason = "not an image of a known format"
        raise UnreadableImageError(f"{source}: {reason}") from error
    return np.asarray(image)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip
        image = Image.fromarray((np.asarray(image, "uint32") >> 8).astype("uint8"))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
