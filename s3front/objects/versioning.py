"""Versions of objects: which one a request names, and what a write, a change or a deletion does to
the records of a key. Pure.

The daemon knows keys, versions and masters; what a null version is, and when one is preserved,
replaced or removed, is decided here, on what was read. The manual's section 7.1.4 has the rules:

1. *Enabled*: a write makes a new version. A master that is the null version is first stored under
   its own ID, the oldest there is if it has none, and the new version says which it is in
   ``nullVersionId``; later versions hand that on.
2. *Suspended*: a write makes the null version, at the master alone, and removes the one before:
   that of the master, or the one that the master names. The latter takes its data along.
3. *Never configured*: there is the master alone, and it has no ID.
4. A deletion that names no version stores a delete marker, by the same rules.

What a plan requires is no more than it was decided on, so that plain writers of one key never stand
in each other's way. Both kinds rest on the bucket's revision, and while that stands:

* Enabled, no null version comes into being, so that whatever becomes the master meanwhile names
  the same null version, or one that is gone. Only the null version itself, when the versions over
  it were deleted, must not be overwritten.
  When nobody has read the master, it must not name a null version either.
* Suspended, every write makes a null version at the master alone, which the next one replaces.

IDs are never used twice, so naming a version that is gone does no harm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Final

import msgspec

from s3front.objects.object_record import ObjectRecord
from s3front.s3_errors import S3Error
from shared import version_id
from shared.records.bucket import Versioning
from shared.records.derived import remembered

NULL_ID: Final = "null"
_SEPARATOR: Final = "\0"
_INTERNAL: Final = re.compile("[0-9]{20}[\x01-\x7f]{7,43}", re.DOTALL)
"""Internal IDs, as far as there is room for them behind a key."""


class Version(msgspec.Struct, frozen=True):
    """Which version of an object a request names: ``LATEST``, ``NULL``, or one by its internal
    ID."""

    id: str | None

    @classmethod
    def parse(cls, text: str | None, argument: str = "versionId") -> Version:
        """The version of a request's parameter; raises InvalidArgument for what cannot be one."""
        if text is None:
            return LATEST
        if text == NULL_ID:
            return NULL
        fields = {"ArgumentName": argument, "ArgumentValue": text}
        if not text:
            raise S3Error("InvalidArgument", "Version id cannot be the empty string", fields)
        try:
            decoded = version_id.decode(text)
        except ValueError:
            decoded = ""
        if _INTERNAL.fullmatch(decoded) is None:
            raise S3Error("InvalidArgument", "Invalid version id specified", fields)
        return cls(decoded)

    @property
    def is_specific(self) -> bool:
        return self.id is not None

    @property
    def shown(self) -> str:
        """As clients see it; not of the latest, which is none in particular."""
        assert self.id is not None
        return NULL_ID if self.id == NULL_ID else version_id.encode(self.id)


LATEST: Final = Version(None)
NULL: Final = Version(NULL_ID)


def with_version_id(record: ObjectRecord, made: str | None) -> ObjectRecord:
    """A record as it was stored, with the ID that the daemon made for it, if it made one."""
    return record if made is None else record.changed({"versionId": made})


def shown_id(record: ObjectRecord) -> str:
    """The ID of a record's version, as clients see it."""
    return remembered(record, _shown_id)


def _shown_id(record: ObjectRecord) -> str:
    if record.version_id is None or record.is_null_version:
        return NULL_ID
    return version_id.encode(record.version_id)


def version_headers(
    record: ObjectRecord, name: str = "x-amz-version-id", *, versioned: bool = False
) -> dict[str, str]:
    """The header that says which version it is.

    Without versions there is none. With them (``versioned``) reads and deletions call the null
    version so; the answer to a write that made one leaves it out, as AWS does.
    """
    if record.is_null_version and not versioned:
        return {}
    return {name: shown_id(record)}


# --- Where a version is stored ------------------------------------------------------------------


class Place(Enum):
    """Where a record is stored."""

    MASTER = auto()
    """At the key itself: the latest version."""
    OWN = auto()
    """At the key and its version ID."""
    NULL_KEY = auto()
    """At the key and an empty version ID: a null version, of a connector that stores it so."""


def stored_name(key: str, place: Place, record: ObjectRecord) -> str:
    """The key in the metadata store of a record that is at a place."""
    if place is Place.MASTER:
        return key
    return key + _SEPARATOR + ("" if place is Place.NULL_KEY else record.version_id or "")


class Lookup:
    """The search for one version. Its ``names`` are read in one snapshot and given to ``choose``,
    until that is content: which record is the null version may be told by another one."""

    def __init__(self, key: str, version: Version) -> None:
        self.place = Place.MASTER
        self._key = key
        self._version = version
        self._null_id: str | None = None

    @property
    def names(self) -> list[str]:
        """What to read: keys of the metadata store."""
        key, version = self._key, self._version
        if not version.is_specific:
            return [key]
        if version != NULL:
            return [key, f"{key}{_SEPARATOR}{version.id}"]
        named = [] if self._null_id is None else [f"{key}{_SEPARATOR}{self._null_id}"]
        return [key, key + _SEPARATOR, *named]

    def choose(self, records: Sequence[ObjectRecord | None]) -> tuple[bool, int | None]:
        """Whether that was all, and which of the records is the version; none of them for None.
        ``place`` says where it is."""
        master = records[0]
        if not self._version.is_specific:
            return True, None if master is None else 0
        if self._version != NULL:
            return True, self._choose_by_id(master, records[1])
        if master is not None and master.is_null_version:
            return True, self._at(Place.MASTER, 0)
        if records[1] is not None:
            return True, self._at(Place.NULL_KEY, 1)
        wanted = None if master is None else master.null_version_id
        if wanted != self._null_id:
            self._null_id = wanted
            if wanted is not None:
                return False, None
        if wanted is None or records[2] is None:
            return True, None
        return True, self._at(Place.OWN, 2)

    def _choose_by_id(self, master: ObjectRecord | None, own: ObjectRecord | None) -> int | None:
        # The latest version's master says at least as much as its copy. A null version has no ID
        # that anybody was ever told.
        for index, (place, record) in enumerate(((Place.MASTER, master), (Place.OWN, own))):
            if record is None or record.is_null_version:
                continue
            if record.version_id == self._version.id:
                return self._at(place, index)
        return None

    def _at(self, place: Place, index: int) -> int:
        self.place = place
        return index


