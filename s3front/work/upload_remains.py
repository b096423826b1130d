"""Finishing what a crashed front-end left of completed and aborted uploads, and what the deletion
of a bucket leaves of its uploads.

A closing record that cannot be followed, and the note of a deleted bucket that cannot be, is set
aside as a dead letter, after some tries unless they cannot help: other uploads do not wait for it.
"""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

import orjson

from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, MetadataGateway
from s3front.metadata.upload_store import UploadStore
from s3front.s3_errors import S3Error
from s3front.work.dead_letters import set_aside, tries_of
from shared.process.logs import EventLog
from shared.records.names import ENDED_UPLOADS, METASTORE, UPLOADS_PREFIX, USERS_BUCKET
from shared.records.upload import closing_key, uploads_level

PERIOD_SECONDS = 120.0
"""Time between two looks through all buckets."""

_PAGE_BUCKETS = 50
_TRIES_MAX = 5
_REQUEST_ID = "uploads"


class UploadWorker:
    """Looks for uploads with a closing record."""

    def __init__(self, metadata: MetadataGateway, uploads: UploadStore, log: EventLog) -> None:
        self._metadata = metadata
        self._uploads = uploads
        self._log = log
        self._waiting: set[str] = set()
        """Deleted buckets of which something was set back, until the next look everywhere."""

    async def look_everywhere(self) -> int:
        """Finish the uploads of all buckets; how many there were."""
        self._waiting.clear()
        count = 0
        for bucket in await self._metadata.keys(METASTORE, {}, _REQUEST_ID):
            # The original keeps entries for its users bucket and for uploads here.
            if bucket == USERS_BUCKET or bucket.startswith(UPLOADS_PREFIX):
                continue
            try:
                count += await self._finish(bucket)
            except S3Error as error:
                if error.status == 503:
                    raise
                self._log.warning(
                    "the uploads of a bucket cannot be looked at", bucket=bucket, reason=str(error)
                )
        return count

    async def finish_deleted(self) -> int:
        """Finish the uploads of buckets that were deleted; how many buckets there were."""
        noted = await self._metadata.keys(ENDED_UPLOADS, {}, _REQUEST_ID)
        buckets = [bucket for bucket in noted if bucket not in self._waiting][:_PAGE_BUCKETS]
        addresses = [(ENDED_UPLOADS, bucket) for bucket in buckets]
        read = await self._metadata.get_each(addresses, _REQUEST_ID)
        for bucket, found in zip(buckets, read, strict=True):
            try:
                await self._finish(bucket)
                is_done = not await self._uploads.closing(bucket)
            except S3Error as error:
                if error.status == 503:
                    raise
                is_done = False
                await self._set_back(ENDED_UPLOADS, bucket, str(error), _TRIES_MAX)
            if not is_done:
                # The note of a bucket is all that leads to what was set back.
                self._waiting.add(bucket)
                continue
            # Unless another bucket of the name was deleted meanwhile.
            requires = []
            if found is not None and found.revision is not None:
                requires = [gateway.has_revision(ENDED_UPLOADS, bucket, found.revision)]
            operation = gateway.delete(ENDED_UPLOADS, bucket)
            with suppress(ChangedError):
                await self._metadata.commit([operation], requires, _REQUEST_ID)
        return len(buckets)

    async def _finish(self, bucket: str) -> int:
        closing = await self._uploads.closing(bucket)
        for upload_id in closing:
            try:
                await self._uploads.close(bucket, upload_id)
            except ChangedError:
                continue  # its own front-end was faster
            except ValueError as error:
                await self._set_back(*_place(bucket, upload_id), str(error), tries=1)
            except S3Error as error:
                if error.status == 503:
                    raise
                await self._set_back(*_place(bucket, upload_id), str(error), _TRIES_MAX)
        return len(closing)

    async def _set_back(self, level: str, key: str, reason: str, tries: int) -> None:
        """Count a failed try at what a record says; at the last of so many, set it aside."""
        (found,) = await self._metadata.get_each([(level, key)], _REQUEST_ID)
        if found is None:
            return
        document = _document(found.text)
        failed = tries_of(document) + 1
        if failed >= tries:
            self._log.error("an ended upload cannot be removed", level=level, reason=reason)
            operations = set_aside(level, key, found.text, reason, int(time.time() * 1000))
        else:
            self._log.warning("an ended upload waits", level=level, reason=reason)
            text = orjson.dumps({**document, "tries": failed, "reason": reason}).decode()
            operations = [gateway.put(level, key, text)]
        with suppress(ChangedError):
            requires = [gateway.is_present(level, key)]
            await self._metadata.commit(operations, requires, _REQUEST_ID)


def _place(bucket: str, upload_id: str) -> tuple[str, str]:
    """Where the closing record of an upload is."""
    return uploads_level(bucket), closing_key(upload_id)


def _document(text: str | None) -> dict[str, Any]:
    try:
        document = orjson.loads(text or "")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
