"""A tree of files with the names and sizes that clients, shells and URLs stumble over."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass
from hashlib import md5, sha256
from pathlib import Path

MIB = 1024 * 1024
PART_SIZE_MIB = 16
"""The programs are told to use parts of this size."""

_LONG_FOLDER = "long-" + "x" * 245
"""250 bytes: a file system's names have at most 255, a key has at most 1024 bytes altogether."""

FILE_SIZES = {
    "empty": 0,
    "one byte": 1,
    "five MiB.bin": 5 * MIB,
    "plain.txt": 11,
    "spaces  in  the  middle": 12,
    " leading and trailing ": 13,
    "plus+plus": 14,
    "percent%20encoded%2Fslash%": 15,
    "hash#fragment": 16,
    "question?mark=1&other=2": 17,
    "single'quote": 18,
    'double"quote': 19,
    "<angle>&amp;": 20,
    "semi;colon,comma=equals@at:colon$": 21,
    "back\\slash": 22,
    "tilde~star*(brackets)[square]{curly}": 23,
    "trailing dots...": 24,
    "...": 25,
    ".hidden": 26,
    "ünïcödé": 27,
    # The same letter composed and decomposed: two keys, which nobody may normalise into one.
    "\u00e9-composed": 28,
    "e\u0301-decomposed": 29,
    "日本語/漢字.txt": 30,
    "emoji 🎉🚀/👩‍👩‍👧.png": 31,
    "عربى": 32,
    "a/b/c/d/e/f/g/deep": 33,
    "folder with space/sub+folder/100%": 34,
    f"{_LONG_FOLDER}/{_LONG_FOLDER}/{_LONG_FOLDER}/{_LONG_FOLDER}/end": 35,
}
"""What a file system can hold: relative path and size in bytes."""

KEYS_ONLY_SIZES = {
    "a//b": 41,
    "a/b": 42,
    "folder/": 0,
    "/leading": 43,
    "dots/../up/./here": 44,
    "tab\tand\nnewline": 45,
    "k" * 1024: 46,
    "".join(chr(code) for code in range(33, 127)): 47,
}
"""What only an object store can hold."""


def content(name: str, size: int) -> bytes:
    """The bytes of a file: always the same ones for its name."""
    return random.Random(name).randbytes(size)


def files() -> dict[str, bytes]:
    """Every file of the tree."""
    return {name: content(name, size) for name, size in FILE_SIZES.items()}


def objects() -> dict[str, bytes]:
    """The tree, and what only an object store can hold."""
    sizes = {**FILE_SIZES, **KEYS_ONLY_SIZES}
    return {name: content(name, size) for name, size in sizes.items()}


def write_files(folder: Path, without: Collection[str] = ()) -> None:
    """Write the tree into a folder, but for the names that a program cannot express."""
    for name, data in files().items():
        if name in without:
            continue
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def read_files(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, by relative path."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def etag(data: bytes) -> str:
    """The ETag of an object that was stored in one piece."""
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'


@dataclass(frozen=True)
class BigFile:
    """A file of 100 MiB, and what S3 must say of its bytes."""

    path: Path
    size_bytes: int
    sha256: str
    etag: str
    """When it was stored in one piece."""
    multipart_etag: str
    """When it was stored in parts of ``PART_SIZE_MIB``; the last one is shorter."""


def big_file(folder: Path) -> BigFile:
    """Write the big file, which is apart from the tree: most tests do without."""
    path, size_mib = folder / "hundred MiB.bin", 100
    whole, whole_sha256 = md5(usedforsecurity=False), sha256()
    part_digests = b""
    with path.open("wb") as file:
        for start in range(0, size_mib, PART_SIZE_MIB):
            part = content(f"big {start}", min(PART_SIZE_MIB, size_mib - start) * MIB)
            file.write(part)
            whole.update(part)
            whole_sha256.update(part)
            part_digests += md5(part, usedforsecurity=False).digest()
    parts = len(part_digests) // md5(usedforsecurity=False).digest_size
    return BigFile(
        path,
        size_mib * MIB,
        whole_sha256.hexdigest(),
        f'"{whole.hexdigest()}"',
        f'"{md5(part_digests, usedforsecurity=False).hexdigest()}-{parts}"',
    )
