"""The blobs' half of ``dmd backup`` and ``dmd restore``: a data directory, copied as files.

Whoever copies holds deletions (``dmd.hold``), after which the copy may take as long as it likes.
Blobs are immutable, so a file is the same whenever it is read; what comes while copying belongs to
newer metadata, and does no harm. A segment of packed blobs that still grows is copied as far as it
has come: what is behind the last whole record is cut off when the copy is opened. Blobs in
quarantine that are read come back into use, so the quarantine is copied before the rest.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from dmd.belonging import ABOUT_NAME
from dmd.data.packed.segment import next_data
from shared.packed_reader import PACKED_FOLDER

_BEFORE_THE_REST: Final = ("quarantine",)
_BLOCK_BYTES: Final = 8 * 1024 * 1024

Progress = Callable[[int], None]
"""Told how many more bytes have been copied."""

_syncfs = ctypes.CDLL(None, use_errno=True).syncfs


def copy_data(source: Path, target: Path, progress: Progress) -> None:
    """Copy a data directory into the new folder ``target``, durably. Raises OSError."""
    target.mkdir(mode=0o700)
    shutil.copyfile(source / ABOUT_NAME, target / ABOUT_NAME)
    for name in _folders(source):
        (target / name).mkdir(mode=0o700)
        for file in sorted(os.listdir(source / name)):
            if not (source / name / file).is_dir():
                _copy(source / name / file, target / name / file, progress)
    _sync(target)


def holds_blobs(directory: Path) -> bool:
    """Whether a directory has been one of blobs, or may have some, whoever put them there."""
    if (directory / ABOUT_NAME).exists():
        return True
    return any(os.listdir(directory / name) for name in _folders(directory))


def _folders(source: Path) -> Iterator[str]:
    names = {entry.name for entry in os.scandir(source) if entry.is_dir(follow_symlinks=False)}
    yield from (name for name in _BEFORE_THE_REST if name in names)
    yield from sorted(name for name in names if name.isdigit() or name == PACKED_FOLDER)


def _copy(source: Path, target: Path, progress: Progress) -> None:
    """Copy a file with its holes; one that is gone was nobody's, or is copied where it went."""
    try:
        reader = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        writer = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            size = os.fstat(reader).st_size
            for start, end in _stretches(reader, size):
                _copy_stretch(reader, writer, start, end)
                progress(end - start)
            os.ftruncate(writer, size)
        finally:
            os.close(writer)
    finally:
        os.close(reader)


def _stretches(descriptor: int, size: int) -> Iterator[tuple[int, int]]:
    """Where a file holds data, first and one behind the last byte of each stretch."""
    start = 0
    while start < size:
        data_at = next_data(descriptor, start)
        if data_at is None:
            return  # a hole up to the end
        start = data_at
        end = min(os.lseek(descriptor, start, os.SEEK_HOLE), size)
        yield start, end
        start = end


def _copy_stretch(reader: int, writer: int, start: int, end: int) -> None:
    while start < end:
        count = min(_BLOCK_BYTES, end - start)
        try:
            copied = os.copy_file_range(reader, writer, count, start, start)
        except OSError:  # between file systems of different kinds, for instance
            copied = os.pwrite(writer, os.pread(reader, count, start), start)
        if not copied:
            return
        start += copied


def _sync(folder: Path) -> None:
    """Make all that was written to the file system of a folder durable, in one go."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _syncfs(descriptor):
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)
