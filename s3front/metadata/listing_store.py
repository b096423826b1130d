"""Listings, in terms of the metadata RPC: objects and versions of a bucket, buckets of an account.

The daemon makes the pages, next to the data, and sends no more than a listing prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec
import orjson
from msgspec import convert

from s3front.metadata.gateway import MetadataGateway
from shared.listing.delimiter import Query
from shared.listing.delimiter_versions import VersionsQuery
from shared.records.listed_rows import Run, decode_page, runs_of
from shared.records.names import USERS_BUCKET, owner_entry_key
from shared.records.projection_fields import ListedObject


class ObjectsPage(msgspec.Struct, frozen=True, gc=False):
    """A page of a listing; ``next_marker`` is empty when it is the last one. ``within``: it lies in
    a common prefix that was not listed yet."""

    runs: Sequence[Run]
    common_prefixes: Sequence[str]
    is_truncated: bool
    next_marker: str
    within: bool

    @property
    def keys(self) -> int:
        """How many objects there are."""
        return sum(len(run.keys) for run in self.runs)

    @property
    def last_key(self) -> str | None:
        """The last of them."""
        return self.runs[-1].keys[-1] if self.runs else None


class _Answer(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """A page of objects as it comes. Bytes may be base64 there."""

    contents: bytes | list[tuple[str, ListedObject]]
    common_prefixes: list[str]
    is_truncated: bool
    next_marker: str = ""
    within: bool = False


class VersionsPage(msgspec.Struct, frozen=True, gc=False, rename="pascal"):
    """A page of versions: key, internal version ID or None, whether it is the latest, and the
    rest. Without ``next_version_id_marker`` the next page begins behind all versions of the key."""

    versions: list[tuple[str, str | None, bool, ListedObject]]
    common_prefixes: list[str]
    is_truncated: bool
    next_key_marker: str = ""
    next_version_id_marker: str | None = None


class ListingStore:
    """What is in buckets, and which there are."""

    def __init__(self, metadata: MetadataGateway) -> None:
        self._metadata = metadata

    async def objects(self, bucket: str, query: Query, request_id: str) -> ObjectsPage:
        """A page of a bucket's current objects, listed by the daemon.

        Its rows are packed, unless it knows only others.
        """
        params = {
            "type": "DelimiterMaster",
            "prefix": query.prefix,
            "delimiter": query.delimiter,
            "marker": query.after,
            "maxKeys": query.keys_max,
            "within": query.within,
        }
        answer = await self._metadata.list_page(bucket, params, request_id, packed=True)
        page = convert(answer, _Answer)
        found = page.contents
        runs = runs_of(found) if isinstance(found, list) else decode_page(found)
        common_prefixes, truncated = page.common_prefixes, page.is_truncated
        return ObjectsPage(runs, common_prefixes, truncated, page.next_marker, page.within)

    async def versions(self, bucket: str, query: VersionsQuery, request_id: str) -> VersionsPage:
        """A page of all versions of a bucket's objects, listed by the daemon."""
        params = {
            "type": "DelimiterVersions",
            "prefix": query.prefix,
            "delimiter": query.delimiter,
            "keyMarker": query.key_marker,
            "versionIdMarker": query.version_id_marker,
            "maxKeys": query.keys_max,
        }
        return convert(await self._metadata.list_page(bucket, params, request_id), VersionsPage)

    async def buckets(
        self, canonical_id: str, request_id: str
    ) -> list[tuple[str, Mapping[str, Any]]]:
        """Name and entry of every bucket of an account, by name."""
        start = owner_entry_key(canonical_id, "")
        # The splitter ends with a full stop; the next character bounds all entries of the owner.
        options = {"gte": start, "lt": start[:-1] + "/"}
        buckets: list[tuple[str, Mapping[str, Any]]] = []
        async with aclosing(self._metadata.pages(USERS_BUCKET, options, request_id)) as pages:
            async for page in pages:
                buckets += [(key.removeprefix(start), _entry(value)) for key, value in page]
        return buckets


def _entry(value: str) -> Mapping[str, Any]:
    """A bucket's entry in the list of an account. One that is none has nothing to tell."""
    try:
        found = orjson.loads(value)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
