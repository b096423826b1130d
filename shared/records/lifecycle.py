"""What a lifecycle rule asks of an object's version. Pure.

A rule also goes by tags and by where the data is, which no listing prints; so this is read in the
record, not in the projection beside it.
"""

from __future__ import annotations

import msgspec

from shared.records.projection_fields import ListedDocument, ListedObject, decoded, listed_members


class LifecycleObject(ListedObject, frozen=True, gc=False, array_like=True):
    """What listings print of a version, and then these."""

    data_store: str | None = None
    tags: dict[str, str] | None = None


class _Document(ListedDocument, frozen=True, gc=False):
    data_store: str | None = msgspec.field(default=None, name="dataStoreName")
    tags: dict[str, str] | None = None


_decode = msgspec.json.Decoder(_Document).decode
_NOTHING_KNOWN = LifecycleObject()


def lifecycle_object(record: bytes | str) -> LifecycleObject:
    """What a record says to a lifecycle rule; nothing when it is no object document."""
    try:
        document = decoded(record, _Document, _decode)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _NOTHING_KNOWN
    members = (*listed_members(document), document.data_store, document.tags)
    return LifecycleObject(*members)
