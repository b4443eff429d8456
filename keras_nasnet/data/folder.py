"""Image folders by class, and links in them."""

import os
from collections.abc import Iterator
from pathlib import Path

from PIL import Image


class ImageFolders:
    """Reads the folders of a data set, each once, however many links lead to it.

    Links to folders and files elsewhere are followed. Hidden ones, whose names begin with a dot,
    are skipped, and so are files whose name has no image format known to Pillow.

    Args:
        root: path of the folder that holds the whole data set.
    """

    def __init__(self, root: Path):
        self.root = root
        self._real_root = root.resolve()
        self._read: dict[Path, Path] = {}  # real paths, and the paths they were read by

    def images_by_class(self, folder: Path) -> dict[str, list[Path]]:
        """Paths of the images in and below each folder in `root` or in one of its folders.

        Raises:
            ValueError: if a link leads into the data set, to a parent of it, or nowhere, or two
                paths lead to the same folder.
            OSError: if a folder cannot be read.
        """
        if folder != self.root:
            self._enter(folder)
        classes = sorted(Path(entry) for entry in _visible(folder) if _is_folder(entry))
        return {path.name: self._images(path) for path in classes}

    def _images(self, folder: Path) -> list[Path]:
        found, waiting = [], [folder]
        while waiting:
            here = waiting.pop()
            self._enter(here)
            for entry in _visible(here):
                if _is_image(entry):
                    found.append(Path(entry))
                elif _is_folder(entry):
                    waiting.append(Path(entry))
        return sorted(found)

    def _enter(self, path: Path) -> None:
        real, root = path.resolve(), self._real_root
        is_link = real != path.parent.resolve() / path.name
        if root.is_relative_to(real) or (is_link and real.is_relative_to(root)):
            raise ValueError(f"{path} is a link to {real}, back into the data: remove it")
        if real in self._read:
            raise ValueError(
                f"{path} and {self._read[real]} are the same folder, {real}: remove the link to it"
            )
        self._read[real] = path


def _visible(folder: Path) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from (entry for entry in entries if not entry.name.startswith("."))


def _is_image(entry: os.DirEntry[str]) -> bool:
    """Whether its name is that of an image; a broken link is reported when it is read."""
    suffix = os.path.splitext(entry.name)[1].lower()
    return suffix in Image.registered_extensions() and (_is_broken(entry) or entry.is_file())


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if _is_broken(entry):
        target = os.readlink(entry)
        raise ValueError(f"{entry.path} is a link to {target}, which does not exist: remove it")
    return entry.is_dir()


def _is_broken(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and not os.path.exists(entry)
