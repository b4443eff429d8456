"""Images of every kind and size, damaged ones too."""

import io
import os
import random
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
from PIL import Image, ImageOps
from support.pictures import RED, encoded

from keras_nasnet.data import image as image_module
from keras_nasnet.data.augmentation import resized_crop
from keras_nasnet.data.image import UnreadableImageError, load_image


@pytest.mark.parametrize(
    "mode, file_format, wanted",
    [
        ("RGB", "PNG", RED),
        ("RGB", "JPEG", RED),
        ("RGB", "WEBP", RED),
        ("L", "PNG", (90, 90, 90)),
        ("I;16", "PNG", (90, 90, 90)),
        ("P", "GIF", RED),
        ("CMYK", "JPEG", RED),
        ("RGBA", "PNG", (255, 255, 255)),
    ],
)
def test_every_mode_becomes_rgb(mode, file_format, wanted):
    pixels = load_image(encoded(mode, file_format=file_format))
    assert pixels.shape == (8, 12, 3)
    assert pixels.dtype == "uint8"
    np.testing.assert_allclose(pixels[4, 6], wanted, atol=6)


def jpeg(**options):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 10, 3), "uint8")
    mode, size = options.pop("mode", "RGB"), options.pop("size", (40, 30))
    stream = io.BytesIO()
    image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)
    image.save(stream, "JPEG", **options)
    return stream.getvalue()


TURNED = Image.Exif()
TURNED[0x0112] = 6


@pytest.mark.parametrize(
    "options, is_small",
    [
        ({}, True),
        ({"progressive": True}, True),
        ({"quality": 98, "subsampling": 0, "comment": b"a tree"}, True),
        ({"restart_marker_blocks": 2, "optimize": True}, True),
        ({"mode": "L"}, False),
        ({"mode": "CMYK"}, False),
        ({"exif": TURNED}, False),
        ({"icc_profile": b"a profile"}, False),
        ({"size": (300, 220), "quality": 10}, False),
    ],
)
def test_small_jpegs_are_read_as_pillow_does(tmp_path, monkeypatch, options, is_small):
    """Whole, resized and cropped, from a file and from memory; and refused for the same reason."""
    data = jpeg(**options)
    path = tmp_path / "image.jpg"
    path.write_bytes(data)
    with Image.open(path) as file:
        wanted = np.asarray(ImageOps.exif_transpose(file).convert("RGB"))
    opened = []
    pillow = Image.open
    monkeypatch.setattr(
        Image, "open", lambda *args, **options: opened.append(args) or pillow(*args)
    )
    for source in (path, str(path), io.BytesIO(data)):
        np.testing.assert_array_equal(load_image(source), wanted)
    assert len(opened) == (0 if is_small else 3)
    for size in ((30, 40), (40, 40), (38, 80)):
        for crop in (None, lambda width, height: (3.5, 2, width - 1, height)):
            np.testing.assert_array_equal(
                load_image(path, size, crop), load_image(wanted, size, crop)
            )
    rng = random.Random(0)
    for _ in range(60):
        damaged = bytearray(data[: rng.choice((len(data), rng.randrange(len(data))))])
        for _ in range(rng.randrange(3)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)
        with monkeypatch.context() as patch:
            patch.setattr(image_module, "_small_jpeg", lambda *args: None)
            wanted = outcome(path)
        assert outcome(path) == wanted


def outcome(path):
    try:
        return load_image(path, (16, 16)).tobytes()
    except UnreadableImageError as error:
        return str(error)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_is_read_once(tmp_path):
    """As a shell hands over what another command writes."""
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit((tmp_path / "pipe").write_bytes, jpeg())
        np.testing.assert_array_equal(load_image(tmp_path / "pipe"), load_image(io.BytesIO(jpeg())))
        writing.result()


def test_what_is_kept_of_an_image_is_the_whole_of_it():
    kept = []
    for seed, size in enumerate([(32, 32), (40, 32)]):
        crops = [partial(resized_crop, rng=np.random.default_rng(seed)) for _ in range(2)]
        image = load_image(io.BytesIO(jpeg(size=(250, 150))), size, crops[0], keep=kept.append)
        assert kept[-1].shape == (150, 250, 3)
        np.testing.assert_array_equal(load_image(kept[-1], size, crops[1]), image)
    assert len(kept) == 2
    load_image(io.BytesIO(jpeg(size=(260, 150))), (32, 32), keep=kept.append)
    assert len(kept) == 2, "crops of it may be of a fraction"


@pytest.mark.parametrize("shape", [(1, 5), (5, 1, 3), (1, 5, 3), (1, 5, 1)])
def test_arrays_of_one_row_or_column(shape):
    pixels = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    wanted = np.broadcast_to(pixels if len(shape) > 2 else pixels[..., None], (*shape[:2], 3))
    np.testing.assert_array_equal(load_image(pixels), wanted)


def test_exif_rotation_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by a quarter
    assert load_image(encoded(file_format="JPEG", exif=exif)).shape == (12, 8, 3)


def test_resizing_crops_the_middle():
    pixels = np.zeros((10, 30, 3), "uint8")
    pixels[:, 10:20] = 255
    assert load_image(pixels, (5, 5)).min() > 200
    assert load_image(np.zeros((8, 8), "uint8"), (32, 48)).shape == (32, 48, 3)


