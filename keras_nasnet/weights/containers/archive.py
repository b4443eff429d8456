"""Zip archives, read without trusting what they say about themselves."""

import copy
import io
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import h5py

from keras_nasnet.weights.containers.hdf5 import check_objects
from keras_nasnet.weights.limit import MAX_HEADER_BYTES, max_bytes

CHUNK_BYTES = 1 << 20
KERAS_MEMBER = "model.weights.h5"  # in a `.keras` archive
KERAS_CONFIG = "config.json"


def check_sizes(members: Iterable[zipfile.ZipInfo], limit: int) -> None:
    """Refuses members that declare too much, or use compression without bounds.

    Args:
        members: of an archive.
        limit: int, the most bytes they may declare together.

    Raises:
        ValueError: if they declare more, or one is packed with anything but deflate.
    """
    declared = 0
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"{member.filename} is neither stored nor deflated")
        declared += member.file_size
    if declared > limit:
        raise ValueError(
            f"it declares {declared:,} bytes; wanted at most {limit:,} for the weights of the "
            "network and its optimizer"
        )


def read_member(archive: zipfile.ZipFile, name: str, limit: int) -> io.BytesIO:
    """The contents of a member.

    Args:
        archive: an open archive.
        name: of the member.
        limit: int, the most bytes it may have.

    Raises:
        KeyError: if there is no such member.
        ValueError: if it declares more, or has more or less than it declares.
    """
    member = archive.getinfo(name)
    check_sizes([member], limit)
    content = io.BytesIO()
    for chunk in _chunks(archive, member):
        content.write(chunk)
    return content


def check_model(path: Path) -> None:
    """Refuses a `.keras` archive that declares or holds anything Keras should not read.

    Each member is read once, in chunks. A member stored without compression, as Keras does, may
    have any size: all of it is on disk.

    Args:
        path: of the file.

    Raises:
        ValueError: as `read_member` and `check_objects` do.
        zipfile.BadZipFile, KeyError: if it is not such an archive, or damaged.
    """
    with zipfile.ZipFile(path) as archive:
        limit = max(max_bytes(), path.stat().st_size)
        check_sizes(archive.infolist(), limit)
        check_sizes([archive.getinfo(KERAS_CONFIG)], MAX_HEADER_BYTES)
        for member in archive.infolist():
            if member.filename != KERAS_MEMBER:
                for _ in _chunks(archive, member):
                    pass
        with h5py.File(read_member(archive, KERAS_MEMBER, limit), "r") as file:
            check_objects(file)


def _chunks(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member in chunks, stopped if it has more than it declares."""
    asked = copy.copy(member)
    asked.file_size += 1  # so that an extra byte is noticed
    done = 0
    with archive.open(asked) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            done += len(chunk)
            if done > member.file_size:
                break
            yield chunk
    if done != member.file_size:
        raise ValueError(
            f"{member.filename} declares {member.file_size:,} bytes and has "
            f"{'more' if done > member.file_size else f'{done:,}'}"
        )
