"""Decoded images kept in memory: the same batches, decoded once, only where all of them fit."""

import gc
import logging
import os
import pickle
import subprocess
import sys
import weakref

import numpy as np
import pytest
from PIL import Image
from support.pictures import encoded

from keras_nasnet.data import cache, reader
from keras_nasnet.data.batches import Batches, measure
from keras_nasnet.data.memory import available_memory
from keras_nasnet.data.source import open_data

every_backend = pytest.mark.every_backend

SIZE = (16, 20)
AUGMENTATIONS = [(), ("flip",), ("resized_crop", "flip")]


@pytest.fixture
def folder(tmp_path):
    """Images of different sizes and kinds; of the JPEG of 400 x 500 crops are of a fraction."""
    rng = np.random.default_rng(0)
    kinds = [("png", "RGB"), ("jpg", "RGB"), ("jpg", "L"), ("png", "RGBA"), ("jpg", "RGB")]
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i, (suffix, mode) in enumerate(kinds):
            pixels = rng.integers(0, 256, (6, 8, 3), "uint8")
            size = (400, 500) if i == 4 else (20 + i, 31 - i)
            image = Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC).convert(mode)
            image.save(tmp_path / name / f"{i}.{suffix}")
    return tmp_path


def counted(source):
    """The source, and a list that grows by each item that is opened."""
    opened = []

    def open_item(item):
        opened.append(item)
        return item

    source.open_item = open_item
    return opened


def whole(folder):
    return open_data(str(folder))[0]


def passes(source, augmentation=(), number=2):
    batches = Batches(source, SIZE, 3, 0, augmentation=augmentation, one_hot=True)
    return [batches.batch(step) for step in range(number * len(batches))]


def assert_same(some, others):
    assert len(some) == len(others) > 0
    for (images, labels), (other_images, other_labels) in zip(some, others, strict=True):
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)


@every_backend
@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_batches_are_the_same_from_memory_and_from_files(folder, augmentation, monkeypatch):
    source = whole(folder)
    opened = counted(source)
    kept = passes(source, augmentation, 4)
    counts = {path: opened.count(path) for path in opened}
    assert len(counts) == 8
    for path, count in counts.items():
        is_read_in_part = path.name == "4.jpg" and "resized_crop" in augmentation
        assert count > 1 if is_read_in_part else count == 1
    source = whole(folder)
    for size in (SIZE, None):
        source.cache(size).is_open = False
    opened = counted(source)
    assert_same(kept, passes(source, augmentation, 4))
    assert len(opened) == 24
    # A process that goes on within an epoch begins without a cache.
    batches = Batches(whole(folder), SIZE, 3, 0, augmentation=augmentation, one_hot=True)
    stream = iter(batches.stream(start=3))
    assert_same(kept[3:5], [next(stream), next(stream)])


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_batches_are_the_same_in_any_number_of_threads(folder, augmentation, monkeypatch):
    made = []
    threads = reader._threads

    def watched(process_id):
        made.append(threads(process_id))
        return made[-1]

    monkeypatch.setattr(reader, "_threads", watched)
    monkeypatch.setattr(reader, "SLOW_S", 60)
    alone = passes(whole(folder), augmentation)
    assert not made
    for slow_s, cores in ((0, 1), (0, 7)):
        threads.cache_clear()
        monkeypatch.setattr(reader, "SLOW_S", slow_s)
        monkeypatch.setattr(reader, "num_cores", lambda cores=cores: cores)
        assert_same(alone, passes(whole(folder), augmentation))
        assert made[-1]._max_workers == cores
    threads.cache_clear()


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
def test_what_does_not_fit_into_memory_is_decoded_each_time(folder, augmentation, monkeypatch):
    wanted = passes(whole(folder), augmentation)
    monkeypatch.setattr(cache, "CHECKED_BYTES", 1)
    monkeypatch.setattr(cache, "available_memory", lambda: 4 * 5 * 16 * 20 * 3)
    source = whole(folder)
    assert_same(wanted, passes(source, augmentation))
    kept = source.cache(None if "resized_crop" in augmentation else SIZE)
    assert (kept.is_open, len(kept)) == (False, 0)


def test_memory_is_asked_for_what_is_still_to_come(monkeypatch):
    """Those of a part of the data count alone, and others that take memory meanwhile as well."""
    image = np.zeros(100, "uint8")
    monkeypatch.setattr(cache, "CHECKED_BYTES", 1)
    free = 4 * 400
    monkeypatch.setattr(cache, "available_memory", lambda: free)
    kept = cache.Cache()
    kept.expect(np.arange(2, 6))
    kept.expect(np.arange(4, 7))
    for position in (2, 3, 3, 4):
        kept.put(position, image)
    assert len(kept) == 3
    assert kept.get(3) is image
    assert kept.get(6) is None
    free = 4 * 99
    kept.put(5, image)
    assert (kept.is_open, len(kept)) == (False, 0)
    kept.put(6, image)
    assert kept.get(6) is None