@pytest.mark.parametrize("damage", ["empty", "text", "truncated", "bomb", "folder", "absent"])
def test_what_cannot_be_read_is_named(tmp_path, damage):
    path = tmp_path / "image.png"
    data = encoded(file_format="JPEG", size=(200, 200)).read()
    if damage == "folder":
        path.mkdir()
    elif damage == "bomb":
        Image.new("1", (20_000, 20_000)).save(path)
    elif damage != "absent":
        path.write_bytes({"empty": b"", "text": b"text", "truncated": data[:700]}[damage])
    with pytest.raises(UnreadableImageError, match=r"image\.png"):
        load_image(path)


def png(width, height, bits, kind):
    """A file of zeros."""
    channels = {0: 1, 2: 3, 6: 4}[kind]
    deflate = zlib.compressobj(1)
    row = bytes(1 + width * channels * bits // 8)
    data = b"".join([*(deflate.compress(row) for _ in range(height)), deflate.flush()])
    header = width.to_bytes(4) + height.to_bytes(4) + bytes([bits, kind, 0, 0, 0])
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4) + name + data + zlib.crc32(name + data).to_bytes(4)
        for name, data in chunks
    )


PEAK = r"""
import re, sys
from pathlib import Path
from keras_nasnet.data.image import UnreadableImageError, load_image
# `resource.getrusage` begins with the peak of the parent process.
peak = lambda: 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
before = peak()
try:
    load_image(sys.argv[1], (224, 224))
except UnreadableImageError as error:
    print(error)
print(peak() - before)
"""


def peak_bytes(path):
    """What `load_image` says, and its memory, in a process of its own."""
    if not os.path.exists("/proc/self/status"):
        pytest.skip("peaks of memory are read as Linux tells them")
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PEAK, path],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    *message, peak = result.stdout.splitlines()
    return "".join(message), int(peak)


def test_an_image_of_too_many_pixels_is_not_decoded(tmp_path):
    path = tmp_path / "large.png"
    path.write_bytes(png(13_000, 13_000, 8, 0))
    message, peak = peak_bytes(path)
    assert message == (
        f"{path}: 13,000 x 13,000 is 169,000,000 pixels, allowed are 67,108,864; make the image "
        "smaller, or pass max_pixels to load_image"
    )
    assert peak < 20e6


def test_the_limit_on_pixels_is_an_argument(monkeypatch):
    with pytest.raises(UnreadableImageError, match="12 x 8 is 96 pixels, allowed are 95"):
        load_image(encoded(), max_pixels=95)
    assert load_image(encoded(), max_pixels=96).shape == (8, 12, 3)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)
    message = r"\(96 pixels\) exceeds limit of 80 pixels \(Pillow's limit\); make the image smaller"
    with pytest.raises(UnreadableImageError, match=message):
        load_image(encoded(), max_pixels=1000)


@pytest.mark.parametrize("kind, bits, most", [(0, 8, 2), (2, 8, 5), (6, 8, 9), (0, 16, 7)])
def test_memory_of_a_png_is_a_few_bytes_a_pixel(tmp_path, kind, bits, most):
    """Grey, RGB, with transparency, and of 16 bits."""
    (tmp_path / "image.png").write_bytes(png(3000, 3000, bits, kind))
    message, peak = peak_bytes(tmp_path / "image.png")
    assert not message
    assert peak / 3000**2 < most


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """The path of a JPEG of 12 megapixels, with detail of every scale."""
    rng = np.random.default_rng(0)
    octaves = [Image.fromarray(rng.integers(0, 256, (n, n, 3), "uint8")) for n in (4, 40, 400)]
    resized = [image.resize((4000, 3000), Image.Resampling.BICUBIC) for image in octaves]
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.blend(Image.blend(*resized[:2], 0.4), resized[2], 0.3).save(path, exif=exif)
    return path


def test_memory_of_a_jpeg_is_that_of_a_part(photo):
    assert peak_bytes(photo)[1] / 12e6 < 4


def assert_alike(got, wanted):
    difference = np.abs(got.astype(int) - np.asarray(wanted))
    assert difference.mean() < 0.3
    assert difference.max() <= 2


@pytest.mark.parametrize("size", [(32, 32), (224, 224), (200, 331)])
def test_a_jpeg_decoded_in_part_looks_the_same(photo, size):
    """Whole, and cropped for training; turned by EXIF."""
    with Image.open(photo) as file:
        whole = ImageOps.exif_transpose(file)
    wanted = ImageOps.fit(whole, size[::-1], Image.Resampling.BILINEAR)
    assert_alike(load_image(photo, size), wanted)
    for seed in range(4):
        box = resized_crop(*whole.size, np.random.default_rng(seed))
        wanted = whole.resize(size[::-1], Image.Resampling.BILINEAR, box)
        got = load_image(photo, size, partial(resized_crop, rng=np.random.default_rng(seed)))
        assert_alike(got, wanted)


def test_a_truncated_jpeg_is_refused_in_part_too(photo):
    with pytest.raises(UnreadableImageError, match="truncated"):
        load_image(io.BytesIO(photo.read_bytes()[:-5000]), (32, 32))


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "I;16", "CMYK", "P", "1"])
def test_fits_as_pillow_does(mode):
    pixels = np.random.default_rng(0).integers(0, 256, (90, 130, 4), "uint8")
    whole = Image.fromarray(pixels)
    if mode == "I;16":
        whole = Image.fromarray(pixels[..., 0].astype("uint16") << 8)
    elif mode != "RGBA":
        whole = whole.convert(mode)
    stream = io.BytesIO()
    whole.save(stream, "TIFF")
    rgb = Image.fromarray(load_image(stream))
    for size in ((32, 32), (20, 70), (150, 200)):
        wanted = ImageOps.fit(rgb, size[::-1], Image.Resampling.BILINEAR)
        np.testing.assert_array_equal(load_image(stream, size), wanted)
