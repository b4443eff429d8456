"""Folders of images: what is hidden, where links lead, what is there twice."""

import os
import shutil

import pytest
from test_data import write_folder

from keras_nasnet.data import open_data


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
        ("cat/loop", "loop", "{data}/cat/loop is a link to loop, which cannot be found"),
        ("mouse", "nowhere", "{data}/mouse is a link to nowhere, which cannot be found"),
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
