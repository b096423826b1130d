"""Which of Azure's blobs is the one that a record names. Pure.

An ETag changes with every write, and is kept in the record. New metadata changes it as well: with
new tags the blob says itself, beside its mark, with which ETag it was stored. Whatever else is
found under the name was written by somebody else; it is not read as ours, and not deleted.

Blobs of CloudServer's have neither. Its records say the MD5 of the object (``dataStoreETag``,
``1:<MD5>``), and Azure that of a blob put at once: where both do, they have to be the same. Such a
blob is deleted if it bears no mark, as one of ours may have got the name since.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from s3front.locations.azure_names import FIRST_ETAG_NAME, MARK_NAME, PLACEHOLDER_NAME
from s3front.locations.base import Stored
from s3front.locations.remote_store import MARK, UPLOAD, PlaceError, Trouble, mark_of

ETAG: Final = "dataStoreBlobETag"
"""The member of a data location that says with which ETag Azure stored its blob."""

_STORE_ETAG: Final = "dataStoreETag"
_WHOLE_MD5: Final = re.compile(r"1:([0-9a-f]{32})")


class Seen(NamedTuple):
    """A blob as Azure describes it: ``size`` in bytes, ``metadata`` with names as they are kept,
    ``md5`` in hex if there is one."""

    etag: str
    size: int
    metadata: Mapping[str, str]
    md5: str | None

    def said(self, name: str) -> str | None:
        """What its metadata says; Azure looks at no case of names."""
        for key, value in self.metadata.items():
            if key.lower() == name:
                return value
        return None

    @property
    def is_placeholder(self) -> bool:
        return self.said(PLACEHOLDER_NAME) is not None


def etag_of(blob: Stored) -> str | None:
    """The ETag that a blob was stored with; None where its record says none: CloudServer's."""
    found = blob.extra.get(ETAG)
    return found if isinstance(found, str) else None


def said_etag(etag: object) -> str:
    """The ETag of an answer, which says none where it is not Azure's. Raises PlaceError."""
    if not etag:
        raise PlaceError(Trouble.BROKEN, "an answer about a blob has no ETag")
    return str(etag)


def is_marked(seen: Seen, mark: str | None) -> bool:
    """Whether a blob bears this mark."""
    return mark is not None and seen.said(MARK_NAME) == mark


def is_recorded(blob: Stored, seen: Seen) -> bool:
    """Whether a blob that was found is that of the record, with the bytes that it was stored
    with."""
    if seen.size != blob.size:
        return False
    etag = etag_of(blob)
    if etag is not None:
        return seen.etag == etag or _is_retagged(blob, seen, etag)
    found = _WHOLE_MD5.fullmatch(str(blob.extra.get(_STORE_ETAG)))
    return found is None or seen.md5 is None or found[1] == seen.md5


def may_go(blob: Stored, seen: Seen) -> bool:
    """Whether a blob that was found is what is to be deleted: that of a record, or whatever an
    upload has become."""
    if UPLOAD in blob.extra:
        return is_marked(seen, mark_of(blob))
    return is_recorded(blob, seen) and (MARK in blob.extra or seen.said(MARK_NAME) is None)


def _is_retagged(blob: Stored, seen: Seen, etag: str) -> bool:
    return seen.said(FIRST_ETAG_NAME) == etag and is_marked(seen, mark_of(blob))
