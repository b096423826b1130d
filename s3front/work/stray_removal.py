"""Removing what was stored in places that others run and never became an object's.

The journal (``s3front.metadata.strays``) says what that may be. A note that has become as old as
garbage collection lets blobs become is taken in two steps: it is condemned, in a commit that
requires it to be still there, and then what has its mark is removed, wherever that is. A note of a
location that is not configured any more waits until it is again.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec.structs import replace

from s3front.locations.base import ObjectInfo
from s3front.metadata.strays import Stray
from s3front.s3_errors import S3Error
from s3front.work.outbox_worker import MoreToDoError, OutboxWorker
from s3front.work.place_failures import meaning
from s3front.work.worker import Tools
from shared.records.names import STRAYS


class StrayWorker(OutboxWorker[Stray]):
    """See the module."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, STRAYS, tools.stray_seconds)
        self._locations = tools.locations

    def parse(self, document: Any) -> Stray:
        return Stray.parse(document)

    def places(self, item: Stray) -> Collection[str]:
        # To condemn a note takes nothing but the metadata.
        return (item.location,) if item.condemned else ()

    async def perform(self, item: Stray) -> None:
        if not item.condemned:
            raise MoreToDoError(replace(item, condemned=True).document())
        info = ObjectInfo(item.bucket, item.key, "", {})
        store = None
        try:
            store = self._locations.remote(item.location)
            await store.remove_strays(info, item.mark)
        except S3Error as error:
            failure = await meaning(error, item.location, store)
            if failure is error:
                raise
            raise failure from error
