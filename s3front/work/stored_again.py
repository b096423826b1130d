"""Storing the bytes of an object again, encrypted in another way or not at all: new blobs in the
place of the old ones, in the same location and for the same stretches.

Bytes are held against what is known of them on their way: damage is not stored again as if it were
right, nor what CloudServer has encrypted and nobody knows the MD5 of: the form has no tag, so a
wrong key would go unseen. A blob that is larger than its place takes at once becomes several. Where
nobody collects what no record names, each new blob is noted before it is stored
(``s3front.metadata.strays``).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, closing
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from msgspec.structs import replace

from s3front.bodies.blob_reading import DecodedReader, bytes_of, encrypted, opened
from s3front.bodies.proven_key import Proving, is_uncertain, with_proven_key
from s3front.encryption.key_wrapping import BoundTo
from s3front.encryption.segments import require_in_order, stored_size
from s3front.encryption.transform import Transform
from s3front.keys.sealing import Keys, Sealing
from s3front.locations.base import (
    DataReader,
    DataStore,
    ObjectInfo,
    Stored,
    stored_blob,
)
from s3front.locations.registry import LocationRegistry
from s3front.locations.remote_store import MARK, RemoteStore, is_undone, new_mark
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.kept_buckets import StoredBucket
from s3front.metadata.strays import Stray, StrayNote, forget_strays, note_stray
from s3front.objects.object_record import STANDARD_HEADERS, ObjectRecord
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog
from shared.records.data_location import STORED_SIZE, DataLocation, plain_md5s
from shared.records.encrypted import TWOFOLD_SCHEME

HERE_BYTES_MAX: Final = 1024 * 1024
"""Of what is read at once, and not in blocks."""

_ENCRYPTED_SHARE: Final = 7, 8
"""Of the largest blob of a place: what encryption adds is far less than the rest."""

_REQUEST_ID: Final = "stored-again"

Spend = Callable[[int], Awaitable[None]]
"""Waits until so many bytes more may pass."""


@dataclass(slots=True)
class NewBlobs:
    """What was stored, for one object: where its bytes are now, and the notes of these blobs."""

    locations: list[DataLocation] = field(default_factory=list)
    notes: list[StrayNote] = field(default_factory=list)


class _Restored(NamedTuple):
    """An object whose bytes are stored again, and what they become."""

    bucket: StoredBucket
    bound: BoundTo
    record: ObjectRecord
    sealing: Sealing | None
    info: ObjectInfo
    spend: Spend
    new: NewBlobs


class Restoring:
    """Stores the bytes of objects again."""

    def __init__(
        self, metadata: MetadataGateway, locations: LocationRegistry, keys: Keys, log: EventLog
    ) -> None:
        self._metadata = metadata
        self._locations = locations
        self._keys = keys
        self._log = log

    async def store(
        self,
        bucket: StoredBucket,
        key: str,
        record: ObjectRecord,
        sealing: Sealing | None,
        spend: Spend,
    ) -> NewBlobs:
        """Store all bytes of an object, encrypted by ``sealing``, None: not at all; ``spend`` is
        asked before each block. When it fails, nothing is left of it. Raises S3Error,
        DataNotFoundError, and what ``spend`` does."""
        require_in_order(record.locations)
        if sum(location.size for location in record.locations) != record.size:
            raise _because("the record does not name all of its data")
        bound, new = BoundTo(bucket.name, key), NewBlobs()
        restored = _Restored(bucket, bound, record, sealing, _info_of(record, bound), spend, new)
        known = plain_md5s(record.locations, record.etag)
        wanted = [each for each in zip(record.locations, known, strict=True) if each[0].size]
        for location, md5 in wanted:
            if md5 is None and _is_without_tag(location):
                raise _because("nobody knows the MD5 of a blob whose form has no tag")
        try:
            for location, md5 in wanted:
                await self._store_location(restored, location, md5)
        except BaseException:  # a cancellation as well: no record will name what is stored
            await self.give_up(new)
            raise
        return new

    async def give_up(self, new: NewBlobs) -> None:
        """Remove what no record has ever named. What fails is left to garbage collection, and to
        the journal of strays."""
        try:
            for location in new.locations:
                await self._locations.holder(location).delete(stored_blob(location))
            if new.notes:
                await forget_strays(self._metadata, new.notes, _REQUEST_ID)
        except S3Error:
            return

    async def _store_location(
        self, restored: _Restored, location: DataLocation, md5: str | None
    ) -> None:
        store, sealing = self._locations.holder(location), restored.sealing
        digest = hashlib.md5(usedforsecurity=False)
        for start, end in pieces(location.size, store, sealing):
            reader = await self._reader(restored, location, start, end)
            with closing(reader):
                size = end - start + 1
                transform = None if sealing is None else sealing.new_blob()
                data: bytes | AsyncGenerator[bytes, None]
                if size <= HERE_BYTES_MAX:
                    await restored.spend(size)
                    data = await reader.read()
                    digest.update(data)
                    if len(data) != size:
                        raise _damaged(location)
                else:
                    data = _blocks(reader, digest, restored.spend)
                length = size
                if transform is not None:
                    length, data = encrypted(size, data, transform)
                blob = await self._put(restored, location, length, data)
            members = {**blob.members()}
            if transform is not None:
                members |= {**transform.members(), STORED_SIZE: length}
            restored.new.locations.append(
                DataLocation(
                    key=blob.key,
                    size=size,
                    start=location.start + start,
                    store_name=location.store_name,
                    store_type=store.type,
                    store_etag=_etag(location, blob),
                    members=members or None,
                )
            )
        if md5 is not None and digest.hexdigest() != md5:
            raise _damaged(location)

    async def _reader(
        self, restored: _Restored, location: DataLocation, start: int, end: int
    ) -> DataReader:
        """The plain bytes of a stretch of a location."""
        store, blob = self._locations.holder(location), stored_blob(location)
        if not location.is_encrypted:
            if location.stored_size != location.size:
                raise _damaged(location)  # what is said of its encryption is gone
            return await opened(store, blob, start, end)
        transform = await self._opening(restored, location)
        first, last = transform.stored_range(start, end, location.size)
        decoder = transform.decoder(start, end, location.size)
        return DecodedReader(await opened(store, blob, first, last), decoder)

    async def _opening(self, restored: _Restored, location: DataLocation) -> Transform:
        record = restored.record

        def opening(blob: DataLocation) -> Awaitable[Transform]:
            return self._keys.opening(record.document, blob, restored.bound, None)

        if is_uncertain(record, location):
            bucket = restored.bucket.record
            proving = Proving(self._locations, self._keys, self._log, bucket)
            location = await with_proven_key(proving, record, location, opening)
        return await opening(location)

    async def _put(
        self,
        restored: _Restored,
        location: DataLocation,
        size: int,
        data: bytes | AsyncGenerator[bytes, None],
    ) -> Stored:
        store, info, new = self._locations.holder(location), restored.info, restored.new
        if not isinstance(store, RemoteStore) or store.capabilities.collected:
            return await store.put(size, data, info)
        noted: list[StrayNote] = []

        async def note() -> str:
            mark = new_mark()
            stray = Stray(location.store_name, info.bucket, info.key, mark)
            noted.append(await note_stray(self._metadata, stray, _REQUEST_ID))
            return mark

        mark = await note()
        try:
            blob = await store.maker(note).put(size, data, info, mark)
        except S3Error as error:
            if is_undone(error):
                await forget_strays(self._metadata, noted[-1:], _REQUEST_ID)
            raise
        new.notes.append(noted[-1])
        return replace(blob, extra={**blob.extra, MARK: noted[-1].mark})


async def _blocks(reader: DataReader, digest: Any, spend: Spend) -> AsyncGenerator[bytes, None]:
    async with aclosing(bytes_of(reader)) as blocks:
        async for block in blocks:
            await spend(len(block))
            await asyncio.to_thread(digest.update, block)
            yield block


def pieces(size: int, store: DataStore, sealing: Sealing | None) -> Iterator[tuple[int, int]]:
    """Start and end (included) of what becomes a blob each."""
    largest = store.capabilities.blob_bytes_max
    most = size
    if largest is not None and (size if sealing is None else stored_size(size)) > largest:
        share, of = (1, 1) if sealing is None else _ENCRYPTED_SHARE
        most = largest * share // of
    for start in range(0, size, most):
        yield start, min(start + most, size) - 1


def _is_without_tag(location: DataLocation) -> bool:
    scheme = (location.members or {}).get("cryptoScheme")
    return location.is_encrypted and scheme != TWOFOLD_SCHEME


def _etag(location: DataLocation, blob: Stored) -> str:
    """The number of the part, and the ETag of the place, else what it was before."""
    number, _, before = location.store_etag.partition(":")
    return f"{number or 1}:{blob.etag or before}"


def _info_of(record: ObjectRecord, bound: BoundTo) -> ObjectInfo:
    document: Mapping[str, Any] = record.document
    return ObjectInfo(
        bound.bucket,
        bound.key,
        record.content_type,
        record.user_metadata,
        {name: str(document[name]) for name in STANDARD_HEADERS if document.get(name)},
        record.tags,
    )


def _damaged(location: DataLocation) -> S3Error:
    return _because(f"the bytes of a blob in {location.store_name!r} have changed")


def _because(reason: str) -> S3Error:
    error = S3Error("InternalError")
    error.__cause__ = ValueError(reason)
    return error
