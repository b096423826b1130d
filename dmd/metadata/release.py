"""The deletion queue: data that no record owns any more (DESIGN, section 3). Pure.

A record that is replaced or removed with ``release`` gives up the data locations that it names:
they are queued under the sub-level ``..deletions`` in the same transaction, so that neither a crash
nor a lost answer can forget them. Keys begin with the time of the commit, so that the queue is read
in the order in which its entries fall due. Whoever removes data reads the queue, deletes, and then
removes the entries; deleting twice does no harm.
"""

from __future__ import annotations

import msgspec

from dmd.metadata import keys
from shared.records.names import DELETIONS

_TIME_DIGITS = 14
_REVISION_DIGITS = 20


class _Owner(msgspec.Struct, gc=False):
    """The members of an object or part record that name its data, unparsed."""

    location: msgspec.Raw = msgspec.Raw(b"null")
    parts: msgspec.Raw = msgspec.field(default=msgspec.Raw(b"null"), name="partLocations")


_decode = msgspec.json.Decoder(_Owner).decode


def queue_key(time_ms: int, revision: int) -> bytes:
    """The physical key of an entry."""
    name = f"{time_ms:0{_TIME_DIGITS}}.{revision:0{_REVISION_DIGITS}}"
    return keys.prefix([DELETIONS]) + name.encode()


def queue_entry(record: bytes) -> bytes | None:
    """The entry for a record that gives its data up; None when it names none."""
    try:
        owner = _decode(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    location = bytes(owner.location)
    if location == b"null":
        location = bytes(owner.parts)
    return None if location in (b"null", b"[]") else b'{"location":' + location + b"}"
