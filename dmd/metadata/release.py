"""The deletion queue: data that no record owns any more (DESIGN, section 3). Pure.

A record that is replaced or removed with ``release`` gives up the data locations that it names:
they are queued under the sub-level ``..deletions`` in the same transaction, so that neither a crash
nor a lost answer can forget them. Keys begin with the time of the commit, so that the queue is read
in the order in which its entries fall due. Whoever removes data reads the queue, deletes, and then
removes the entries; deleting twice does no harm.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from dmd.metadata import record_keys
from shared.records.names import DELETIONS

_TIME_DIGITS = 14
_REVISION_DIGITS = 20
ENTRY_NAME_BYTES = _TIME_DIGITS + 1 + _REVISION_DIGITS


class _Owner(msgspec.Struct, gc=False):
    """The members of an object or part record that name its data, unparsed."""

    location: msgspec.Raw = msgspec.Raw(b"null")
    parts: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"), name="partLocations")


class _Location(msgspec.Struct, frozen=True, gc=False):
    """What identifies one stretch of data: its key, in its location, which may have versions."""

    key: str
    store: str | None = msgspec.field(default=None, name="dataStoreName")
    version: str | None = msgspec.field(default=None, name="dataStoreVersionId")


_decode = msgspec.json.Decoder(_Owner).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_location = msgspec.json.Decoder(_Location | str).decode


def queue_key(time_ms: int, revision: int) -> bytes:
    """The physical key of an entry."""
    return record_keys.prefix([DELETIONS]) + entry_name(time_ms, revision)


def entry_name(time_ms: int, revision: int) -> bytes:
    """The key of an entry in its queue, this one or any other: behind those of earlier commits, as
    long as the clock is not set back."""
    return b"%0*d.%0*d" % (_TIME_DIGITS, time_ms, _REVISION_DIGITS, revision)


def queue_entry(record: bytes) -> bytes | None:
    """The entry for a record that gives its data up; None when it names none."""
    location = _location(record)
    return None if location is None else b'{"location":' + location + b"}"


def queue_entry_of_lost(replaced: Iterable[bytes], remaining: Iterable[bytes]) -> bytes | None:
    """The entry for the data that ``replaced`` records named and no ``remaining`` one names.

    The records are the copies of one object's versions, so data that is kept by any of them is
    kept.
    """
    lost: dict[_Location | bytes, bytes] = {}
    for record in replaced:
        lost.update(_stretches(record))
    for record in remaining:
        for stretch in _stretches(record):
            lost.pop(stretch, None)
    return b'{"location":[' + b",".join(lost.values()) + b"]}" if lost else None


def _stretches(record: bytes) -> dict[_Location | bytes, bytes]:
    """The stretches of data that a record names: what identifies each, and its JSON text."""
    location = _location(record)
    if location is None:
        return {}
    try:
        texts = [bytes(raw) for raw in _decode_list(location)]
    except msgspec.DecodeError:
        texts = [location]
    return {_identity(text): text for text in texts}


def _identity(text: bytes) -> _Location | bytes:
    try:
        found = _decode_location(text)
    except msgspec.DecodeError:
        return text
    # Objects from before model version 2 have the key alone.
    return _Location(found) if isinstance(found, str) else found


def _location(record: bytes) -> bytes | None:
    """The JSON text of what a record says about its data; None when it names none."""
    try:
        owner = _decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    location = bytes(owner.location)
    if location == b"null":
        location = bytes(owner.parts)
    return None if location in (b"null", b"[]") else location
