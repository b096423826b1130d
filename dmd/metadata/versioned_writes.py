"""The version state machine: what a versioned put or deletion changes, decided from what is stored.

Pure: it is given the records to read and returns the changes to make; the writer reads and applies
them in one transaction. Keys here are physical (``dmd.metadata.record_keys``), records the clients'
texts.

Rules (reference/dmd-wire.md, sections 6 and 7; the manual, section 7.1.3):

1. The *master* at ``key`` is a copy of the latest version. A version is at ``key NUL versionId``;
   a null version that is not the latest may be at the *null key*, ``key NUL``, instead. IDs are
   compared as text: a greater one is an older version.
2. A put with ``versioning`` makes a version and its master; with the version ID ``''`` the master
   alone, with an ID of its own; with ``'null'`` the null key alone. A put of version X writes it,
   and the master unless that is newer. A master that is a null version and no longer the latest is
   preserved: as a version when ``isNull`` is not given, at the null key when it is false.
3. When the latest version is deleted, the newest of the others becomes the master in the same
   change, out of the null key if it was there. The original puts a *placeholder for deletion*
   there and repairs it later; such a master, left behind by it, counts as the newest version that
   there is, and is replaced by it on the first occasion.
4. What a put was told to write is what is found there afterwards. (The original's legacy put of a
   null master's own ID leaves the old record at the version's key.)
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, Protocol

import msgspec

from shared.errors import ServiceError

NULL: Final = "null"
"""The version ID that names the null key."""

_SEPARATOR: Final = b"\0"
_AFTER_VERSIONS: Final = b"\x01"
_PLACEHOLDER_MARK: Final = b"isPHD"


class Records(Protocol):
    """The records of the store, without what the daemon keeps around them."""

    def get(self, key: bytes) -> bytes | None:
        """The record at ``key``."""

    def range(self, lower: bytes, upper: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and records with ``lower <= key < upper``, ascending."""


class VersionIds(msgspec.Struct, frozen=True):
    """``next`` makes an ID newer than all before; ``infinite`` is older than any."""

    next: Callable[[], str]
    infinite: str


class PutVersion(msgspec.Struct, frozen=True):
    """Store ``record`` as a version; ``version_id`` None makes a new one.

    ``is_null`` None is a client that knows no null keys. ``delete_null_key`` goes with the version
    ID ``''``.
    """

    key: bytes
    record: bytes
    version_id: str | None = None
    is_null: bool | None = None
    delete_null_key: bool = False


class DeleteVersion(msgspec.Struct, frozen=True):
    """Remove a version; with ``is_null`` the one at the null key."""

    key: bytes
    version_id: str
    is_null: bool = False


class RepairMaster(msgspec.Struct, frozen=True):
    """Replace a placeholder for deletion by the newest version, or by nothing."""

    key: bytes


Request = PutVersion | DeleteVersion | RepairMaster


class Decision(msgspec.Struct, frozen=True):
    """Records to store by key, None for those to remove.

    ``subject`` is the key of the record that the request replaces or removes; ``version_id`` the
    answer to the client.
    """

    changes: Mapping[bytes, bytes | None]
    subject: bytes
    version_id: str | None = None


class _Header(msgspec.Struct, gc=False):
    """The members of a record that decisions rest on."""

    version_id_member: Any = msgspec.field(default=None, name="versionId")
    is_null: Any = msgspec.field(default=None, name="isNull")
    is_null2: Any = msgspec.field(default=None, name="isNull2")
    is_placeholder: Any = msgspec.field(default=None, name="isPHD")

    @property
    def version_id(self) -> str | None:
        value = self.version_id_member
        return value if isinstance(value, str) else None


_decode_header = msgspec.json.Decoder(_Header).decode


def put_request(key: bytes, record: bytes, options: Mapping[str, Any]) -> PutVersion | None:
    """What the options of a put ask for; None for a put without versions.

    Raises InvalidArgument when they are malformed, or when the record cannot be a version.
    """
    if not options:
        return None
    version_id = version_id_of(options)
    if version_id is None and options.get("versioning") in (None, False, 0):
        return None
    is_null = options.get("isNull")
    if is_null is not None and type(is_null) is not bool:
        raise ServiceError("InvalidArgument", "option 'isNull' must be true or false")
    text = record.strip()
    if version_id != NULL and not (text.startswith(b"{") and text.endswith(b"}")):
        raise ServiceError("InvalidArgument", "the value of a version must be a JSON object")
    return PutVersion(key, record, version_id, is_null, bool(options.get("deleteNullKey")))


