"""Copying tags that were changed to where the object's bytes are, for those who look there.

The record says which tags these are, when an entry's turn comes: the newest win, whatever order
entries come in, and doing one twice does no harm. Those of one version are done one after the
other, so that older tags never come last.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any
from weakref import WeakValueDictionary

from s3front.locations.base import stored_blob
from s3front.locations.remote_store import RemoteStore
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.object_store import ObjectStore
from s3front.metadata.tag_changes import TAG_CHANGES, TagChange
from s3front.objects.object_record import ObjectRecord
from s3front.objects.versioning import Version
from s3front.s3_errors import S3Error
from s3front.work.outbox_worker import OutboxWorker
from s3front.work.place_failures import meaning
from s3front.work.worker import Tools
from shared.records.data_location import DataLocation

_REQUEST_ID = "tags"


class TagWorker(OutboxWorker[TagChange]):
    """See the module."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, TAG_CHANGES)
        # Nothing is written through it, so that the ID of the oldest version does not matter.
        self._objects = ObjectStore(tools.metadata, BucketStore(tools.metadata), "")
        self._turns: WeakValueDictionary[TagChange, asyncio.Lock] = WeakValueDictionary()

    def parse(self, document: Any) -> TagChange:
        return TagChange.parse(document)

    def places(self, item: TagChange) -> Collection[str]:
        return (item.location,)

    async def perform(self, item: TagChange) -> None:
        turn = self._turns.get(item)
        if turn is None:
            turn = self._turns[item] = asyncio.Lock()
        async with turn:
            wanted = [(item.key, Version.parse(item.version))]
            bucket, (found,) = await self._objects.read_versions(item.bucket, wanted, _REQUEST_ID)
            if bucket is None or found is None or found.record.is_delete_marker:
                return
            for location in found.record.locations:
                await self._put_tags(location, found.record)

    async def _put_tags(self, location: DataLocation, record: ObjectRecord) -> None:
        store = None
        try:
            store = self._tools.locations.holder(location)
            if isinstance(store, RemoteStore) and store.capabilities.tags:
                await store.put_tags(stored_blob(location), record.tags)
        except S3Error as error:
            failure = await meaning(error, location.store_name, store)
            if failure is error:
                raise
            raise failure from error
