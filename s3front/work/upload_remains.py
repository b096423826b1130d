"""Finishing what a crashed front-end left of completed and aborted uploads, and what the deletion
of a bucket leaves of its uploads.

A closing record that cannot be followed, and the note of a deleted bucket that cannot be, is set
aside as a dead letter, after some tries unless they cannot help: other uploads do not wait for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import orjson

from s3front.metadata import gateway
from s3front.metadata.bucket_store import BucketStore
from s3front.metadata.gateway import ChangedError
from s3front.metadata.upload_store import UploadStore
from s3front.s3_errors import S3Error
from s3front.work.dead_letters import set_aside, tries_of
from s3front.work.worker import Pace, Step, Tools
from shared.records.names import ENDED_UPLOADS, METASTORE, UPLOADS_PREFIX, USERS_BUCKET
from shared.records.upload import closing_key, uploads_level

PERIOD_SECONDS: Final = 120.0
"""Time between two looks through all buckets. Whoever gets the lease looks at once: the holder
before may have died in the middle of one."""

_PAGE_BUCKETS: Final = 50
_TRIES_MAX: Final = 5
_REQUEST_ID: Final = "uploads"


class UploadWorker:
    """Looks for uploads with a closing record: those of deleted buckets all the time, and now and
    then those of all buckets."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._metadata = tools.metadata
        self._uploads = UploadStore(tools.metadata, BucketStore(tools.metadata))
        self._log = tools.log
        self._waiting: set[str] = set()
        """Deleted buckets of which something was set back, until the next look everywhere."""
        self._look_at = tools.clock()
        self._after: str | None = None
        """How far a look everywhere has come, None when there is none under way."""
        self._finished = 0

    def status(self) -> Mapping[str, Any]:
        """How many uploads were finished, and which deleted buckets wait."""
        waiting = {"waiting": len(self._waiting)} if self._waiting else {}
        return {"done": self._finished, **waiting}

    async def step(self) -> Step:
        """Finish the uploads of some buckets."""
        if self._after is None and self._tools.clock() >= self._look_at:
            self._waiting.clear()
            self._after = ""
        deleted = await self._finish_deleted()
        if self._after is not None:
            await self._look_further(self._after)
        return Pace.BUSY if deleted or self._after is not None else Pace.IDLE

    async def _look_further(self, after: str) -> None:
        """Finish the uploads of the next buckets."""
        options = {"limit": _PAGE_BUCKETS, **({"gt": after} if after else {})}
        buckets = await self._metadata.keys(METASTORE, options, _REQUEST_ID)
        for bucket in buckets:
            # The original keeps entries for its users bucket and for uploads here.
            if bucket == USERS_BUCKET or bucket.startswith(UPLOADS_PREFIX):
                continue
            try:
                await self._finish(bucket)
            except S3Error as error:
                if error.status == 503:
                    raise
                self._log.warning(
                    "the uploads of a bucket cannot be looked at", bucket=bucket, reason=str(error)
                )
        self._after = buckets[-1] if len(buckets) == _PAGE_BUCKETS else None
        if self._after is None:
            self._look_at = self._tools.clock() + PERIOD_SECONDS

    async def _finish_deleted(self) -> int:
        """Finish the uploads of buckets that were deleted; how many buckets there were."""
        limit = {"limit": _PAGE_BUCKETS + len(self._waiting)}
        noted = await self._metadata.keys(ENDED_UPLOADS, limit, _REQUEST_ID)
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

    async def _finish(self, bucket: str) -> None:
        for upload_id in await self._uploads.closing(bucket):
            try:
                await self._uploads.close(bucket, upload_id)
                self._finished += 1
            except ChangedError:
                continue  # its own front-end was faster
            except ValueError as error:
                await self._set_back(*_place(bucket, upload_id), str(error), tries=1)
            except S3Error as error:
                if error.status == 503:
                    raise
                await self._set_back(*_place(bucket, upload_id), str(error), _TRIES_MAX)

    async def _set_back(self, level: str, key: str, reason: str, tries: int) -> None:
        """Count a failed try at what a record says; at the last of so many, set it aside."""
        (found,) = await self._metadata.get_each([(level, key)], _REQUEST_ID)
        if found is None:
            return
        document = found.document
        failed = tries_of(document) + 1
        if failed >= tries:
            self._log.error("an ended upload cannot be removed", level=level, reason=reason)
            now_ms = int(self._tools.wall_clock() * 1000)
            operations = set_aside(level, key, found.text, reason, now_ms)
        else:
            self._log.warning("an ended upload waits", level=level, reason=reason)
            text = orjson.dumps({**document, "tries": failed, "reason": reason}).decode()
            operations = [gateway.put(level, key, text)]
        # Another deletion of the bucket may have noted it anew.
        requirement = gateway.is_present(level, key)
        if found.revision is not None:
            requirement = gateway.has_revision(level, key, found.revision)
        with suppress(ChangedError):
            await self._metadata.commit(operations, [requirement], _REQUEST_ID)


def _place(bucket: str, upload_id: str) -> tuple[str, str]:
    """Where the closing record of an upload is."""
    return uploads_level(bucket), closing_key(upload_id)