def delete_request(key: bytes, options: Mapping[str, Any]) -> DeleteVersion | None:
    """What the options of a deletion ask for; None for that of the master alone."""
    version_id = version_id_of(options)
    if not version_id:
        return None
    return DeleteVersion(key, version_id, bool(options.get("isNull")))


def version_id_of(options: Mapping[str, Any]) -> str | None:
    """The option ``versionId``, None when it is not given; raises InvalidArgument."""
    value = options.get("versionId")
    if value is None or value is False:
        return None
    if not isinstance(value, str):
        raise ServiceError("InvalidArgument", "option 'versionId' must be a string")
    return value


def version_key(key: bytes, version_id: str) -> bytes:
    """Where a version is stored; ``'null'`` is the null key."""
    return key + _SEPARATOR + (b"" if version_id == NULL else version_id.encode())


def is_placeholder(record: bytes) -> bool:
    """Whether a record stands for a master that was deleted."""
    return _PLACEHOLDER_MARK in record and bool(_header(record).is_placeholder)


def version_id_in(record: bytes) -> str | None:
    """The version ID that a record carries."""
    return _header(record).version_id


def versions(records: Records, key: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Keys and records of the versions that have a key of their own, the newest first."""
    return records.range(key + _SEPARATOR + b"\0", key + _AFTER_VERSIONS)


def newest(records: Records, key: bytes) -> bytes | None:
    """The record of the newest version besides the master; None when there is none."""
    found = _successor(records, key, frozenset())
    return None if found is None else found[1]


def decide(records: Records, request: Request, ids: VersionIds) -> Decision:
    """What a request changes."""
    if isinstance(request, PutVersion):
        return _put(records, request, ids)
    if isinstance(request, DeleteVersion):
        return _delete(records, request)
    changes: dict[bytes, bytes | None] = {}
    _repaired(records, request.key, changes)
    return Decision(changes, request.key)


def _put(records: Records, request: PutVersion, ids: VersionIds) -> Decision:
    key, record, version_id = request.key, request.record, request.version_id
    if version_id is None:
        made = ids.next()
        value = _appended(record, "versionId", made)
        return Decision({key: value, version_key(key, made): value}, key, made)
    if version_id == "":
        made = ids.next()
        changes: dict[bytes, bytes | None] = {key: _appended(record, "versionId", made)}
        if request.delete_null_key:
            changes[version_key(key, NULL)] = None
        return Decision(changes, key, made)
    if version_id == NULL:
        null_key = version_key(key, NULL)
        return Decision({null_key: record}, null_key, NULL)
    return _put_specific(records, request, version_id, ids.infinite)


def _put_specific(
    records: Records, request: PutVersion, version_id: str, infinite: str
) -> Decision:
    """A put of a version that has an ID already: a new one from elsewhere, or a change of one."""
    key = request.key
    own_key = version_key(key, version_id)
    changes: dict[bytes, bytes | None] = {}
    master = _repaired(records, key, changes)
    value = request.record
    if master is None:
        changes[key] = value
    elif (header := _header(master)).version_id is None or header.version_id >= version_id:
        changes[key] = _superseded(master, header, request, infinite, changes)
    elif request.is_null is True and not header.is_null:
        changes[version_key(key, NULL)] = value
        changes[own_key] = None
    if request.is_null is not True:
        changes[own_key] = value
    return Decision(changes, _subject(records, key, version_id, own_key), version_id)


def _superseded(
    master: bytes,
    header: _Header,
    request: PutVersion,
    infinite: str,
    changes: dict[bytes, bytes | None],
) -> bytes:
    """Preserve a master that a put of the same or a newer version takes the place of; the record
    of the new master."""
    key, is_null = request.key, request.is_null
    master_id = header.version_id
    if is_null is not None and header.is_null and not header.is_null2 and master_id:
        # An older client's copy of the same null version.
        changes[version_key(key, master_id)] = None
    if master_id == request.version_id and is_null is not None:
        return request.record
    null_id = None
    if master_id is None:
        null_id = infinite
    elif header.is_null:
        null_id = master_id
    if is_null is True:
        if null_id is None:
            changes[version_key(key, NULL)] = None
        return request.record
    if null_id is None:
        return request.record
    members: dict[str, Any] = {"versionId": null_id}
    if is_null is False:
        changes[version_key(key, NULL)] = _with(master, members | {"isNull2": True, "isNull": True})
        return request.record
    changes[version_key(key, null_id)] = _with(master, members | {"isNull": True})
    if master_id == request.version_id:
        return request.record
    return _with(request.record, {"nullVersionId": null_id})


def _delete(records: Records, request: DeleteVersion) -> Decision:
    key, version_id = request.key, request.version_id
    own_key = version_key(key, NULL if request.is_null else version_id)
    changes: dict[bytes, bytes | None] = {own_key: None}
    if version_id == NULL:
        return Decision(changes, own_key, NULL)
    subject = _subject(records, key, version_id, own_key)
    master = records.get(key)
    if master is not None:
        header = _header(master)
        if header.version_id == version_id:
            # No copy of what is deleted may come back as the next master.
            changes[version_key(key, version_id)] = None
            null_record = records.get(version_key(key, NULL))
            if null_record is not None and version_id_in(null_record) == version_id:
                changes[version_key(key, NULL)] = None
        if header.version_id == version_id or is_placeholder(master):
            _promote(records, key, changes)
    return Decision(changes, subject, version_id)


def _subject(records: Records, key: bytes, version_id: str, own_key: bytes) -> bytes:
    """The key that holds the version: its own, or the master's when it is there alone."""
    if records.get(own_key) is None:
        master = records.get(key)
        if master is not None and version_id_in(master) == version_id:
            return key
    return own_key


def _repaired(records: Records, key: bytes, changes: dict[bytes, bytes | None]) -> bytes | None:
    """The master, after a placeholder was replaced."""
    master = records.get(key)
    if master is None or not is_placeholder(master):
        return master
    return _promote(records, key, changes)


def _promote(records: Records, key: bytes, changes: dict[bytes, bytes | None]) -> bytes | None:
    """Make the newest version that ``changes`` leaves the master; None when there is none."""
    found = _successor(records, key, changes.keys())
    if found is None:
        changes[key] = None
        return None
    place, record = found
    changes[key] = record
    if place == version_key(key, NULL):
        changes[place] = None
    return record


def _successor(
    records: Records, key: bytes, without: Collection[bytes]
) -> tuple[bytes, bytes] | None:
    """Key and record of the newest version beside the master, ``without`` some keys.

    The null key sorts before all versions, so its place among them is that of the ID within.
    """
    null_key = version_key(key, NULL)
    null_record = None if null_key in without else records.get(null_key)
    for place, record in versions(records, key):
        if place in without:
            continue
        if null_record is not None:
            null_id = version_id_in(null_record)
            if null_id is not None and version_key(key, null_id) < place:
                break
        return place, record
    return None if null_record is None else (null_key, null_record)


def _header(record: bytes) -> _Header:
    """The header of a record; an empty one when it is no JSON object."""
    try:
        return _decode_header(record)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Header()


def _appended(record: bytes, name: str, value: Any) -> bytes:
    """The text of an object with a member more, at its end; the rest of the text is untouched."""
    body = record.rstrip()[:-1]
    comma = b"" if body.rstrip().endswith(b"{") else b","
    return body + comma + msgspec.json.encode(name) + b":" + msgspec.json.encode(value) + b"}"


def _with(record: bytes, members: Mapping[str, Any]) -> bytes:
    """A record with these members; one that is no object, and can be no version, as it is."""
    try:
        document = json.loads(record)
    except (ValueError, RecursionError):
        return record
    if not isinstance(document, dict):
        return record
    if all(document.get(name, value) == value for name, value in members.items()):
        for name, value in members.items():
            if name not in document:
                record = _appended(record, name, value)
        return record
    document.update(members)
    return json.dumps(document, separators=(",", ":")).encode()
