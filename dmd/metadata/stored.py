"""The value as the engine holds it, around the record that a client sent.

Layout: ``[checksum u32][revision u64][schema u8][length u32][projection][record]``, big-endian.
The checksum is a CRC-32 of the physical key and everything after the checksum, because LMDB notices
neither a flipped bit nor a page that belongs elsewhere. The projection is a compact extract of the
record for listings (``length`` bytes, absent when schema is 0); the record is the client's text,
untouched.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

_HEADER = struct.Struct(">IQBI")
_CHECKSUM_BYTES = 4

NO_PROJECTION = 0


class CorruptRecordError(Exception):
    """A stored value does not match its checksum or its layout."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A decoded value."""

    revision: int
    schema: int
    projection: bytes
    record: bytes


def pack(key: bytes, stored: Stored) -> bytes:
    """The bytes to store at ``key``."""
    header = _HEADER.pack(0, stored.revision, stored.schema, len(stored.projection))
    value = header + stored.projection + stored.record
    checksum = zlib.crc32(memoryview(value)[_CHECKSUM_BYTES:], zlib.crc32(key))
    return checksum.to_bytes(_CHECKSUM_BYTES, "big") + value[_CHECKSUM_BYTES:]


def unpack_listed(key: bytes, value: bytes) -> tuple[int, bytes]:
    """Schema and projection of the value stored at ``key``, or NO_PROJECTION and the record.

    As ``unpack``, for listings, which look at many values and need one part of each.
    """
    if len(value) < _HEADER.size:
        raise CorruptRecordError(f"the value of {key!r} has only {len(value)} bytes")
    checksum, _, schema, length = _HEADER.unpack_from(value)
    if zlib.crc32(memoryview(value)[_CHECKSUM_BYTES:], zlib.crc32(key)) != checksum:
        raise CorruptRecordError(f"the value of {key!r} does not match its checksum")
    start = _HEADER.size + length
    if schema == NO_PROJECTION:
        return schema, value[start:]
    return schema, value[_HEADER.size : start]


def unpack(key: bytes, value: bytes) -> Stored:
    """The value that was stored at ``key``; raises CorruptRecordError."""
    if len(value) < _HEADER.size:
        raise CorruptRecordError(f"the value of {key!r} has only {len(value)} bytes")
    checksum, revision, schema, length = _HEADER.unpack_from(value)
    if zlib.crc32(memoryview(value)[_CHECKSUM_BYTES:], zlib.crc32(key)) != checksum:
        raise CorruptRecordError(f"the value of {key!r} does not match its checksum")
    start = _HEADER.size + length
    return Stored(revision, schema, value[_HEADER.size : start], value[start:])
