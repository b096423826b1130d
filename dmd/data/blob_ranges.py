"""The Range header of a GET on the data port. Pure.

Follows the table of reference/dmd-wire.md, section 11, and RFC 9110 section 14: what is not one
valid byte range is ignored, and the whole blob is sent.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from dmd.data.errors import DataError

# More digits than any size has, and few enough for int() to take them.
_ONE_RANGE: Final = re.compile(r"bytes=([0-9]{0,100})-([0-9]{0,100})", re.IGNORECASE)


class ByteRange(msgspec.Struct, frozen=True):
    """Bytes ``start`` to ``end`` of a blob, both included, counted from 0; never empty."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes it covers."""
        return self.end - self.start + 1


def resolve_range(header: str | None, size: int) -> ByteRange | None:
    """Return the part of a blob of ``size`` bytes that the header asks for; None means all of it.

    Raises DataError InvalidRange when no byte of the blob is asked for. The last bytes of an empty
    blob are all of it, as in the original.
    """
    match = None if header is None else _ONE_RANGE.fullmatch(header.strip())
    if match is None:
        return None
    first, last = match.groups()
    if not first:
        return _last_bytes(int(last), size) if last else None
    start = int(first)
    if last and int(last) < start:
        return None
    if start >= size:
        raise DataError("InvalidRange")
    return ByteRange(start, min(int(last), size - 1) if last else size - 1)


def _last_bytes(count: int, size: int) -> ByteRange | None:
    if count == 0:
        raise DataError("InvalidRange")
    if size == 0:
        return None
    return ByteRange(max(0, size - count), size - 1)
