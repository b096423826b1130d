"""The compact extract of an object record that a listing prints. Pure.

The daemon derives it when it stores a record; nobody else writes one. A record that is not an
object document (or that somebody else's client wrote in another shape) has none, and listings read
the record itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from typing import ClassVar

import msgspec
from msgspec.structs import astuple

from dmd.metadata import stored
from shared.records import listed_rows
from shared.records.listed_rows import OWN_MEMBERS
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


class ShownObject(msgspec.Struct, frozen=True, gc=False):
    """An object that a listing shows, neither a delete marker nor a placeholder, as a row of a page
    has it (``shared.records.listed_rows``): its own members, and what it may share with others,
    both encoded."""

    is_delete_marker: ClassVar[bool] = False
    is_placeholder: ClassVar[bool] = False

    members: bytes
    common: bytes
    version_id: str | None


_common_of = attrgetter("common")


def shown_values(items: Sequence[tuple[bytes, bytes]]) -> list[ShownObject | ListedObject]:
    """What ``listed_values`` says, but of objects that are shown only what a page of them needs.

    Most objects of a bucket have the same members behind their own ones. The next projection that
    ends in the same bytes has them, too: the three flags are among those, and no two bytes like
    them follow each other in a text, which is UTF-8, nor do they end a number, behind which there
    are eight members more. So they are its flags, and what is around them is what it is here.
    """
    parts = stored.projections(items, SCHEMA)
    if parts is None:
        parts = [_encode(listed(stored.unpack(key, value))) for key, value in items]
    found: list[ShownObject | ListedObject] = []
    end: bytes | None = None
    behind, common, version_id = 0, b"", None
    for part in parts:
        if end is None or not part.endswith(end):
            value = _decode(part)
            if value.is_delete_marker or value.is_placeholder:
                found.append(value)
                continue
            end = _encode(astuple(value)[OWN_MEMBERS:])[1:]
            behind, version_id = -len(end), value.version_id
            common = _encode(listed_rows.common_of(value))
        found.append(ShownObject(part[1:behind], common, version_id))
    return found


def page_rows(contents: Sequence[tuple[str, ShownObject]]) -> bytes:
    """The objects of a page, encoded."""
    keys = [key for key, _ in contents]
    runs: list[bytes] = []
    start = 0
    for common, run in groupby([shown for _, shown in contents], key=_common_of):
        members = [shown.members for shown in run]
        stop = start + len(members)
        runs.append(listed_rows.encode_run(common, keys[start:stop], members))
        start = stop
    return listed_rows.encode_page(runs)
