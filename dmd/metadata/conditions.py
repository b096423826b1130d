"""Requirements that a batch may state about the store (DESIGN, "Revisions and conditions"). Pure.

A requirement names a record or a range in any sub-level. The writer evaluates all requirements of
a batch in the transaction that applies it: when one does not hold, nothing of the batch is written
and the client learns which one it was.

On the wire a requirement is one of::

    {"subLevel": [...], "key": k, "revision": n}     the record exists with that revision
    {"subLevel": [...], "key": k, "absent": true}
    {"subLevel": [...], "key": k, "present": true}
    {"subLevel": [...], "key": k, "isNull": false}   there is none, or it is no null version: it has
                                                     a version ID, and does not say ``isNull``
    {"subLevel": [...], "key": k, "nullVersion": false}
                                                     there is none, or what is there shows that a
                                                     null version is neither there nor named
    {"subLevel": [...], "empty": {gt|gte|lt|lte}}    no key in the range; {} is the whole sub-level
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

import msgspec

from dmd.metadata import record_keys, stored
from dmd.metadata.engines.base import Reader
from dmd.metadata.projection import listed
from shared.errors import ServiceError


class HasRevision(msgspec.Struct, frozen=True):
    key: bytes
    revision: int

    def holds(self, reader: Reader) -> bool:
        value = reader.get(self.key)
        return value is not None and stored.unpack(self.key, value).revision == self.revision


class IsPresent(msgspec.Struct, frozen=True):
    key: bytes
    present: bool

    def holds(self, reader: Reader) -> bool:
        return (reader.get(self.key) is not None) is self.present


class IsNoNullVersion(msgspec.Struct, frozen=True):
    key: bytes

    def holds(self, reader: Reader) -> bool:
        value = reader.get(self.key)
        if value is None:
            return True
        found = listed(stored.unpack(self.key, value))
        return found.version_id is not None and not found.is_null


class NamesNoNullVersion(msgspec.Struct, frozen=True):
    """For a new version that nobody has read the master for: as above, nor is a null version named
    there, which the new master would have to go on naming. A placeholder for deletion shows nothing
    of it, nor does a record that is no object."""

    key: bytes

    def holds(self, reader: Reader) -> bool:
        value = reader.get(self.key)
        if value is None:
            return True
        entry = stored.unpack(self.key, value)
        found = listed(entry)
        if not found.version_id or found.is_null or found.is_placeholder:
            return False
        # Wherever in the record: to be read in vain does no harm.
        return _NULL_VERSION_NAME not in entry.record


class IsEmpty(msgspec.Struct, frozen=True):
    lower: bytes
    upper: bytes

    def holds(self, reader: Reader) -> bool:
        return next(iter(reader.range(self.lower, self.upper)), None) is None


Requirement = HasRevision | IsPresent | IsNoNullVersion | NamesNoNullVersion | IsEmpty
_FORMS = ("revision", "absent", "present", "isNull", "nullVersion", "empty")
_NULL_VERSION_NAME: Final = b'"nullVersionId"'


def parse(wire: Any, key_bytes_max: int) -> Requirement:
    """One requirement from its wire form; raises InvalidArgument when it is of no known form."""
    if not isinstance(wire, dict) or not is_sub_level(wire.get("subLevel")):
        raise ServiceError("InvalidArgument", "a requirement needs a subLevel")
    sub_level = wire["subLevel"]
    if len(wire.keys() & _FORMS) != 1:
        # Of two, one would go unheeded.
        raise ServiceError("InvalidArgument", f"a requirement states one of {', '.join(_FORMS)}")
    match wire:
        case {"key": str() as key, "revision": int() as revision} if not isinstance(revision, bool):
            return HasRevision(record_keys.physical(sub_level, key, key_bytes_max), revision)
        case {"key": str() as key, "absent": True}:
            return IsPresent(record_keys.physical(sub_level, key, key_bytes_max), present=False)
        case {"key": str() as key, "present": True}:
            return IsPresent(record_keys.physical(sub_level, key, key_bytes_max), present=True)
        case {"key": str() as key, "isNull": False}:
            return IsNoNullVersion(record_keys.physical(sub_level, key, key_bytes_max))
        case {"key": str() as key, "nullVersion": False}:
            return NamesNoNullVersion(record_keys.physical(sub_level, key, key_bytes_max))
        case {"empty": Mapping() as options}:
            return IsEmpty(*record_keys.range_of(sub_level, options))
    raise ServiceError("InvalidArgument", "a requirement is not of a known form")


def is_sub_level(value: Any) -> TypeGuard[list[str]]:
    """Whether ``value`` is a sub-level path: a list of strings."""
    try:
        "".join(value)  # in C what is asked of every key of every call: whether all are texts
    except TypeError:
        return False
    return isinstance(value, list)
