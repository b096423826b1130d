"""The value as the engine holds it, around the record that a client sent.

Layout: ``[checksum u32][revision u64][schema u8][length u32][projection][record]``, big-endian.
The checksum is a CRC-32 of the physical key and everything after the checksum, because LMDB notices
neither a flipped bit nor a page that belongs elsewhere. The projection is a compact extract of the
record for listings (``length`` bytes, absent when schema is 0); the record is the client's text,
untouched.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

import msgspec
from isal.isal_zlib import crc32

_HEADER = struct.Struct(">IQBI")
_JUDGED_HEADER = struct.Struct(">QBI")
"""The same, without the checksum."""
_LISTED_HEADER = struct.Struct(">I8xBI")
"""The same, without the revision."""

_HEADER_BYTES = _HEADER.size
_CHECKSUM_BYTES = 4
_REVISION = slice(4, 12)

NO_PROJECTION = 0


class CorruptRecordError(Exception):
    """A stored value does not match its checksum or its layout."""


class Stored(msgspec.Struct, frozen=True):
    """A decoded value."""

    revision: int
    schema: int
    projection: bytes
    record: bytes


def pack(key: bytes, stored: Stored) -> bytes:
    """The bytes to store at ``key``."""
    projection = stored.projection
    header = _JUDGED_HEADER.pack(stored.revision, stored.schema, len(projection))
    judged = b"".join((header, projection, stored.record))
    return crc32(judged, crc32(key)).to_bytes(_CHECKSUM_BYTES, "big") + judged


def projections(items: Iterable[tuple[bytes, bytes]], schema: int) -> list[bytes] | None:
    """The projections of stored values, which are given with their keys; None when one is not of
    that schema.

    As ``unpack`` for each, for listings, which read a thousand values at a time: no call for each.
    """
    start, unpack_header = _HEADER_BYTES, _LISTED_HEADER.unpack_from
    found: list[bytes] = []
    try:
        for key, value in items:
            checksum, its_schema, length = unpack_header(value)
            if crc32(value[_CHECKSUM_BYTES:], crc32(key)) != checksum:
                raise CorruptRecordError(f"the value of {key!r} does not match its checksum")
            if its_schema != schema:
                return None
            found.append(value[start : start + length])
    except struct.error:
        raise CorruptRecordError(f"the value of {key!r} has only {len(value)} bytes") from None
    return found


def revision_of(value: bytes) -> int | None:
    """The revision in a stored value, which is not verified; None when there is none.

    It is for a comparison with one that was told before: damage makes none of those.
    """
    return None if len(value) < _HEADER_BYTES else int.from_bytes(value[_REVISION], "big")


def unpack(key: bytes, value: bytes) -> Stored:
    """The value that was stored at ``key``; raises CorruptRecordError."""
    try:
        checksum, revision, schema, length = _HEADER.unpack_from(value)
    except struct.error:
        raise CorruptRecordError(f"the value of {key!r} has only {len(value)} bytes") from None
    if crc32(value[_CHECKSUM_BYTES:], crc32(key)) != checksum:
        raise CorruptRecordError(f"the value of {key!r} does not match its checksum")
    start = _HEADER_BYTES + length
    return Stored(revision, schema, value[_HEADER_BYTES:start], value[start:])
