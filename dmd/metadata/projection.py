"""The compact extract of an object record that a listing prints. Pure.

The daemon derives it when it stores a record; nobody else writes one. A record that is not an
object document (or that somebody else's client wrote in another shape) has none, and listings read
the record itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dmd.metadata import stored
from shared.records.names import holds_objects
from shared.records.projection import SCHEMA, ListedObject, listed_object

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ListedObject).decode

_NOTHING_KNOWN = ListedObject()


def project(sub_level: Sequence[str], record: bytes) -> tuple[int, bytes]:
    """Schema number and msgpack bytes of the projection; ``(NO_PROJECTION, b"")`` for none."""
    if not holds_objects(sub_level):
        return stored.NO_PROJECTION, b""
    try:
        return SCHEMA, _encode(listed_object(record))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError):
        # OverflowError: JSON holds integers that msgpack does not.
        return stored.NO_PROJECTION, b""


def listed(entry: stored.Stored) -> ListedObject:
    """What a stored value says to a listing: its projection, or its record when it has none."""
    known = entry.schema == SCHEMA
    return _listed(entry.schema, entry.projection if known else entry.record)


def listed_value(key: bytes, value: bytes) -> ListedObject:
    """The same of the bytes that the store has at ``key``; raises CorruptRecordError."""
    schema, part = stored.unpack_listed(key, value)
    if schema in (SCHEMA, stored.NO_PROJECTION):
        return _listed(schema, part)
    return listed(stored.unpack(key, value))  # a projection of another layout


def _listed(schema: int, part: bytes) -> ListedObject:
    try:
        return _decode(part) if schema == SCHEMA else listed_object(part)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _NOTHING_KNOWN
