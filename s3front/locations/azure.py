"""A container of Azure Blob Storage as a location.

REST: https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api; CloudServer's use
of it: ``reference/cloudserver-features.md``, section 5.

**Nothing is overwritten.** Azure replaces a blob in place, whatever it is. Bytes that are all here
are put on the condition that the name is free (If-None-Match: *), which Azure decides in the moment
of writing; a blob whose bytes are still to come has its name reserved by a placeholder first
(``azure_blocks``). A name that is taken is not used.

**Which blob is ours** is told by its ETag (``azure_recognition``).

**Tags** are kept as CloudServer does it, in the metadata, not as tags of Azure's index: those take
a permission of their own, which neither the role Storage Blob Data Contributor nor most signatures
have, allow fewer characters than S3, and are not had in accounts with folders (hierarchical
namespaces).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlockState

from s3front.locations.azure_blocks import (
    BLOCKS_OF_A_BODY_MAX,
    BLOCKS_OF_A_PART_MAX,
    BlockBody,
    Blocks,
    Source,
    block_sizes,
    crc64,
    crc64_bytes,
    new_blocks,
)
from s3front.locations.azure_client import (
    SINGLE_PUT_BYTES_MAX,
    AzureContainer,
    Download,
    content_settings,
    in_task,
    upload_headers,
)
from s3front.locations.azure_copy import Original, copy_blob
from s3front.locations.azure_errors import (
    CONDITION_CODES,
    LOST_BLOCKS_CODES,
    MISSING_CODES,
    TAKEN_CODES,
    error_code,
)
from s3front.locations.azure_look import look_at_container
from s3front.locations.azure_names import (
    MARK_NAME,
    PLACEHOLDER_NAME,
    blob_metadata,
    blob_names,
    retagged,
)
from s3front.locations.azure_recognition import (
    ETAG,
    Seen,
    etag_of,
    is_marked,
    is_recorded,
    may_go,
    said_etag,
)
from s3front.locations.base import Capabilities, DataNotFoundError, ObjectInfo, Stored
from s3front.locations.remote_store import (
    MARK,
    PART_OF,
    UPLOAD,
    Finding,
    PlaceError,
    RemoteStore,
    Trouble,
    UploadedPart,
    mark_of,
    named,
)
from s3front.s3_errors import S3Error

_BLOCKS: Final = "dataStoreBlocks"
"""The member of a part's location that says which blocks it is of."""

_GATHERED_BYTES_MAX: Final = 1024 * 1024
"""A body of so many bytes is put at once: for one request instead of three."""

_NO_ANSWER: Final = frozenset({Trouble.SILENT, Trouble.UNREACHED})

_PARTS_MAX: Final = 10_000
_PART_BYTES_MAX: Final = 5 * 1024**3
_RETAG_TRIES: Final = 5


