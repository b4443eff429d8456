"""Images of every kind, sources, splits and batches."""

import io
import logging

import keras
import numpy as np
import pytest
from PIL import Image

from keras_nasnet.batches import Batches
from keras_nasnet.data import Source, open_data
from keras_nasnet.image import UnreadableImageError, load_image

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


def test_digits_are_split_by_class():
    training, validation = open_data("digits")
    assert len(training) + len(validation) == 1797
    assert np.bincount(validation.labels).min() >= 34
    again = open_data("digits")[1]
    np.testing.assert_array_equal(validation.labels, again.labels)
    assert training.image(0, (32, 32)).shape == (32, 32, 3)


def write_folder(folder, classes, images=5):
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(images):
            stream = encoded(size=(20 + i, 30), file_format="JPEG")
            (folder / name / f"{i}.jpg").write_bytes(stream.read())
        (folder / name / "notes.txt").write_text("not an image")


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
    with pytest.raises(ValueError, match="is no folder; allowed are digits"):
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


def test_augmentation_that_batches_cannot_have_is_refused():
    source, _ = open_data("digits")
    with pytest.raises(ValueError, match="wanted a seed with it, got seed=None"):
        Batches(source, (8, 8), augmentation=("flip",))
    with pytest.raises(ValueError, match="cutmix, mixup mixes labels, wanted one_hot=True"):
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
