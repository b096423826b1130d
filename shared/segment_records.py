"""Records of packed blobs, and the keys that say where they lie. Pure.

A segment is a sequence of records, each at a multiple of 64 bytes, so that no header lies in two
blocks of the file system:

    offset 0   "2FBL"
           4   state: "LIVE", "quar" (in quarantine) or "gone" (deleted)
           8   length of the blob, in bytes
          12   bytes from the start of the record before to the start of this one, 0 for the first
          16   CRC-32 of the blob
          20   key, 20 bytes
          40   CRC-32 of the 40 bytes before, taken with the state as zeros
          44   the blob, then zeros up to the next multiple of 64

Numbers are little-endian. The state is all that changes after a record was written; it is no part
of a checksum, so that a change of it never tears anything. Instead its codes differ in ten bits at
least, in each of their bytes, and whatever is none of them means live: damage deletes nothing.

Before format 3 of the directory the codes were "L", "Q" and "D", followed by zeros. "L" and "D"
differ in one bit, so an old "D" is believed only until the segments of that time have been gone
through (``dmd.data.packed.upgrade``). Afterwards it means live, as the old "L" always does.

A key is 12 digits of creation time, as every key (``dmd.data.blob_keys``), then 8 digits of the
number of the segment, 8 of the record's offset, and 12 that are random. So a blob is found without
an index, and a guessed place alone opens nothing.

Segments have two writers, each with numbers of its own: the data service, and the metadata service
for bodies that come with their commits (``dmd.data.packed.body_segments``).
"""

from __future__ import annotations

import os
import struct
from enum import Enum
from typing import Final, NamedTuple

from isal.isal_zlib import crc32

ALIGNMENT: Final = 64
HEADER_BYTES: Final = 44
MAGIC: Final = b"2FBL"
STATE_OFFSET: Final = 4

FIRST_OF_BODIES: Final = 0xB0000000
LAST_OF_BODIES: Final = 0xB0FFFFFF
"""The numbers of segments of bodies. One in 256 keys of files looks as if it were of one."""

_HEADER: Final = struct.Struct("<4s4sIII20s")
_JUDGED_HEADER: Final = struct.Struct("<4s4sIII20sI")
_PLACE_IN_KEY: Final = struct.Struct(">6xII6x")
"""Of the 20 bytes of a key."""

_PLACE: Final = struct.Struct(">II")
_TIME_BYTES: Final = 6
_RANDOM_BYTES: Final = 6


class State(Enum):
    """What has become of a blob; the value is the code in its record."""

    LIVE = b"LIVE"
    QUARANTINED = b"quar"
    DELETED = b"gone"
    OLD_QUARANTINED = b"Q\0\0\0"
    OLD_DELETED = b"D\0\0\0"


_STATES: Final = {state.value: state for state in State}
_NO_STATE: Final = bytes(4)
_LIVE: Final = State.LIVE.value


class Place(NamedTuple):
    """A segment's number, and the offset of a record in it."""

    segment: int
    offset: int


class Record(NamedTuple):
    """A record's header: ``offset`` is its own, ``length`` and ``checksum`` are the blob's."""

    offset: int
    state: State
    length: int
    distance: int
    checksum: int
    key: str

    @property
    def end(self) -> int:
        """Where the next record begins."""
        return self.offset + record_bytes(self.length)

    @property
    def previous(self) -> int | None:
        """Where the record before begins; None for the first."""
        return self.offset - self.distance if self.distance else None


def record_bytes(length: int) -> int:
    """What a blob of ``length`` bytes takes, with its header and padding."""
    return -(-(HEADER_BYTES + length) // ALIGNMENT) * ALIGNMENT


def key_of(created_ms: int, place: Place) -> str:
    """Make the key of the record at a place."""
    created = created_ms.to_bytes(_TIME_BYTES)
    return (created + _PLACE.pack(*place) + os.urandom(_RANDOM_BYTES)).hex()


def place_of(key: str) -> Place:
    """Where the blob of a key lies, if it is packed; ``key`` is 40 hexadecimal digits."""
    return Place(*_PLACE_IN_KEY.unpack(bytes.fromhex(key)))


def holds_bodies(number: int) -> bool:
    """Whether the segment of this number is one of bodies."""
    return FIRST_OF_BODIES <= number <= LAST_OF_BODIES


def pack_header(key: str, length: int, checksum: int, distance: int) -> bytes:
    """The header of a live record."""
    raw = bytes.fromhex(key)
    judged = crc32(_HEADER.pack(MAGIC, _NO_STATE, length, distance, checksum, raw))
    return _JUDGED_HEADER.pack(MAGIC, _LIVE, length, distance, checksum, raw, judged)


def parse_header(data: bytes | bytearray, position: int, place: Place) -> Record | None:
    """The header at ``position`` of ``data``, which was read from ``place``.

    None for anything else than an undamaged header that was written for this place.
    """
    if len(data) - position < HEADER_BYTES:
        return None
    found = _JUDGED_HEADER.unpack_from(data, position)
    magic, state, length, distance, checksum, key, judged = found
    if magic != MAGIC:
        return None
    if crc32(_HEADER.pack(magic, _NO_STATE, length, distance, checksum, key)) != judged:
        return None
    if _PLACE_IN_KEY.unpack(key) != place:
        return None
    # No part of the checksum: a damaged one loses no blob.
    known = _STATES.get(state, State.LIVE)
    return Record(place.offset, known, length, distance, checksum, key.hex())


def live_checksum(header: bytes | bytearray, key: str, size: int) -> int | None:
    """The CRC-32 of a live blob of this key and size, by its record's header of ``HEADER_BYTES``.

    None for whatever is not plain: ``parse_header`` says more of it.
    """
    magic, state, length, distance, checksum, raw, judged = _JUDGED_HEADER.unpack(header)
    if state != _LIVE or length != size or magic != MAGIC or raw.hex() != key:
        return None
    expected = crc32(_HEADER.pack(MAGIC, _NO_STATE, size, distance, checksum, raw))
    return checksum if expected == judged else None
