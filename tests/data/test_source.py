"""Sources, their splits and their batches."""

import logging
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import pytest
from support.pictures import write_folder

from keras_nasnet.data.batches import Batches, measure, normalize
from keras_nasnet.data.source import Source, open_data, open_test


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


def test_images_to_evaluate_with_are_all_or_those_held_out(tmp_path):
    write_folder(tmp_path / "whole", ["cat"], 3)
    write_folder(tmp_path / "split" / "train", ["cat", "dog"])
    write_folder(tmp_path / "split" / "val", ["cat", "dog"], 2)
    whole, held_out = (open_test(str(tmp_path / name)) for name in ("whole", "split"))
    assert (len(whole), whole.class_names) == (3, ["cat"])
    assert [*held_out.items] == sorted((tmp_path / "split" / "val").rglob("*.jpg"))
    np.testing.assert_array_equal(open_test("digits", 3).labels, open_data("digits", 3)[1].labels)
    (tmp_path / "empty").mkdir()
    for name, message in (("empty", "1 or more classes, got 0"), ("absent", "is not a folder")):
        with pytest.raises(ValueError, match=message):
            open_test(str(tmp_path / name))


def test_data_that_cannot_be_used_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not a folder; allowed are digits"):
        open_data(str(tmp_path / "absent"))
    with pytest.raises(ValueError, match="2 or more classes, got 0"):
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


@pytest.mark.every_backend
def test_an_epoch_goes_on_with_the_images_after_those_of_the_one_before():
    items = [np.full((4, 4), i, "uint8") for i in range(12)]
    source = Source(items, np.arange(12), [str(i) for i in range(12)])
    batches = Batches(source, (4, 4), 2, seed=1, steps_per_epoch=4)
    assert len(batches) == 4
    seen = []
    for _ in range(3):
        seen += [int(label) for step in range(4) for label in batches[step][1]]
        batches.on_epoch_end()
    assert sorted(seen[:12]) == sorted(seen[12:24]) == [*range(12)], "each once in a pass"
    assert seen[:12] != seen[12:24]
    stream = iter(Batches(source, (4, 4), 2, seed=1, steps_per_epoch=4).stream(start=5))
    assert [*next(stream)[1]] == seen[10:12]
    with pytest.raises(ValueError, match="steps_per_epoch: 4 needs a seed"):
        Batches(source, (4, 4), 2, steps_per_epoch=4)


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