def test_sources_taken_from_one_share_what_is_decoded(folder):
    training, validation = open_data(str(folder))
    again, held_out = training.split(0.5, 0)
    sources = (training, validation, again, held_out)
    opened = counted(training)
    measure(training, SIZE)
    for source in sources:
        source.open_item = training.open_item
        images, labels = Batches(source, SIZE, 16)[0]
        assert len(images) == len(source)
        np.testing.assert_array_equal(labels, source.labels)
        pixels = np.stack([source.image(i, SIZE) for i in range(len(source))])
        np.testing.assert_allclose(images, pixels / 127.5 - 1, atol=1e-6)
    by_batches = len(opened) - sum(map(len, sources))  # which `image` opened
    assert by_batches == len({*opened}) == 10


def test_memory_goes_with_the_source(folder):
    training, validation = open_data(str(folder))
    kept = weakref.ref(training.cache(SIZE))
    batches = Batches(training, SIZE, 4, 0)
    batches.batch(0)
    assert len(kept()) == 4
    gc.disable()
    try:
        del training, batches
        assert kept() is not None, "another part of it is still there"
        del validation
        assert kept() is None
    finally:
        gc.enable()


def test_a_copy_of_a_source_takes_no_images_along(folder):
    source, _ = open_data(str(folder))
    wanted = passes(source)
    source.open_item = str  # pickle knows no lambdas
    data = pickle.dumps(source)
    assert len(data) < 8 * 16 * 20 * 3
    assert_same(passes(pickle.loads(data)), wanted)


@pytest.mark.parametrize("slow_s", [0, 60])
def test_a_damaged_file_is_logged_once_in_all_passes(folder, caplog, monkeypatch, slow_s):
    monkeypatch.setattr(reader, "SLOW_S", slow_s)
    damaged = [folder / "cat" / "1.jpg", folder / "dog" / "3.png"]
    for path in damaged:
        path.write_bytes(path.read_bytes()[:-40])
    source = whole(folder)
    damaged = [path for path in damaged if path in {*source.items}]
    with caplog.at_level(logging.WARNING):
        some = passes(source, ("flip",), 4)
        passes(source, ("resized_crop",))
    assert len(caplog.messages) == len(damaged) >= 1
    for path in damaged:
        assert sum(str(path) in message for message in caplog.messages) == 1
    assert_same(some, passes(whole(folder), ("flip",), 4))


FORK = r"""
import os, sys
import numpy as np
from keras_nasnet.data import reader
from keras_nasnet.data.source import Source

reader.SLOW_S = 0
source = Source([np.full((4, 4), i, "uint8") for i in range(6)], np.arange(6), ["a"] * 6)
wanted = reader.Reader(source, (4, 4)).read(range(6), [None] * 6)[0]
child = os.fork()
if not child:
    got = reader.Reader(source.take(np.ones(6, bool)), (8, 8)).read(range(6), [None] * 6)[0]
    os._exit(0 if (got[:, 0, 0] == wanted[:, 0, 0]).all() else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "keras" in sys.modules)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_threads_are_made_anew_after_a_fork():
    """As `use_multiprocessing` of Keras's data sets forks."""
    result = subprocess.run(
        [sys.executable, "-c", FORK],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout.split() == ["0", "False"], result.stderr


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.parametrize(
    "groups, wanted",
    [
        ("", 6000),
        ("0::/\n", 6000),
        ("0::/job/task\n", 3400),
        ("4:cpu:/job/task\n0::/free\n", 6000),
        ("7:memory:/job\n", 1200),
        ("7:memory:/job\n0::/full\n", 0),
    ],
)
def test_available_memory_is_what_the_control_groups_leave(tmp_path, groups, wanted):
    gib = 2**30
    write(tmp_path / "proc/meminfo", f"MemTotal: 9 kB\nMemAvailable:   {6000 * 2**20} kB\n")
    if groups:
        write(tmp_path / "proc/self/cgroup", groups)
    for name, limit, used, files in (
        ("job/task", "max", 500, 0),
        ("job", 4000 * gib, 1000, 400),  # holds the task's
        ("free", "max", 500, 0),
        ("full", 500 * gib, 600, 0),
    ):
        place = tmp_path / "sys/fs/cgroup" / name
        write(place / "memory.max", f"{limit}\n")
        write(place / "memory.current", f"{used * gib}\n")
        write(place / "memory.stat", f"anon 5\ninactive_file {files * gib}\n")
    place = tmp_path / "sys/fs/cgroup/memory/job"
    write(place / "memory.limit_in_bytes", f"{2000 * gib}\n")
    write(place / "memory.usage_in_bytes", f"{1000 * gib}\n")
    write(place / "memory.stat", f"inactive_file 7\ntotal_inactive_file {200 * gib}\n")
    assert available_memory(tmp_path) == wanted * gib


def test_available_memory_of_this_machine():
    assert available_memory() > 2**20


def test_a_source_of_which_nothing_can_be_decoded_is_refused(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for i in range(5):
            (tmp_path / name / f"{i}.png").write_bytes(encoded().read()[:50])
    with pytest.raises(ValueError, match="none of the images can be decoded"):
        passes(whole(tmp_path))
