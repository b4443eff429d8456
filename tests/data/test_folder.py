"""Folders of images: what is hidden, where links lead, what is there twice."""

import logging
import os
import shutil

import pytest
from support.pictures import write_folder

from keras_nasnet.data.inspection import find_duplicates, read_all
from keras_nasnet.data.source import open_data


def opened(folder):
    """The paths of both splits, by class, relative to the folder."""
    files = {}
    for source in open_data(str(folder)):
        for path, label in zip(source.items, source.labels, strict=True):
            files.setdefault(source.class_names[label], set()).add(str(path.relative_to(folder)))
    return files


def test_what_is_hidden_is_no_image_and_no_class(tmp_path):
    data = tmp_path / ".cache" / "data"  # where the data is does not matter
    write_folder(data, ["cat", "dog"], 2)
    wanted = opened(data)
    for name in (".0.jpg", "._0.jpg", "Thumbs.db", ".ipynb_checkpoints/0.jpg"):
        (data / "cat" / name).parent.mkdir(exist_ok=True)
        (data / "cat" / name).write_bytes(b"no image")
    shutil.copytree(data / "dog", data / ".ipynb_checkpoints")
    os.mkfifo(data / "cat" / "pipe.jpg")  # whose reader would wait for ever
    assert opened(data) == wanted == {"cat": {"cat/0.jpg", "cat/1.jpg"}, "dog": wanted["dog"]}


def test_links_elsewhere_are_followed(tmp_path):
    data, store = tmp_path / "data", tmp_path / "store"
    write_folder(data, ["cat"], 1)
    write_folder(store, ["dogs", "wild/lions"], 1)
    (data / "dog").symlink_to(store / "dogs")
    (data / "cat" / "wild").symlink_to("../../store/wild")
    (data / "cat" / "1.jpg").symlink_to(store / "dogs" / "0.jpg")
    (data / "cat" / "2.jpg").symlink_to("nowhere.jpg")
    cats = {f"cat/{name}.jpg" for name in ("0", "1", "2", "wild/lions/0")}
    assert opened(data) == {"cat": cats, "dog": {"dog/0.jpg"}}
    linked = tmp_path / "linked"
    linked.symlink_to(data)
    assert opened(linked) == opened(data), "the data set itself may be reached by a link"


@pytest.mark.parametrize(
    "link, target, message",
    [
        ("up", ".", "{data}/up is a link to {data}, back into the data"),
        ("up", "..", "{data}/up is a link to {top}, back into the data"),
        ("kitten", "cat", "{data}/kitten is a link to {data}/cat, back into the data"),
        ("cat/more", "../dog", "{data}/cat/more is a link to {data}/dog, back"),
        ("cat/more", ".", "{data}/cat/more is a link to {data}/cat, back"),
        ("cat/loop", "loop", "{data}/cat/loop is a link to loop, which does not exist"),
        ("mouse", "nowhere", "{data}/mouse is a link to nowhere, which does not exist"),
        ("mouse", "../store", "{data}/mouse/again and {data}/mouse are the same folder, {top}/st"),
        ("train", ".", "{data}/train is a link to {data}, back into the data"),
        ("test", "train", "{data}/test is a link to {data}/train, back into the data"),
        ("cat/more", "../../two/a", "are the same folder, {top}/two"),
    ],
)
def test_links_back_into_the_data_are_refused(tmp_path, link, target, message):
    """So are loops and second ways elsewhere; 20 folders linked twice would be 2**20 paths."""
    data = tmp_path / "data"
    inside = data / "train" if link == "test" else data
    write_folder(inside, ["cat", "dog"], 1)
    write_folder(tmp_path, ["store"], 1)
    (tmp_path / "store" / "again").symlink_to(tmp_path / "store")
    deep = tmp_path / "two" / "a"
    for _ in range(20):
        (deep / "x").mkdir(parents=True)
        (deep / "y").symlink_to("x")
        deep /= "x"
    (data / link).symlink_to(target)
    with pytest.raises(ValueError) as refused:
        open_data(str(data))
    assert message.format(data=data, top=tmp_path) in str(refused.value)


def test_folders_that_cannot_be_listed_are_named(tmp_path, monkeypatch):
    write_folder(tmp_path, ["cat", "dog"], 1)
    (tmp_path / "cat" / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if path.name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)  # for root may list everything
    with pytest.raises(PermissionError, match="closed"):
        open_data(str(tmp_path))


def test_duplicates_are_counted_with_an_example(tmp_path):
    for split, start in (("train", 0), ("test", 4)):
        for name in ("cat", "dog"):
            (tmp_path / split / name).mkdir(parents=True)
            for i in range(start, start + 4):
                # Of one size, and alike but for a byte in the middle.
                content = bytearray(20_000)
                content[9000] = i + (10 if name == "dog" else 0)
                (tmp_path / split / name / f"{i}.jpg").write_bytes(content)
    assert find_duplicates(*open_data(str(tmp_path))) == []

    train, test = tmp_path / "train", tmp_path / "test"
    shutil.copy(train / "cat" / "0.jpg", test / "cat" / "a.jpg")
    (test / "cat" / "b.jpg").symlink_to("../../train/cat/0.jpg")
    os.link(train / "cat" / "1.jpg", train / "dog" / "c.jpg")
    shutil.copy(train / "dog" / "2.jpg", train / "dog" / "d.jpg")
    (train / "dog" / "gone.jpg").symlink_to("nowhere")
    training, validation = open_data(str(tmp_path))
    assert find_duplicates(training, validation) == [
        f"2 of 10 validation images are also training images, such as {test}/cat/a.jpg "
        f"and {train}/cat/0.jpg",
        f"1 images are also in another class, such as {train}/dog/c.jpg and {train}/cat/1.jpg",
        f"1 images are copies of others, such as {train}/dog/d.jpg and {train}/dog/2.jpg",
    ]
    assert find_duplicates(*open_data("digits")) == []


def test_all_images_can_be_read_beforehand(tmp_path, caplog):
    write_folder(tmp_path, ["cat", "dog"], 100)
    bad = [tmp_path / "cat" / "3.jpg", tmp_path / "dog" / "99.jpg"]
    for path in bad:
        path.write_bytes(path.read_bytes()[:-20])
    with caplog.at_level(logging.WARNING):
        messages = read_all(open_data(str(tmp_path)), (8, 8))
    assert [message.partition(":")[0] for message in messages] == [*map(str, bad)]
    assert len(caplog.messages) == 2
    assert read_all(open_data("digits"), (8, 8)) == []
