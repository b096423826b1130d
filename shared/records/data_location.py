"""Data locations: where the bytes of an object or a part are, as its record says. Pure.

Forms that records hold, of the original and ours (reference/dmd-wire.md, section 5):

* a list of documents ``{key, size, start, dataStoreName, dataStoreType, dataStoreETag, …}``;
* one such document, of a part from before there were lists;
* the key alone, a string, of an object from before model version 2; also as an entry of a list.

A location keeps all members of its document: those that this release does not know say how the
bytes are to be read (``cipheredDataKey``), or where they are (``dataStoreVersionId``).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

import msgspec

from shared.records.members import SIZE_MAX, UnreadableRecordError, whole_number

_ENCRYPTION: Final = frozenset(
    (
        "cryptoScheme",
        "cipheredDataKey",
        # Those of parts; the original gives them the names above when it completes the upload.
        "sseCryptoScheme",
        "sseCipheredDataKey",
    )
)

_OF_PARTS: Final = {"sseCryptoScheme": "cryptoScheme", "sseCipheredDataKey": "cipheredDataKey"}

STORED_SIZE: Final = "storedSize"
"""Member of a data location (ours): the size of its blob, where it is another than ``size``."""

_PART_ETAG: Final = re.compile(r"[0-9]+:([0-9a-f]{32})\Z")
_MD5: Final = re.compile(r"[0-9a-f]{32}\Z")

UPLOAD_ID: Final = "dataStoreUploadId"
"""Member of a data location (ours) that makes it an upload of parts at its place, and no blob."""

_WITH_OWN_ETAGS: Final = ("aws_s3", "azure", "gcp")

_members: Final = itemgetter(
    "key", "size", "start", "dataStoreName", "dataStoreType", "dataStoreETag"
)
_USUAL: Final = (str, int, int, str, str, str)
"""What ``_members`` are in all that is written today."""


class DataLocation(msgspec.Struct, frozen=True, gc=False):
    """One stretch of an object's bytes: ``size`` bytes from offset ``start`` of the object.

    ``members`` is the document that it was read from, None for one that is made here.
    """

    key: str
    size: int
    start: int
    store_name: str
    store_type: str
    store_etag: str
    members: Mapping[str, Any] | None = None

    def document(self) -> dict[str, Any]:
        return {
            **(self.members or {}),
            "key": self.key,
            "size": self.size,
            "start": self.start,
            "dataStoreName": self.store_name,
            "dataStoreType": self.store_type,
            "dataStoreETag": self.store_etag,
        }

    @property
    def stored_size(self) -> int:
        """The size of its blob, where that is not the size of the object's bytes. In bytes."""
        members = self.members
        if members is None or STORED_SIZE not in members:
            return self.size
        found = whole_number(members[STORED_SIZE])
        return self.size if found is None else found

    @property
    def is_encrypted(self) -> bool:
        """Whether what is stored is not the object's bytes but what a key makes of them."""
        members = self.members
        if members is None or _ENCRYPTION.isdisjoint(members):
            return False
        return any(members.get(name) is not None for name in _ENCRYPTION)


def completed_members(members: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Members of a part's location as those of its object: the original has other names there for
    how a part is encrypted."""
    if members is None or _OF_PARTS.keys().isdisjoint(members):
        return members
    return {_OF_PARTS.get(name, name): value for name, value in members.items()}


def data_locations(entries: Any, size: int | None) -> list[DataLocation]:
    """The data locations of a record's member, in order.

    ``size`` is that of the whole, for records from before every entry had its own; None where sizes
    do not matter, and those that are not said are 0. Raises UnreadableRecordError for what names
    data in a way that is not known: guessing would serve wrong bytes.
    """
    if entries is None:
        return []
    only = _usual(entries)
    if only is not None:
        return [only]
    if not isinstance(entries, list):
        entries = [entries]
    documents = [_document(entry) for entry in entries]
    silent = len(documents) > 1 and any(document.get("size") is None for document in documents)
    if size is not None and silent:
        raise UnreadableRecordError("which of the data locations holds how many bytes is not said")
    locations = []
    end = 0
    for document in documents:
        location = _location(document, size or 0, end)
        end = location.start + location.size
        locations.append(location)
    return locations


def _usual(entries: Any) -> DataLocation | None:
    """The location of nearly every record, which has just one that says all: for a fifth of what it
    costs to look at it member by member."""
    if type(entries) is not list or len(entries) != 1:
        return None
    (document,) = entries
    try:
        members = _members(document)
    except (KeyError, TypeError):
        return None
    if tuple(map(type, members)) != _USUAL:
        return None
    key, size, start, store_name, store_type, store_etag = members
    if not (0 <= size <= SIZE_MAX and 0 <= start <= SIZE_MAX):
        return None
    return DataLocation(key, size, start, store_name, store_type, store_etag, document)


def known_md5s(locations: Sequence[DataLocation], etag: str) -> list[str | None]:
    """The MD5 of what each of a record's locations has stored, in hex; None where nobody knows it.

    ``dataStoreETag`` has that of a part. A part may lie in several pieces, of which each has it,
    and then it is of none of them. Of a record's only location ``etag``, the record's own, is as
    good. Where the data is encrypted, both are of what it was before, and nothing is known. Clouds
    have ETags of their own there, which look like an MD5 and need not be one.
    """
    pairs = zip(locations, plain_md5s(locations, etag), strict=True)
    return [None if location.is_encrypted else md5 for location, md5 in pairs]


def plain_md5s(locations: Sequence[DataLocation], etag: str) -> list[str | None]:
    """The same of the object's bytes, be they stored encrypted or not."""
    pieces = Counter(location.store_etag for location in locations)
    whole = etag if len(locations) == 1 and _MD5.match(etag) else None
    return [_plain_md5(location, pieces[location.store_etag], whole) for location in locations]


def _plain_md5(location: DataLocation, pieces: int, whole: str | None) -> str | None:
    match = _PART_ETAG.match(location.store_etag)
    if match is not None and location.store_type not in _WITH_OWN_ETAGS:
        return match[1] if pieces == 1 else None
    return whole


def _document(entry: Any) -> Mapping[str, Any]:
    document = {"key": entry} if isinstance(entry, str) else entry
    if not isinstance(document, dict) or not isinstance(document.get("key"), str):
        raise UnreadableRecordError("a data location has no key")
    return document


def _location(document: Mapping[str, Any], whole: int, behind: int) -> DataLocation:
    """One location; ``whole`` and ``behind`` are size and start of one that does not say them."""
    size, start = document.get("size"), document.get("start")
    size = whole if size is None else whole_number(size)
    start = behind if start is None else whole_number(start)
    if size is None or start is None:
        raise UnreadableRecordError("size or start of a data location is no number")
    return DataLocation(
        key=document["key"],
        size=size,
        start=start,
        store_name=str(document.get("dataStoreName") or ""),
        store_type=str(document.get("dataStoreType") or ""),
        store_etag=str(document.get("dataStoreETag") or ""),
        members=document,
    )
