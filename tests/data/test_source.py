"""Images of every kind, sources, splits and batches."""

import io
import logging
import os
import random
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import keras
import numpy as np
import pytest
from PIL import Image, ImageOps
from support.pictures import RED, encoded, write_folder

from keras_nasnet.data import image as image_module
from keras_nasnet.data.augmentation import resized_crop
from keras_nasnet.data.batches import Batches, measure, normalize
from keras_nasnet.data.image import UnreadableImageError, load_image
from keras_nasnet.data.source import Source, open_data


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
    monkeypatch.setattr(Image, "open", lambda *args: opened.append(args) or pillow(*args))
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


def test_digits_are_split_by_class():
    training, validation = open_data("digits")
    assert len(training) + len(validation) == 1797
    assert np.bincount(validation.labels).min() >= 34
    again = open_data("digits")[1]
    np.testing.assert_array_equal(validation.labels, again.labels)
    assert training.image(0, (32, 32)).shape == (32, 32, 3)


@pytest.mark.parametrize("validation", [None, "validation", "val", "test"])
def test_folders(tmp_path, validation):
    write_folder(tmp_path / ("train" if validation else ""), ["cat", "dog"])
    if validation:
        write_folder(tmp_path / validation, ["cat", "dog"], 3)
    training, held_out = open_data(str(tmp_path))
    assert training.class_names == held_out.class_names == ["cat", "dog"]
    counts = len(training), len(held_out)
    assert counts == ((10, 6) if validation else (8, 2))
    assert not {*training.items} & {*held_out.items}


def test_data_that_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a folder; allowed are digits"):
        open_data(str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="two or more classes, got 0"):
        open_data(str(tmp_path))
    write_folder(tmp_path / "a" / "train", ["cat", "dog"], 1)
    write_folder(tmp_path / "a" / "test", ["cat", "horse"], 1)
    with pytest.raises(ValueError, match=r"\['dog', 'horse'\]"):
        open_data(str(tmp_path / "a"))
    write_folder(tmp_path / "b", ["cat"], 1)
    (tmp_path / "b" / "dog").mkdir()
    with pytest.raises(ValueError, match="no images in dog"):
        open_data(str(tmp_path / "b"))


def test_tensorflow_datasets(tmp_path, monkeypatch):
    if keras.config.backend() != "tensorflow":
        pytest.skip("preparing a data set needs TensorFlow")
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    import tensorflow_datasets as tfds

    class Shades(tfds.core.GeneratorBasedBuilder):
        """Two classes of images of one shade."""

        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {
                "image": tfds.features.Image(shape=(None, None, 3)),
                "label": tfds.features.ClassLabel(names=["dark", "light"]),
            }
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, dl_manager):
            return {"train": self._examples(12), "test": self._examples(6)}

        def _generate_examples(self):
            raise AssertionError("the splits bring their examples")

        def _examples(self, number):
            for i in range(number):
                yield i, {"image": np.full((20, 30, 3), 200 * (i % 2), "uint8"), "label": i % 2}

    training, validation = open_data("tfds:shades")
    assert (len(training), len(validation)) == (12, 6)
    assert training.class_names == ["dark", "light"]
    images, labels = Batches(training, (32, 32), 4)[0]
    assert images.shape == (4, 32, 32, 3)
    np.testing.assert_array_equal(images[:, 0, 0, 0] > 0, labels)
    with pytest.raises(ValueError, match="Dataset absent not found"):
        open_data("tfds:absent")


@pytest.mark.every_backend
def test_batches_cover_every_example_in_an_order_of_the_seed():
    items = [np.full((4, 4), i, "uint8") for i in range(10)]
    source = Source(items, np.arange(10), [str(i) for i in range(10)])
    plain = Batches(source, (4, 4), 4)
    assert len(plain) == 3
    assert [*np.concatenate([plain[i][1] for i in range(3)])] == [*range(10)]
    epochs = []
    for seed in (1, 1, 2):
        batches = Batches(source, (4, 4), 4, seed)
        assert len(batches) == 2, "the last two are left out, others each epoch"
        for _ in range(2):
            epochs.append([int(label) for i in range(2) for label in batches[i][1]])
            batches.on_epoch_end()
    assert all(len(set(epoch)) == 8 for epoch in epochs)
    assert epochs[0] == epochs[2] != epochs[4]
    assert epochs[0] != epochs[1] == epochs[3]
    stream = iter(Batches(source, (4, 4), 4, 1).stream(start=3))
    assert [*next(stream)[1]] == epochs[1][4:], "a stream goes on at any step"
    images, labels = batches[0]
    assert images.dtype == "float32"
    np.testing.assert_allclose(images[:, 0, 0, 0], labels / 127.5 - 1, rtol=1e-6)


def test_images_are_brought_to_mean_0_and_deviation_1():
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3)).astype("float32")
    mean, deviation = np.array([[-0.1, 0.2, 0.05], [0.4, 0.3, 0.7]], "float32")
    wanted = (pixels / 127.5 - 1 - mean) / deviation
    assert normalize(pixels.copy(), (mean, deviation)).tobytes() == wanted.tobytes()
    whole, _ = open_data("digits")
    settings = {"normalization": (mean, deviation), "augmentation": ("flip",)}
    images, _ = Batches(whole, (8, 6), 4, 0, **settings)[0]
    assert images.shape == (4, 8, 6, 3)
    assert images.dtype == "float32"


def test_augmentation_that_batches_cannot_have_is_refused():
    source, _ = open_data("digits")
    with pytest.raises(ValueError, match="needs a seed, got seed=None"):
        Batches(source, (8, 8), augmentation=("flip",))
    with pytest.raises(ValueError, match="wanted one_hot=True to mix labels by cutmix, mixup"):
        Batches(source, (8, 8), seed=0, augmentation=("flip", "mixup", "cutmix"))


def test_an_unreadable_image_is_named_once_and_the_next_stands_in(tmp_path, caplog):
    write_folder(tmp_path, ["cat", "dog"])
    (tmp_path / "cat" / "1.jpg").write_bytes(b"text")
    training, _ = open_data(str(tmp_path))
    batches = Batches(training, (32, 32), 8)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert batches[0][0].shape == (8, 32, 32, 3)
    assert len(caplog.records) == len(training.unreadable) == 1
    assert "1.jpg" in caplog.text


def test_an_unreadable_image_is_logged_once_by_all_that_read_it(tmp_path, caplog):
    """Threads, parts of a source, and samples."""
    write_folder(tmp_path, ["cat", "dog"])
    for i in range(5):
        (tmp_path / "cat" / f"{i}.jpg").write_bytes(b"text")
    training, validation = open_data(str(tmp_path))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda index: Batches(training, (8, 8), 8)[0], range(16)))
    assert len(measure(training, (8, 8))[0]) == 3
    assert training.sample(100, (8, 8)).shape == (4, 8, 8, 3)
    with pytest.raises(ValueError, match="none of 1 images can be decoded"):
        validation.take(validation.labels == 0).sample(5, (8, 8))
    assert len(caplog.messages) == len({*caplog.messages}) == 5
    assert len(training.unreadable) == len(validation.unreadable) == 5
