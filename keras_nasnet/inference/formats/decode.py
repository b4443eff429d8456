"""Decodes JPEG and PNG files in a TensorFlow graph, as `keras_nasnet.data.image` does."""

from types import ModuleType

from keras_nasnet.data.image import MAX_PIXELS
from keras_nasnet.tensor import Size, Tensor

JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
PNG_SIZE = 16, 8  # offsets of width and height


def decode_images(tf: ModuleType, image_bytes: Tensor, size: Size) -> Tensor:
    """Decodes, crops and resizes images.

    The middle of the aspect ratio of `size` is resized with antialiasing, transparent parts are
    white; EXIF rotation is not applied.

    Args:
        tf: the module.
        image_bytes: string tensor `(batch,)` of JPEG and PNG files.
        size: `(height, width)`.

    Returns:
        float32 tensor `(batch, height, width, 3)` of integers from 0 to 255. Running it
        raises `tf.errors.InvalidArgumentError` if it is not a complete JPEG or PNG file, or larger
        than `MAX_PIXELS`, which is not decoded.
    """

    @tf.function(autograph=False)  # so that assertions run before what follows
    def decode(file: Tensor) -> Tensor:
        is_jpeg = _starts_with(tf, file, JPEG)
        # An operation that fails on shorter input puts its bytes in the message.
        is_png = _starts_with(tf, file, PNG) & (tf.strings.length(file) >= sum(PNG_SIZE))
        is_known = is_jpeg | is_png
        message = "wanted a JPEG or PNG image"
        with tf.control_dependencies([tf.debugging.Assert(is_known, [message])]):
            shape = tf.cond(is_jpeg, lambda: _jpeg_shape(tf, file), lambda: _png_shape(tf, file))
        message = f"wanted an image of at most {MAX_PIXELS} pixels"
        is_small = tf.reduce_prod(tf.cast(shape, tf.int64)) <= MAX_PIXELS
        with tf.control_dependencies([tf.debugging.Assert(is_small, [message])]):
            pixels = tf.cond(is_jpeg, lambda: _jpeg(tf, file), lambda: _png(tf, file))
        return _fit(tf, pixels, size)

    return tf.map_fn(decode, image_bytes, fn_output_signature=tf.TensorSpec((*size, 3)))


def _starts_with(tf: ModuleType, file: Tensor, start: bytes) -> Tensor:
    known = tf.strings.length(file) >= len(start)
    return tf.cond(
        known, lambda: tf.equal(tf.strings.substr(file, 0, len(start)), start), lambda: known
    )


def _jpeg_shape(tf: ModuleType, file: Tensor) -> Tensor:
    return tf.io.extract_jpeg_shape(file)[:2]


def _png_shape(tf: ModuleType, file: Tensor) -> Tensor:
    width_height = tf.strings.substr(file, *PNG_SIZE)
    return tf.io.decode_raw(width_height, tf.int32, little_endian=False)[::-1]


def _jpeg(tf: ModuleType, file: Tensor) -> Tensor:
    pixels = tf.io.decode_jpeg(file, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.cast(pixels, tf.float32)


def _png(tf: ModuleType, file: Tensor) -> Tensor:
    pixels = tf.cast(tf.io.decode_png(file, channels=4), tf.float32)
    opacity = pixels[..., 3:] / 255
    return pixels[..., :3] * opacity + 255 * (1 - opacity)


def _fit(tf: ModuleType, pixels: Tensor, size: Size) -> Tensor:
    """Does what `PIL.ImageOps.fit` does."""
    target = tf.constant(size, tf.float32)
    whole = tf.cast(tf.shape(pixels)[:2], tf.float32)
    scale = tf.reduce_max(target / whole)
    resized = tf.raw_ops.ScaleAndTranslate(
        images=pixels[None],
        size=size,
        scale=tf.stack([scale, scale]),
        translation=(target - whole * scale) / 2,
        kernel_type="triangle",
        antialias=True,
    )
    return tf.clip_by_value(tf.round(resized[0]), 0, 255)
