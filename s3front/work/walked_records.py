"""A walk over the records of all objects and uploads, a page at a time, from where it was left.

Buckets and keys are taken in their order, so what comes in behind the walk is not seen by it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import aclosing
from typing import Any, Final

import msgspec

from s3front.metadata.gateway import MetadataGateway
from shared.records.names import METASTORE, SPLITTER, UPLOADS_PREFIX, USERS_BUCKET
from shared.records.upload import OVERVIEW_PREFIX, parse_overview_key, uploads_level

PAGE_RECORDS: Final = 200
PAGE_UPLOADS: Final = 10
PAGE_PARTS: Final = 200
"""Of all uploads of a page together. An upload may have 10,000."""

_BUCKETS: Final = 50
_BEHIND: Final = chr(ord(SPLITTER[-1]) + 1)
"""What comes behind the splitter, in place of its last character."""

_BEHIND_OVERVIEWS: Final = OVERVIEW_PREFIX[:-1] + _BEHIND
_REQUEST_ID: Final = "record-walk"


class Position(msgspec.Struct, frozen=True):
    """Behind the key ``after`` of a bucket's objects, or of its ``uploads``; of the upload that is
    next, behind its ``part`` of this key. The first of all is that of no bucket."""

    bucket: str = ""
    uploads: bool = False
    after: str = ""
    part: str = ""


class Page(msgspec.Struct, frozen=True):
    """Records of one sub-level, by their keys, and where the next page begins; None: there is
    none. The records of an upload's parts come with it: ``parts``, by the key of its overview. One
    that has many of them comes again with the next page, and more."""

    bucket: str
    level: str
    records: Sequence[tuple[str, str]]
    next: Position | None
    parts: Mapping[str, Sequence[tuple[str, str]]] = msgspec.field(default_factory=dict)


class RecordWalk:
    """Reads pages; ``bucket``: of this one alone, without its uploads."""

    def __init__(self, metadata: MetadataGateway, bucket: str | None = None) -> None:
        self._metadata = metadata
        self._bucket = bucket

    async def page(self, at: Position) -> Page | None:
        """The page at a position; None where nothing is left. Raises S3Error."""
        if not at.bucket:
            first = self._bucket or await self._bucket_behind("")
            if first is None:
                return None
            at = Position(first)
        if at.uploads:
            return await self._page_of_uploads(at)
        return await self._page_of_objects(at)

    async def _page_of_objects(self, at: Position) -> Page:
        records = await self._range(at.bucket, {"gt": at.after} if at.after else {}, PAGE_RECORDS)
        if len(records) == PAGE_RECORDS:
            behind: Position | None = Position(at.bucket, after=records[-1][0])
        else:
            behind = None if self._bucket is not None else Position(at.bucket, uploads=True)
        return Page(at.bucket, at.bucket, records, behind)

    async def _page_of_uploads(self, at: Position) -> Page:
        level = uploads_level(at.bucket)
        bounds = {"gt": at.after or OVERVIEW_PREFIX, "lt": _BEHIND_OVERVIEWS}
        overviews = await self._range(level, bounds, PAGE_UPLOADS)
        parts: dict[str, list[tuple[str, str]]] = {}
        before, left = at.after, PAGE_PARTS
        for index, (key, _) in enumerate(overviews):
            upload = parse_overview_key(key)[1] + SPLITTER
            # The upload that the position is of may have ended.
            begin = at.part if at.part.startswith(upload) else upload
            bounds = {"gt": begin, "lt": upload[:-1] + _BEHIND}
            parts[key] = found = await self._range(level, bounds, left)
            left -= len(found)
            if not left:
                within = Position(at.bucket, True, before, found[-1][0])
                return Page(at.bucket, level, overviews[: index + 1], within, parts)
            before = key
        if len(overviews) == PAGE_UPLOADS:
            behind: Position | None = Position(at.bucket, uploads=True, after=overviews[-1][0])
        else:
            following = await self._bucket_behind(at.bucket)
            behind = None if following is None else Position(following)
        return Page(at.bucket, level, overviews, behind, parts)

    async def _range(
        self, level: str, bounds: Mapping[str, Any], limit: int
    ) -> list[tuple[str, str]]:
        options = {**bounds, "limit": limit}
        found: list[tuple[str, str]] = []
        async with aclosing(self._metadata.pages(level, options, _REQUEST_ID)) as pages:
            async for page in pages:
                found += page
        return found

    async def _bucket_behind(self, bucket: str) -> str | None:
        while True:
            options = {"limit": _BUCKETS, **({"gt": bucket} if bucket else {})}
            names = await self._metadata.keys(METASTORE, options, _REQUEST_ID)
            for name in names:
                # The original keeps entries for its users bucket and for uploads here.
                if name != USERS_BUCKET and not name.startswith(UPLOADS_PREFIX):
                    return name
            if len(names) < _BUCKETS:
                return None
            bucket = names[-1]
