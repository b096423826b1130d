"""The checksum that an S3 service says of a whole object, held against its bytes. Pure.

Amazon keeps one of every object since the end of 2024, other services of those that were sent with
one. Those of SHA are left aside: they cost more than the rest of a read.

Source: Amazon S3 API reference, GetObject, ``x-amz-checksum-mode``.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import cache
from typing import Final

import anycrc
from isal.isal_zlib import crc32

from s3front.locations.s3_google import crc32c_in

ASKING: Final = {"x-amz-checksum-mode": "ENABLED"}
"""The header of a read that asks for it."""

_Update = Callable[[bytes, int], int]


class Checksum:
    """``add`` the bytes; ``is_right`` says whether these were all, and the right ones."""

    __slots__ = ("_update", "_value", "_wanted")

    def __init__(self, update: _Update, wanted: int) -> None:
        self._update = update
        self._wanted = wanted
        self._value = 0

    def add(self, data: bytes) -> None:
        self._value = self._update(data, self._value)

    @property
    def is_right(self) -> bool:
        return self._value == self._wanted


def checksum_of(headers: Mapping[str, str]) -> Checksum | None:
    """What the answer to a read of a whole object says; None when it says nothing that is known."""
    if headers.get("x-amz-checksum-type", "FULL_OBJECT") != "FULL_OBJECT":
        return None
    googles = crc32c_in(headers)
    for name, make in _KINDS.items():
        text = headers.get(f"x-amz-checksum-{name}")
        if text is None and name == "crc32c":
            text = googles
        if text is None or "-" in text:  # of the parts' checksums
            continue
        try:
            return Checksum(make(), int.from_bytes(b64decode(text, validate=True)))
        except ValueError:
            continue
    return None


@cache
def _crc64nvme() -> _Update:
    calc: _Update = anycrc.Model("CRC64-NVME").calc
    return calc


@cache
def _crc32c() -> _Update:
    calc: _Update = anycrc.Model("CRC32C").calc
    return calc


_KINDS: Final[Mapping[str, Callable[[], _Update]]] = {
    "crc64nvme": _crc64nvme,
    "crc32c": _crc32c,
    "crc32": lambda: crc32,
}
