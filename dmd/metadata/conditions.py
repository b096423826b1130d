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

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from dmd.metadata import record_keys, stored
from dmd.metadata.engines.base import Reader
from dmd.metadata.projection import listed
from shared.errors import ServiceError
from shared.rpc.envelope import is_sub_level


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
_USUAL_MEMBERS: Final = 3
"""A sub-level, a key and a revision, and so no second form."""
_PLAIN_FORMS: Final[Mapping[tuple[str, bool], Callable[[bytes], Requirement]]] = {
    ("absent", True): partial(IsPresent, present=False),
    ("present", True): partial(IsPresent, present=True),
    ("isNull", False): IsNoNullVersion,
    ("nullVersion", False): NamesNoNullVersion,
}
_NULL_VERSION_NAME: Final = b'"nullVersionId"'


def parse(wire: Any, key_bytes_max: int) -> Requirement:
    """One requirement from its wire form; raises InvalidArgument when it is of no known form."""
    if isinstance(wire, dict) and len(wire) == _USUAL_MEMBERS:
        revision, sub_level, key = wire.get("revision"), wire.get("subLevel"), wire.get("key")
        if type(revision) is int and isinstance(key, str) and is_sub_level(sub_level):
            return HasRevision(record_keys.physical(sub_level, key, key_bytes_max), revision)
    return parse_any(wire, key_bytes_max)


def parse_any(wire: Any, key_bytes_max: int) -> Requirement:
    """The same of any requirement: most name a revision."""
    if not isinstance(wire, dict) or not is_sub_level(wire.get("subLevel")):
        raise ServiceError("InvalidArgument", "a requirement needs a subLevel")
    stated = wire.keys() & _FORMS
    if len(stated) != 1:
        # Of two, one would go unheeded.
        raise ServiceError("InvalidArgument", f"a requirement states one of {', '.join(_FORMS)}")
    form = stated.pop()
    key, value = wire.get("key"), wire[form]
    if form == "empty":
        if isinstance(value, Mapping):
            return IsEmpty(*record_keys.range_of(wire["subLevel"], value))
    elif isinstance(key, str) and (made := _of_a_key(form, value)) is not None:
        return made(record_keys.physical(wire["subLevel"], key, key_bytes_max))
    raise ServiceError("InvalidArgument", "a requirement is not of a known form")


def _of_a_key(form: str, value: Any) -> Callable[[bytes], Requirement] | None:
    """What a form with this value requires of a key; None when it is no known one."""
    if form == "revision":
        return partial(HasRevision, revision=value) if type(value) is int else None
    return _PLAIN_FORMS.get((form, value)) if type(value) is bool else None
