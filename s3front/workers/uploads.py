"""Finishing what a crashed front-end left of completed and aborted uploads."""

from __future__ import annotations

from contextlib import aclosing, suppress

from s3front.metadata.gateway import ChangedError, MetadataGateway
from s3front.metadata.uploads import UploadStore
from shared.records.names import METASTORE, USERS_BUCKET

_REQUEST_ID = "uploads"


class UploadWorker:
    """Looks through all buckets for uploads with a closing record."""

    def __init__(self, metadata: MetadataGateway, uploads: UploadStore) -> None:
        self._metadata = metadata
        self._uploads = uploads

    async def run_once(self) -> None:
        buckets: list[str] = []
        async with aclosing(self._metadata.pages(METASTORE, {}, _REQUEST_ID)) as pages:
            async for page in pages:
                # The original keeps an entry for its users bucket here.
                buckets += [name for name, _ in page if name != USERS_BUCKET]
        for bucket in buckets:
            for upload_id in await self._uploads.closing(bucket):
                with suppress(ChangedError):  # its own front-end was faster
                    await self._uploads.close(bucket, upload_id)
