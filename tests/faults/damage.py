"""Damage to a file, as disks, controllers and copying do it: in place, one piece at a time, seeded.

``damage`` changes what a file holds and leaves its name, inode and permissions as they are. Every
kind is guaranteed to change the content; what cannot be damaged so (an empty file, blocks that are
all alike) raises ``NothingToDamageError``, and a campaign takes another kind or another file.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 4096
"""A page of LMDB, and a block of most file systems."""

_ATTEMPTS: Final = 64


class NothingToDamageError(Exception):
    """The file holds nothing that this kind of damage would change."""


class _File:
    """The bytes of a file between ``start`` and ``end``, and how they are changed."""

    def __init__(self, descriptor: int, start: int, end: int) -> None:
        self.descriptor = descriptor
        self.start = start
        self.end = end

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self.descriptor, min(length, self.end - offset), offset)

    def write(self, offset: int, data: bytes) -> None:
        assert os.pwrite(self.descriptor, data, offset) == len(data)

    def block(self, chance: random.Random, size: int) -> tuple[int, bytes]:
        """Some block of the range, aligned to its size where it is long enough."""
        first, last = self.start // size, (self.end - 1) // size
        offset = max(self.start, chance.randint(first, last) * size)
        return offset, self.read(offset, size)


def damage(
    path: Path,
    kind: str,
    chance: random.Random,
    *,
    block_bytes: int = BLOCK_BYTES,
    within: tuple[int, int] | None = None,
) -> str:
    """Damage a file, or the bytes ``within`` it (first, and one behind the last).

    Returns what was done, in one line, for the message of a failing test. Raises
    NothingToDamageError.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        start, end = within or (0, size)
        end = min(end, size)
        if start >= end:
            raise NothingToDamageError(f"{path.name}: {kind}")
        for _ in range(_ATTEMPTS):
            done = _KINDS[kind](_File(descriptor, start, end), chance, block_bytes)
            if done is not None:
                return f"{path.name}: {done}"
        raise NothingToDamageError(f"{path.name}: {kind}")
    finally:
        os.close(descriptor)


def _flip(file: _File, chance: random.Random, _size: int) -> str | None:
    """One bit."""
    offset, bit = chance.randrange(file.start, file.end), chance.randrange(8)
    before = file.read(offset, 1)
    file.write(offset, bytes((before[0] ^ 1 << bit,)))
    return f"bit {bit} of byte {offset} flipped"


def _zero(file: _File, chance: random.Random, size: int) -> str | None:
    """A block that was never written."""
    offset, before = file.block(chance, size)
    if not any(before):
        return None
    file.write(offset, bytes(len(before)))
    return f"{len(before)} bytes from {offset} zeroed"


def _noise(file: _File, chance: random.Random, size: int) -> str | None:
    """A block that was written from elsewhere."""
    offset, before = file.block(chance, size)
    noise = chance.randbytes(len(before))
    if noise == before:
        return None
    file.write(offset, noise)
    return f"{len(before)} bytes from {offset} overwritten"


def _swap(file: _File, chance: random.Random, size: int) -> str | None:
    """Two blocks in each other's place."""
    (one, first), (other, second) = file.block(chance, size), file.block(chance, size)
    length = min(len(first), len(second))
    if abs(one - other) < length or first[:length] == second[:length]:
        return None
    file.write(one, second[:length])
    file.write(other, first[:length])
    return f"{length} bytes at {one} and {other} swapped"


def _cut(file: _File, chance: random.Random, _size: int) -> str | None:
    """An end that is missing."""
    length = chance.randrange(file.start, file.end)
    os.ftruncate(file.descriptor, length)
    return f"cut to {length} bytes"


_KINDS: Final[dict[str, Callable[[_File, random.Random, int], str | None]]] = {
    "flip": _flip,
    "zero": _zero,
    "noise": _noise,
    "swap": _swap,
    "cut": _cut,
}

KINDS: Final = tuple(_KINDS)
