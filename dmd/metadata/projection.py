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
from msgspec.structs import astuple, replace

from dmd.metadata import stored
from shared.records import listed_rows
from shared.records.listed_rows import OWN_MEMBERS
from shared.records.names import holds_objects
from shared.records.projection_fields import SCHEMA, ListedObject, listed_object, members_of

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ListedObject).decode
_decode_many = msgspec.msgpack.Decoder(list[ListedObject]).decode
_ARRAY = b"\xdd"
"""How a msgpack array begins whose length takes four bytes."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_NOTHING_KNOWN = ListedObject()

_VERSION_ID = ListedObject.__struct_fields__.index("version_id")

# How msgpack begins values (the specification's table of formats).
_NIL = 0xC0
_TEXT = 0xA0
_TEXT_END = _TEXT + 32
"""A text of fewer than 32 bytes begins with its length and ``_TEXT``, together in a byte."""
_TEXT_8 = 0xD9
"""A longer one, of fewer than 256: its length is the next byte."""
_SHORT = frozenset((_NIL, *range(_TEXT, _TEXT_END)))
_NUMBER_BYTES = {**dict.fromkeys(range(128), 1), 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9}
"""The bytes of a number that is not negative, by the first of them."""
_TIME = _TEXT + 24
"""How the usual last-modified begins. It is the first member, behind the head of the array."""
_NUMBER_AT = 1 + 1 + 24
"""Where the content-length is behind one."""


def project(sub_level: Sequence[str], record: bytes) -> tuple[int, bytes]:
    """Schema number and msgpack bytes of the projection; ``(NO_PROJECTION, b"")`` for none."""
    if not holds_objects(sub_level):
        return stored.NO_PROJECTION, b""
    try:
        return SCHEMA, _encode(members_of(record))
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
    """An object that a listing shows, neither a delete marker nor a placeholder: its projection as
    it is stored, the members of it that a row has of its own (``shared.records.listed_rows``), and
    what others share, both encoded."""

    is_delete_marker: ClassVar[bool] = False
    is_placeholder: ClassVar[bool] = False
    is_always_shown: ClassVar[bool] = True

    projection: bytes
    members: bytes
    common: bytes

    @property
    def version_id(self) -> str | None:
        """As in ``ListedObject``; hardly anybody asks."""
        return _decode(self.projection).version_id


_common_of = attrgetter("common")
_members_of = attrgetter("members")


class _Likeness(msgspec.Struct, frozen=True, gc=False):
    """A projection, for those that follow it: what is before its version ID and behind its own
    members, how the ID begins and how many bytes it takes, what is behind it; and its common."""

    before: bytes
    version: int
    version_bytes: int
    after: bytes
    common: bytes


def shown_values(items: Sequence[tuple[bytes, bytes]]) -> list[ShownObject | ListedObject]:
    """What ``listed_values`` says, but of objects that are shown only what a page of them needs.

    Most objects of a bucket differ in their own members and version IDs alone. So of each, the
    lengths of those are looked up, and the rest is compared with the last one that was decoded.
    """
    parts = stored.projections(items, SCHEMA)
    if parts is not None:
        with suppress(*_UNREADABLE, IndexError):
            return _shown(parts)
    return _shown([_encoded(listed(stored.unpack(key, value))) for key, value in items])


def _encoded(value: ListedObject) -> bytes:
    """The projection of a record that has none, or an unreadable one."""
    try:
        return _encode(value)
    except OverflowError:
        return _encode(replace(value, content_length=None))  # a number that no listing shows


def _shown(parts: Sequence[bytes]) -> list[ShownObject | ListedObject]:
    """What projections say."""
    found: list[ShownObject | ListedObject] = []
    widths = _NUMBER_BYTES
    before, after, common, version, apart = b"", b"", b"", 0, -1
    rest: bytes | None = None
    for part in parts:
        # Where its own members end, when they are of the usual kinds.
        own = 0
        if part[1] == _TIME and (width := widths.get(part[_NUMBER_AT])) is not None:
            start = _NUMBER_AT + width
            kind = part[start]
            if kind == _TEXT_8:
                own = start + 2 + part[start + 1]
            elif _TEXT <= kind < _TEXT_END:
                own = start + 1 + kind - _TEXT
        # Without versions, all that follows is the same.
        if not own or (
            part[own:] != rest
            and not (
                len(part) == own + apart
                and part.startswith(before, own)
                and part[own + len(before)] == version
                and part.endswith(after)
            )
        ):
            value = _decode(part)
            if value.is_delete_marker or value.is_placeholder:
                found.append(value)
                continue
            own = len(_encode(astuple(value)[:OWN_MEMBERS]))
            like = _likeness(value)
            before, after, common, version = like.before, like.after, like.common, like.version
            apart = len(before) + like.version_bytes + len(after)
            rest = part[own:] or None
        found.append(ShownObject(part, part[1:own], common))
    return found


def _likeness(value: ListedObject) -> _Likeness:
    members = astuple(value)
    version = _encode(value.version_id)
    return _Likeness(
        _encode(members[OWN_MEMBERS:_VERSION_ID])[1:],
        # A longer one does not tell its length by its first byte, and is like no other.
        version[0] if version[0] in _SHORT else -1,
        len(version),
        _encode(members[_VERSION_ID + 1 :])[1:],
        _encode(listed_rows.common_of(value)),
    )


def page_rows(contents: Sequence[tuple[str, ShownObject]]) -> bytes:
    """The objects of a page, encoded."""
    keys, found = zip(*contents, strict=True)
    runs: list[bytes] = []
    start = 0
    for common, run in groupby(found, key=_common_of):
        members = [*map(_members_of, run)]
        stop = start + len(members)
        runs.append(listed_rows.encode_run(common, keys[start:stop], members))
        start = stop
    return listed_rows.encode_page(runs)
