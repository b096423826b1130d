"""Object bytes of records: reading them in order, and deleting what no record has named."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence

from s3front.bodies.upload_body import boot_seconds
from s3front.bodies.verified_data import VerifiedBlob
from s3front.context import Context
from s3front.locations.base import DataReader
from s3front.objects.object_record import ObjectRecord
from s3front.objects.ranges import ByteRange
from s3front.port.request import Passage
from s3front.s3_errors import S3Error
from shared.records.data_location import DataLocation, known_md5s


async def delete_data(context: Context, locations: Sequence[DataLocation]) -> None:
    """Delete bytes that were stored and that no record has ever named.

    A failure is logged and not raised: an unreferenced blob is found by garbage collection.
    """
    for location in locations:
        try:
            await context.services.locations.holder(location).delete(location.key)
        except S3Error as error:
            context.log.warning(
                "could not delete unused data", data_key=location.key, reason=str(error)
            )


def check_age(context: Context, complete_at: float) -> None:
    """Let stored bytes be committed, unless they have become too old for that.

    ``complete_at`` is that of the oldest of them, as ``StoredBody`` has it.

    Called before every commit that names new bytes. Garbage collection takes bytes that no record
    names for garbage once its grace is over, so a front-end that was held up for half of that
    gives them up instead: raises ServiceUnavailable, and the client sends them again.
    """
    if boot_seconds() - complete_at > context.services.commit_seconds_max:
        context.log.warning("stored bytes are too old to be committed")
        raise S3Error("ServiceUnavailable")


class ObjectData:
    """The bytes of a range of an object, across its data locations.

    The first location is opened by ``open``, before anything is answered, so that bytes which were
    deleted meanwhile show as DataNotFoundError and not as a broken reply.
    """

    def __init__(
        self,
        context: Context,
        record: ObjectRecord,
        parts: Sequence[tuple[DataLocation, int, int]],
    ) -> None:
        self._context = context
        self._record = record
        self._parts = parts
        self._first: DataReader | None = None

    @classmethod
    async def open(cls, context: Context, record: ObjectRecord, part: ByteRange) -> ObjectData:
        """Open the bytes of ``part`` of the record; raises DataNotFoundError, and S3Error for
        those that this server cannot read."""
        wanted = []
        missing = part.length
        for location in record.locations:
            start = max(part.start - location.start, 0)
            end = min(part.end - location.start, location.size - 1)
            if start <= end:
                if location.is_encrypted:
                    raise S3Error("NotImplemented", _ENCRYPTED)
                wanted.append((location, start, end))
                missing -= end - start + 1
        if missing:
            raise _incomplete(context, record)
        data = cls(context, record, wanted)
        if wanted:
            data._first = await data._open(*wanted[0])
        return data

    async def verified(self) -> AsyncGenerator[bytes, None]:
        """The bytes in order, for a copy: see ``verified_data``."""
        locations = self._record.locations
        md5s = known_md5s(locations, self._record.etag)
        md5_of = {location.key: md5 for location, md5 in zip(locations, md5s, strict=True)}
        for index, (location, start, end) in enumerate(self._parts):
            blob = self._blob(location, md5_of[location.key])
            if end - start + 1 == location.size:
                with contextlib.closing(await self._reader(index)) as reader:
                    async with contextlib.aclosing(blob.whole(reader)) as blocks:
                        async for block in blocks:
                            yield block
                continue
            if index == 0:
                self.close()  # it was opened to see whether it is there
            async with contextlib.aclosing(blob.part(start, end)) as blocks:
                async for block in blocks:
                    yield block

    async def sendable(self) -> AsyncGenerator[bytes | Passage, None]:
        """The same as ``locations.base.DataReader.blocks`` gives it."""
        for index in range(len(self._parts)):
            with contextlib.closing(await self._reader(index)) as reader:
                async for block in reader.blocks():
                    yield block

    async def read(self) -> bytes:
        """All the bytes; for few of them."""
        pieces: list[bytes] = []
        for index in range(len(self._parts)):
            with contextlib.closing(await self._reader(index)) as reader:
                pieces.append(await reader.read())
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def close(self) -> None:
        """Release what ``open`` opened, for a reply that is never sent."""
        if self._first is not None:
            self._first.close()

    def _blob(self, location: DataLocation, md5: str | None) -> VerifiedBlob:
        store = self._context.services.locations.holder(location)
        return VerifiedBlob(store, location, md5, self._context.log)

    async def _reader(self, index: int) -> DataReader:
        if index == 0:
            assert self._first is not None
            return self._first
        return await self._open(*self._parts[index])

    async def _open(self, location: DataLocation, start: int, end: int) -> DataReader:
        store = self._context.services.locations.holder(location)
        return await store.open(location.key, start, end, location.size)


_ENCRYPTED = (
    "The data of this object is stored encrypted, by another server. This one cannot decrypt it."
)


def _incomplete(context: Context, record: ObjectRecord) -> S3Error:
    """Why there are fewer bytes than the record says: they are in an archive, or nobody knows."""
    if record.document.get("archive"):
        return S3Error("InvalidObjectState", fields={"StorageClass": record.storage_class})
    context.log.error("a record does not name all of its data")
    return S3Error("InternalError")