class AzureStore(RemoteStore):
    """See ``base.DataStore`` and ``RemoteStore``. Make it inside the event loop; ``close`` it."""

    def __init__(self, container: AzureContainer) -> None:
        self._container = container
        self._bucket_match = container.details.bucket_match

    @property
    def type(self) -> str:
        return "azure"

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            ranges=True,
            multipart=True,
            copy=True,
            tags=True,
            create_only=True,
            checksums=True,
            encryption=True,
            part_bytes_max=_PART_BYTES_MAX,
            parts_max=_PARTS_MAX,
        )

    async def close(self) -> None:
        await self._container.close()

    # -- Writing ----------------------------------------------------------------------------------

    async def put(
        self, size: int, body: bytes | AsyncGenerator[bytes, None], info: ObjectInfo, mark: str = ""
    ) -> Stored:
        if isinstance(body, bytes):
            return await self._put_bytes(body, info, mark)
        source = Source(body)
        try:
            if size <= _GATHERED_BYTES_MAX:
                return await self._put_bytes(await source.gather(size), info, mark)
            return await self._put_stream(size, source, info, mark)
        finally:
            await source.close()

    async def _put_bytes(self, data: bytes, info: ObjectInfo, mark: str) -> Stored:
        metadata = blob_metadata(info, mark)
        with self._container.answers("a blob to be stored"):
            for name in blob_names(info, mark, bucket_match=self._bucket_match):
                answer = await self._create(name, data, info, metadata)
                if answer is not None:
                    md5 = answer.get("content_md5")
                    return _stored(name, len(data), said_etag(answer.get("etag")), mark, md5)
        raise PlaceError(Trouble.BROKEN, "a name that was made for one blob is taken")

    async def _create(
        self, name: str, data: bytes, info: ObjectInfo, metadata: dict[str, str]
    ) -> Mapping[str, Any] | None:
        """Put a blob under a name that is free; None when it is not."""
        try:
            return await in_task(
                self._container.blob(name).upload_blob(
                    data,
                    length=len(data),
                    overwrite=False,
                    metadata=metadata,
                    content_settings=content_settings(info),
                    validate_content=len(data) <= _GATHERED_BYTES_MAX,
                )
            )
        except HttpResponseError as error:
            if error_code(error) in TAKEN_CODES:
                return None
            raise

    async def _put_stream(self, size: int, source: Source, info: ObjectInfo, mark: str) -> Stored:
        upload = await self.begin_upload(info, mark)
        try:
            if size <= SINGLE_PUT_BYTES_MAX:
                return await self._put_at_once(upload, size, source, info)
            sizes = block_sizes(size, BLOCKS_OF_A_BODY_MAX)
            blocks = await self._stage(upload.key, 0, sizes, source)
            await source.end()
            return await self._commit(upload, blocks.ids(0), size, info)
        except Exception as error:
            # What a cancelled request leaves is in the journal of strays.
            await self._take_back(upload, error)
            raise

    async def _take_back(self, upload: Stored, failure: Exception) -> None:
        """Remove the placeholder of what has failed. Where it is left, as Azure does not answer,
        that is what is raised: PlaceError, SILENT."""
        left = failure if isinstance(failure, PlaceError) else None
        if left is None or left.trouble not in _NO_ANSWER:
            left = None
            try:
                await self.delete(upload)
            except PlaceError as error:
                left = error
        if left is not None:
            raise PlaceError(Trouble.SILENT, f"a placeholder is left: {left.reason}")

    async def _put_at_once(
        self, upload: Stored, size: int, source: Source, info: ObjectInfo
    ) -> Stored:
        """Put a body in place of its placeholder; Azure says its MD5 then, and keeps it."""
        mark = mark_of(upload) or ""
        headers = upload_headers(info, blob_metadata(info, mark), etag_of(upload))

        async def ask(body: BlockBody) -> Mapping[str, Any]:
            return await self._container.upload(upload.key, body, size, headers)

        with self._container.answers("a blob to be stored"):
            said = await in_task(self._send(ask, size, source, whole=True))
        source.check()
        etag = said_etag(said.get("ETag"))
        return _stored(upload.key, size, etag, mark, said.get("Content-MD5"))

    # -- Uploads of parts -------------------------------------------------------------------------

    async def begin_upload(self, info: ObjectInfo, mark: str) -> Stored:
        metadata = {MARK_NAME: mark, PLACEHOLDER_NAME: "1"}
        with self._container.answers("a name to be reserved"):
            for name in blob_names(info, mark, bucket_match=self._bucket_match):
                answer = await self._create(name, b"", info, metadata)
                if answer is not None:
                    etag = said_etag(answer.get("etag"))
                    extra = {UPLOAD: mark, MARK: mark, ETAG: etag}
                    return Stored(name, 0, etag=etag, extra=extra)
        raise PlaceError(Trouble.BROKEN, "a name that was made for one blob is taken")

    async def put_part(
        self, upload: Stored, number: int, size: int, body: bytes | AsyncGenerator[bytes, None]
    ) -> Stored:
        source: Source | bytes = body if isinstance(body, bytes) else Source(body)
        try:
            sizes = block_sizes(size, BLOCKS_OF_A_PART_MAX)
            blocks = await self._stage(upload.key, number, sizes, source)
            if isinstance(source, Source):
                await source.end()
        finally:
            if isinstance(source, Source):
                await source.close()
        extra = {PART_OF: upload.extra[UPLOAD], _BLOCKS: blocks.text()}
        return Stored(upload.key, size, extra=extra)

    async def complete_upload(
        self, upload: Stored, parts: Sequence[UploadedPart], info: ObjectInfo
    ) -> Stored:
        try:
            ids = [
                block
                for part in parts
                for block in Blocks.read(part.stored.extra.get(_BLOCKS)).ids(part.number)
            ]
        except ValueError:
            raise S3Error("InvalidPart") from None
        return await self._commit(upload, ids, sum(part.size for part in parts), info)

    async def _stage(
        self, name: str, number: int, sizes: Sequence[int], body: Source | bytes
    ) -> Blocks:
        blocks = new_blocks(sizes)
        start = 0
        for block, length in zip(blocks.ids(number), sizes, strict=True):
            with self._container.answers("a block to be stored"):
                if isinstance(body, bytes):
                    await self._stage_bytes(name, block, body[start : start + length])
                else:
                    await in_task(self._stage_next(name, block, length, body))
            if isinstance(body, Source):
                body.check()
            start += length
        return blocks

    async def _stage_bytes(self, name: str, block: str, data: bytes) -> None:
        check = bytearray(crc64_bytes(crc64(data)))
        await in_task(
            self._container.blob(name).stage_block(
                block, data, len(data), transactional_content_crc64=check
            )
        )

    async def _stage_next(self, name: str, block: str, length: int, source: Source) -> None:
        """Stage the next bytes of a source as a block."""

        async def ask(body: BlockBody) -> Mapping[str, Any]:
            bytes_: Any = body
            return await self._container.blob(name).stage_block(block, bytes_, length)

        await self._send(ask, length, source)

    async def _send(
        self,
        ask: Callable[[BlockBody], Awaitable[Mapping[str, Any]]],
        size: int,
        source: Source,
        *,
        whole: bool = False,
    ) -> Mapping[str, Any]:
        """What Azure says of a request whose body are the next bytes of a source, or all; those
        that it has are what was sent. A failure of the source is left for ``Source.check``."""
        stall_seconds = self._container.stall_seconds
        try:
            async with asyncio.timeout(None) as limit:
                body = BlockBody(source, size, limit, stall_seconds, whole=whole)
                said = await ask(body)
        except Exception:
            if source.failure is not None:
                return {}
            raise
        found = said.get("content_crc64") or said.get("x-ms-content-crc64")
        if found is not None and bytes(found) != crc64_bytes(body.crc64):
            raise PlaceError(Trouble.BROKEN, "a body is not stored as it was sent")
        return said

    async def _commit(
        self, upload: Stored, blocks: Sequence[str], size: int, info: ObjectInfo
    ) -> Stored:
        """Make a blob of blocks in place of its placeholder; the same when it was done already."""
        mark, placeholder = mark_of(upload) or "", etag_of(upload)
        with self._container.answers("a blob to be made of its blocks"):
            try:
                answer = await in_task(
                    self._container.blob(upload.key).commit_block_list(
                        [BlobBlock(block, state=BlockState.UNCOMMITTED) for block in blocks],
                        content_settings=content_settings(info),
                        metadata=blob_metadata(info, mark),
                        etag=placeholder,
                        match_condition=MatchConditions.IfNotModified,
                    )
                )
            except HttpResponseError as error:
                code = error_code(error)
                if code not in CONDITION_CODES | LOST_BLOCKS_CODES | MISSING_CODES:
                    raise
                done = await self._committed(upload, blocks, size)
                if done is not None:
                    return done
                if code in LOST_BLOCKS_CODES:
                    raise S3Error("InvalidPart") from None
                raise
        return _stored(upload.key, size, said_etag(answer.get("etag")), mark)

    async def _committed(self, upload: Stored, blocks: Sequence[str], size: int) -> Stored | None:
        """The blob that an upload has become; None when it has not. Raises InvalidPart for one of
        other blocks."""
        seen, mark = await self._container.look_up(upload.key), mark_of(upload)
        if seen is None or seen.is_placeholder or not is_marked(seen, mark):
            return None
        asked = self._container.blob(upload.key).get_block_list("committed")
        made_of, _ = await in_task(asked)
        if [block.id for block in made_of] != list(blocks):
            raise S3Error("InvalidPart")
        return _stored(upload.key, size, seen.etag, mark or "")

    # -- Reading ----------------------------------------------------------------------------------

    async def open(self, blob: Stored, start: int, end: int) -> AzureReader:
        is_whole = start == 0 and end >= blob.size - 1
        wanted = None if is_whole else f"bytes={start}-{end}"
        with self._container.answers("a blob to be read"):
            try:
                download = await self._container.download(blob.key, wanted)
            except ResourceNotFoundError as error:
                if error_code(error) in MISSING_CODES:
                    raise DataNotFoundError(named(blob)) from None
                raise
        if not is_recorded(blob, download.seen):
            download.close()
            raise PlaceError(Trouble.BROKEN, "somebody else has overwritten a blob")
        return AzureReader(download, max(end - start + 1, 0), self._container)

    # -- Removing ---------------------------------------------------------------------------------

    async def delete(self, blob: Stored) -> None:
        if PART_OF in blob.extra:
            return
        etag = etag_of(blob)
        with self._container.answers("a blob to be deleted"):
            if etag is not None and await self._delete_if(blob.key, etag):
                return
            seen = await self._container.look_up(blob.key)
            if seen is not None and may_go(blob, seen):
                await self._delete_seen(blob.key, seen)

    async def remove_strays(self, info: ObjectInfo, mark: str) -> None:
        with self._container.answers("what was left over to be removed"):
            for name in blob_names(info, mark, bucket_match=self._bucket_match):
                seen = await self._container.look_up(name)
                if seen is not None and is_marked(seen, mark):
                    await self._delete_seen(name, seen)

    async def _delete_seen(self, name: str, seen: Seen) -> None:
        """Delete a blob as it was seen. Raises PlaceError when it has changed since: it may be ours
        still, and is to be looked at again."""
        if not await self._delete_if(name, seen.etag):
            raise PlaceError(Trouble.BUSY, "a blob was changed as it was to be deleted")

    async def _delete_if(self, name: str, etag: str) -> bool:
        """Delete a blob if it has this ETag: whether it is gone."""
        try:
            await in_task(
                self._container.blob(name).delete_blob(
                    delete_snapshots="include",
                    etag=etag,
                    match_condition=MatchConditions.IfNotModified,
                )
            )
        except HttpResponseError as error:
            code = error_code(error)
            if code in MISSING_CODES:
                return True
            if code in CONDITION_CODES:
                return False
            raise
        return True

    # -- Copies, tags, looks ----------------------------------------------------------------------

    async def copy(
        self, source: RemoteStore, blob: Stored, info: ObjectInfo, mark: str
    ) -> Stored | None:
        if not isinstance(source, AzureStore):
            return None
        with self._container.answers("a blob to be copied"):
            seen = await source._container.look_up(blob.key)
            if seen is None or seen.md5 is None or not is_recorded(blob, seen):
                return None  # to be read, which says what is wrong
            original = Original(source._container, blob.key, seen)
            copied = await copy_blob(original, self._container, info, mark)
        if copied is None:
            return None
        return _stored(copied.name, blob.size, copied.etag, mark, bytes.fromhex(seen.md5))

    async def put_tags(self, blob: Stored, tags: Mapping[str, str]) -> None:
        with self._container.answers("tags to be stored"):
            for _ in range(_RETAG_TRIES):
                seen = await self._container.look_up(blob.key)
                if seen is None or not is_recorded(blob, seen):
                    return
                metadata = retagged(seen.metadata, tags, etag_of(blob))
                try:
                    await in_task(
                        self._container.blob(blob.key).set_blob_metadata(
                            metadata, etag=seen.etag, match_condition=MatchConditions.IfNotModified
                        )
                    )
                except HttpResponseError as error:
                    if error_code(error) not in CONDITION_CODES | MISSING_CODES:
                        raise
                else:
                    return
        raise PlaceError(Trouble.BUSY, "tags of a blob that others tag as well")

    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        return await look_at_container(self._container, thorough=thorough)


class AzureReader:
    """See ``base.DataReader``."""

    def __init__(self, download: Download, length: int, container: AzureContainer) -> None:
        self._download = download
        self._left = length
        self._answers = container.answers("a blob to be read")

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        with self._answers:
            async for block in self._download.blocks():
                self._left -= len(block)
                yield block
        if self._left:
            raise PlaceError(Trouble.SILENT, "a blob came to an end too early")

    async def read(self) -> bytes:
        return b"".join([block async for block in self.blocks()])

    def close(self) -> None:
        if self._left:
            self._download.close()


def _stored(name: str, size: int, etag: str, mark: str, md5: Any = None) -> Stored:
    return Stored(
        name,
        size,
        etag=etag,
        extra={MARK: mark, ETAG: etag},
        md5=None if md5 is None else bytes(md5).hex(),
    )
