"""A tree of files of which every one has several versions, each with bytes of its own.

A program puts one version of the whole tree after the other into a versioned bucket, and brings
each back.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tests.clients import tree

FILES = 2000 if os.environ.get("TWOFOLD_SOAK") else 12
VERSIONS = (1, 2, 3)

_BY_PARTS = "by parts.bin"
_SIZES = (16, 700, 5_000, 60_000, 70_000, 1_500_000, *(100 * step for step in range(1, 51)))
"""Bytes: few, which are packed with others, and two sizes that are files of their own."""


def names() -> list[str]:
    """Every file: names with spaces and beyond ASCII, in twenty folders."""
    return [_BY_PARTS, *(f"földer {number % 20}/file {number:04}" for number in range(1, FILES))]


def content(name: str, version: int) -> bytes:
    """The bytes of a version. Each has a size of its own, by which programs know a change.

    No other file had the same bytes in an earlier version: s3cmd would copy from there, after that
    file has got its new ones.
    """
    return tree.content(f"{name} {version}", _size(name, version))


def _size(name: str, version: int) -> int:
    if name == _BY_PARTS:
        return tree.PART_SIZE_MIB * tree.MIB + version
    number = int(name[-4:])
    return 0 if _is_empty(number, version) else _SIZES[(number + version) % len(_SIZES)]


def _is_empty(number: int, version: int) -> bool:
    return number % 50 == 7 and version == 2


def write(folder: Path, version: int) -> Path:
    """Make a folder hold this version of every file; the folder."""
    for name in names():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content(name, version))
    return folder


def all_versions() -> Iterator[tuple[str, int]]:
    """Every file with each of its versions."""
    return ((name, version) for name in names() for version in VERSIONS)


def assert_holds(folder: Path, version: int) -> None:
    """The folder holds this version of every file, byte for byte, and nothing else."""
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == set(names())
    for name in names():
        assert (folder / name).read_bytes() == content(name, version), name
