"""The compact extract of an object record that a listing prints. Pure.

The daemon derives it when it stores a record; nobody else writes one. A record that is not an
object document (or that somebody else's client wrote in another shape) has none, and listings read
the record itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from dmd.metadata import stored
from shared.records.names import holds_objects
from shared.records.projection_fields import SCHEMA, ListedObject, listed_object

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ListedObject).decode
_decode_many = msgspec.msgpack.Decoder(list[ListedObject]).decode
_ARRAY = b"\xdd"
"""How a msgpack array begins whose length takes four bytes."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_NOTHING_KNOWN = ListedObject()


def project(sub_level: Sequence[str], record: bytes) -> tuple[int, bytes]:
    """Schema number and msgpack bytes of the projection; ``(NO_PROJECTION, b"")`` for none."""
    if not holds_objects(sub_level):
        return stored.NO_PROJECTION, b""
    try:
        return SCHEMA, _encode(listed_object(record))
    except (*_UNREADABLE, OverflowError):
        # OverflowError: JSON holds integers that msgpack does not.
        return stored.NO_PROJECTION, b""


def listed(entry: stored.Stored) -> ListedObject:
    """What a stored value says to a listing: its projection, or its record when it has none."""
    try:
        if entry.schema == SCHEMA:
            return _decode(entry.projection)
        return listed_object(entry.record)
    except _UNREADABLE:
        return _NOTHING_KNOWN


def listed_values(items: Sequence[tuple[bytes, bytes]]) -> list[ListedObject]:
    """The same of the bytes that the store has at some keys; raises CorruptRecordError."""
    parts = stored.projections(items, SCHEMA)
    if parts is not None:
        # Together they are a msgpack array: one call of the decoder for all.
        with suppress(*_UNREADABLE):
            return _decode_many(_ARRAY + len(parts).to_bytes(4, "big") + b"".join(parts))
    return [listed(stored.unpack(key, value)) for key, value in items]