# --- What becomes of the records ----------------------------------------------------------------


class Requires(Enum):
    """What a plan rests on, besides the bucket."""

    NOTHING = auto()
    UNCHANGED = auto()
    """The record that was read is still what it was."""
    NO_NULL_MASTER = auto()
    """Whatever is the master, it is not the null version."""
    NO_NULL_VERSION = auto()
    """Nor does it name one."""


NOTHING_REQUIRED: Final = Requires.NOTHING
"""By a name of the module, as most plans are asked for it."""


class Step(msgspec.Struct, frozen=True):
    """One operation on the key: a put of ``record``, or without one a deletion.

    ``options`` are the daemon's versioning options (docs/metadata-protocol.md). ``release``: data
    that no version is left to name goes to the deletion queue.
    """

    record: ObjectRecord | None
    options: Mapping[str, Any]
    release: bool


class Plan(msgspec.Struct, frozen=True):
    """Steps that take effect together; the last one makes the version that is answered."""

    steps: Sequence[Step]
    requires: Requires


def depending(plan: Plan) -> Plan:
    """The plan, when it was decided on the very record that was read, or on that there was none."""
    return Plan(plan.steps, Requires.UNCHANGED)


def plan_write(
    versioning: Versioning | None,
    master: ObjectRecord | None,
    record: ObjectRecord,
    oldest_id: str,
) -> Plan:
    """Make ``record`` the latest version of a key whose master was read.

    ``oldest_id`` is the version ID of what was stored before there were versions.
    """
    if versioning is None:
        return Plan((Step(record, {}, release=True),), NOTHING_REQUIRED)
    if versioning is Versioning.SUSPENDED:
        return _plan_null_version(master, record)
    new = {"versioning": True}
    if master is None or not master.is_null_version:
        named = None if master is None else master.null_version_id
        step = Step(_naming(record, named), new, release=False)
        return Plan((step,), Requires.NO_NULL_MASTER)
    null_id = master.version_id or oldest_id
    preserved = master.changed({"versionId": null_id, "isNull": True})
    return Plan(
        (
            Step(preserved, {"versionId": null_id}, release=False),
            Step(_naming(record, null_id), new, release=False),
        ),
        Requires.UNCHANGED,
    )


def plan_write_unread(versioning: Versioning | None, record: ObjectRecord) -> Plan:
    """The same of a key whose master was not read; not while versioning is suspended."""
    if versioning is None:
        return plan_write(versioning, None, record, "")
    assert versioning is Versioning.ENABLED, "what is replaced has to be known"
    return Plan((Step(record, {"versioning": True}, release=False),), Requires.NO_NULL_VERSION)


def _naming(record: ObjectRecord, null_id: str | None) -> ObjectRecord:
    return record if null_id is None else record.changed({"nullVersionId": null_id})


def _plan_null_version(master: ObjectRecord | None, record: ObjectRecord) -> Plan:
    replaced = None
    if master is not None:
        # A null version that is the master may have a copy under its ID: from a time when it was
        # not the latest.
        replaced = master.version_id if master.is_null_version else master.null_version_id
    steps = [] if replaced is None else [Step(None, {"versionId": replaced}, release=True)]
    options = {"versionId": "", "deleteNullKey": True}
    steps.append(Step(record.changed({"isNull": True}), options, release=True))
    return Plan(steps, Requires.NOTHING)


def plan_removal(
    versioning: Versioning | None,
    record: ObjectRecord | None,
    place: Place,
    *,
    judged: bool = False,
) -> Plan:
    """Remove a version for good; the next one becomes the latest. ``record`` is as it was read,
    None where it need not be: there are no versions. ``judged``: what it says has allowed this."""
    if record is None or (versioning is None and record.version_id is None):
        return Plan((Step(None, {}, release=True),), Requires.NOTHING)
    if place is Place.NULL_KEY:
        return Plan((Step(None, {"versionId": NULL_ID}, release=True),), Requires.UNCHANGED)
    if record.version_id is None:
        return Plan((Step(None, {}, release=True),), Requires.UNCHANGED)
    # An ID is never that of another version.
    requires = Requires.UNCHANGED if judged else Requires.NOTHING
    return Plan((Step(None, {"versionId": record.version_id}, release=True),), requires)


def plan_change(
    versioning: Versioning | None,
    old: ObjectRecord,
    place: Place,
    new: ObjectRecord,
    *,
    copied: bool = False,
) -> Plan:
    """Replace the record of a version; its master and its copy alike. ``copied``: it is known that
    a null version at the master has a copy, from when versioning was not suspended."""
    options: dict[str, Any] = {}
    if place is Place.NULL_KEY:
        options = {"versionId": NULL_ID}
    elif old.version_id is not None and (
        copied or place is Place.OWN or not old.is_null_version or versioning is Versioning.ENABLED
    ):
        # That of a null version which is the latest again, too, as the original does it.
        options = {"versionId": old.version_id}
    # While versioning is suspended a null version at the master stays there alone: a write that
    # replaces it at the same time would not know of a copy.
    return Plan((Step(new, options, release=False),), Requires.UNCHANGED)
