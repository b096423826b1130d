"""The reader pipeline: how the bytes of every object come out of their locations.

    location (``s3front.locations``) → transform (``s3front.encryption``) → reply, or copy

What cannot be read correctly is refused before anything is answered, wherever in the object it is:
data that is stored encrypted, that is in a place of a type which is not known here, and locations
that do not make up the wanted bytes, each of them once and in order.

A reply gets blocks, or leave to move them from where they are (``sendable``); a copy gets blocks
that were held against what is known of them (``verified``, and ``verified_blob``).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing, closing
from typing import Final

import msgspec

from s3front.bodies.blob_reading import DecodedReader, coded, opened
from s3front.bodies.checksums import Algorithm, BodyDigests
from s3front.bodies.object_check import ObjectCheck, object_check
from s3front.bodies.proven_key import Proving, is_uncertain, with_proven_key
from s3front.bodies.verified_blob import VerifiedBlob
from s3front.context import Context
from s3front.encryption.key_wrapping import NUMBER_MEMBER, WRAPPED_MEMBER, BoundTo
from s3front.encryption.segments import Decoder, require_in_order
from s3front.encryption.sse import CUSTOMER_MEMBER
from s3front.encryption.transform import Coder, Transform
from s3front.locations.base import DataNotFoundError, DataReader, DataStore, Stored, stored_blob
from s3front.locations.dmd_file import DmdFileStore
from s3front.objects.object_record import ObjectRecord
from s3front.objects.ranges import ByteRange
from s3front.port.request import Passage
from s3front.s3_errors import S3Error
from shared.records.data_location import DataLocation, known_md5s
from shared.records.derived import remembered

_OURS: Final = frozenset((NUMBER_MEMBER, WRAPPED_MEMBER))
"""Members that a location of ours has with those that make it encrypted."""


class _Stretch(msgspec.Struct, frozen=True):
    """Bytes ``start`` to ``end`` (included) of a blob, as they are stored, and what makes the
    object's bytes of them, once; None where they are these."""

    store: DataStore
    blob: Stored
    start: int
    end: int
    coder: Coder[bytes | bytearray] | None = None

    @property
    def is_whole(self) -> bool:
        return self.start == 0 and self.end == self.blob.size - 1


class ObjectData:
    """The bytes of a range of an object, across its data locations.

    The first location is opened by ``open``, before anything is answered, so that bytes which were
    deleted meanwhile show as DataNotFoundError and not as a broken reply.
    """

    def __init__(
        self, context: Context, record: ObjectRecord, stretches: Sequence[_Stretch]
    ) -> None:
        self._context = context
        self._record = record
        self._stretches = stretches
        self._first: DataReader | None = None
        self._is_whole = False

    @classmethod
    async def open(
        cls,
        context: Context,
        record: ObjectRecord,
        part: ByteRange,
        customer_key: bytes | None = None,
    ) -> ObjectData:
        """Open the bytes of ``part`` of the record; raises DataNotFoundError, and S3Error for
        those that this server cannot read, or not with this key of a customer's."""
        stretches = []
        reached = part.start
        if not adds_up(record):
            raise _incomplete(context, record)
        if record.is_encrypted:
            require_in_order(record.locations)
        for location in record.locations:
            start = max(part.start - location.start, 0)
            end = min(part.end - location.start, location.size - 1)
            if start > end:
                continue
            if location.start + start != reached:
                raise _incomplete(context, record)
            reached = location.start + end + 1
            if location.is_encrypted:
                opened_by = record, customer_key
                stretches.append(await _transformed(context, location, (start, end), *opened_by))
            elif is_cut_off(record, location):
                raise _incomplete(context, record)
            else:
                store = context.services.locations.holder(location)
                stretches.append(_Stretch(store, stored_blob(location), start, end))
        if reached != part.end + 1:
            raise _incomplete(context, record)
        data = cls(context, record, stretches)
        data._is_whole = part.start == 0 and part.end == record.size - 1
        if stretches:
            data._first = await _opened(stretches[0])
        return data

    async def verified(self) -> AsyncGenerator[bytes, None]:
        """The bytes in order, for a copy: see ``verified_blob``."""
        locations = self._record.locations
        md5s = known_md5s(locations, self._record.etag)
        # Places that have versions have several blobs of one name.
        names = [(blob.key, blob.version) for blob in map(stored_blob, locations)]
        md5_of = dict(zip(names, md5s, strict=True))
        for index, stretch in enumerate(self._stretches):
            blob = stretch.blob
            stored = self._verified(index, md5_of[blob.key, blob.version])
            blocks = stored if stretch.coder is None else coded(stored, stretch.coder)
            async with aclosing(blocks):
                async for block in blocks:
                    yield bytes(block)

    async def _verified(self, index: int, md5: str | None) -> AsyncGenerator[bytes, None]:
        """A stretch as it is stored."""
        stretch = self._stretches[index]
        blob = VerifiedBlob(stretch.store, stretch.blob, md5, self._context.log)
        if not stretch.is_whole:
            if index == 0:
                self.close()  # it was opened to see whether it is there
            async with aclosing(blob.part(stretch.start, stretch.end)) as blocks:
                async for block in blocks:
                    yield block
            return
        with closing(await self._stored(index)) as reader:
            async with aclosing(blob.whole(reader)) as blocks:
                async for block in blocks:
                    yield block

    def sendable(self) -> AsyncGenerator[bytes | bytearray | Passage, None]:
        """The same as ``locations.base.DataReader.blocks`` gives it. Where they are held against
        something (``object_check``) and are not right, they come without the last block, and
        InternalError is raised in its place."""
        check = self._check(few=False)
        return self._blocks() if check is None else self._checked(check)

    async def begun(self) -> AsyncGenerator[bytes | bytearray | Passage, None]:
        """The same, where the first bytes that are encrypted have been opened: what is refused at
        once is refused with the status of an error. Raises S3Error."""
        blocks = self.sendable()
        if not self._stretches or self._stretches[0].coder is None:
            return blocks
        try:
            first = await anext(blocks)
        except BaseException:
            await blocks.aclose()
            raise
        return _joined(first, blocks)

    async def _blocks(self) -> AsyncGenerator[bytes | bytearray | Passage, None]:
        for index in range(len(self._stretches)):
            with closing(await self._reader(index)) as reader:
                async for block in reader.blocks():
                    yield block

    async def _checked(
        self, check: ObjectCheck
    ) -> AsyncGenerator[bytes | bytearray | Passage, None]:
        left, last, is_seen = self._record.size, b"", True
        async with aclosing(self._blocks()) as blocks:
            async for block in blocks:
                if isinstance(block, bytes | bytearray):
                    left -= len(block)
                    check.add(block)
                    if left <= 0:
                        last += block
                        continue
                else:
                    # Nobody here sees these bytes, so that there is nothing to hold against.
                    is_seen = False
                yield block
        if is_seen:
            self._require(check)
        if last:
            yield last

    async def read(self) -> bytes:
        """All the bytes; for few of them. Raises InternalError when they are not right."""
        pieces: list[bytes] = []
        for index in range(len(self._stretches)):
            with closing(await self._reader(index)) as reader:
                pieces.append(await reader.read())
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if (check := self._check(few=True)) is not None:
            check.add(data)
            self._require(check)
        return data

    def _check(self, *, few: bool) -> ObjectCheck | None:
        """What the bytes are held against, here."""
        stores = [stretch.store for stretch in self._stretches]
        if not self._is_whole or all(store.capabilities.collected for store in stores):
            return None
        return object_check(self._record, few=few)

    def _require(self, check: ObjectCheck) -> None:
        if check.right:
            return
        names = sorted({location.store_name for location in self._record.locations})
        self._context.log.error("the bytes of an object have changed", locations=names)
        raise S3Error("InternalError")

    def close(self) -> None:
        """Release what ``open`` opened, for a reply that is never sent."""
        if self._first is not None:
            self._first.close()

    async def _reader(self, index: int) -> DataReader:
        """The object's bytes of a stretch."""
        coder = self._stretches[index].coder
        if index == 0 and coder is None:
            assert self._first is not None
            return self._first
        stored = await self._stored(index)
        return stored if coder is None else DecodedReader(stored, coder)

    async def _stored(self, index: int) -> DataReader:
        """The bytes of a stretch as they are stored."""
        if index == 0:
            assert self._first is not None
            return self._first
        return await _opened(self._stretches[index])


async def _opened(stretch: _Stretch) -> DataReader:
    """The bytes of a stretch as they are stored. Those that are authenticated when they are
    decrypted need nobody else to look at them."""
    store, blob, start, end = stretch.store, stretch.blob, stretch.start, stretch.end
    if isinstance(stretch.coder, Decoder) and isinstance(store, DmdFileStore):
        pieces = await store.open_pieces(blob, start, end)
        if pieces is not None:
            return pieces
    return await opened(store, blob, start, end)


async def _joined(
    first: bytes | bytearray | Passage, blocks: AsyncGenerator[bytes | bytearray | Passage, None]
) -> AsyncGenerator[bytes | bytearray | Passage, None]:
    async with aclosing(blocks):
        yield first
        async for block in blocks:
            yield block


def log_missing(context: Context, record: ObjectRecord, error: DataNotFoundError) -> None:
    """Say that data is gone which a record names."""
    names = sorted({location.store_name for location in record.locations})
    context.log.error("the data of an object is missing", blob=str(error), locations=names)


def at_hand(context: Context, record: ObjectRecord, body: bytes | None) -> bytes | None:
    """The bytes of an object that came with its record, or that can be read without waiting, where
    they are just these: its only blob, all of it, stored as it is, in the data daemon. None when
    they have to be opened."""
    location = remembered(record, plain_blob)
    if location is None:
        return None
    holder = context.services.locations.holder(location)
    if not isinstance(holder, DmdFileStore):
        return None
    if body is not None and len(body) == location.size:
        return body
    return holder.content_here(location.key, location.size)


async def at_hand_sealed(
    context: Context, record: ObjectRecord, body: bytes | None, customer_key: bytes | None
) -> bytes | None:
    """The same where its only blob is encrypted; raises what ``Keys.opening`` does, and
    InternalError for stored bytes that were altered."""
    location = remembered(record, _sealed_blob)
    if location is None:
        return None
    holder = context.services.locations.holder(location)
    if not isinstance(holder, DmdFileStore):
        return None
    stored_size, size = location.stored_size, location.size
    if body is None or len(body) != stored_size:
        body = holder.content_here(location.key, stored_size)
        if body is None:
            return None
    transform = await _transform(context, location, record, customer_key)
    decoder = transform.decoder(0, size - 1, size)
    return bytes(decoder.update(body) + decoder.finish())


def _sealed_blob(record: ObjectRecord) -> DataLocation | None:
    """Where the only blob of an object is, where that is all of it, encrypted."""
    locations = record.locations
    if len(locations) != 1:
        return None
    location = locations[0]
    is_all = not location.start and location.size == record.size
    return location if is_all and location.is_encrypted else None


def adds_up(record: ObjectRecord) -> bool:
    """Whether the data locations are of as many bytes as the object has."""
    locations = record.locations
    if not locations:
        return not record.size
    return not locations[0].start and locations[-1].start + locations[-1].size == record.size


def require_whole(context: Context, record: ObjectRecord) -> None:
    """Let an object be answered without bytes that has none; raises InternalError, and
    InvalidObjectState for one that is in an archive."""
    if not adds_up(record):
        raise _incomplete(context, record)


def is_cut_off(record: ObjectRecord, location: DataLocation) -> bool:
    """Whether what a location says of the encryption of its blob is gone: to take it for plain
    would be to give out what is stored. Of the original there are plain blobs whose records say
    that they are encrypted by a key of the server; it knows no other key, and no other size of what
    is stored."""
    if location.is_encrypted:
        return False
    if location.stored_size != location.size or record.document.get(CUSTOMER_MEMBER):
        return True
    return location.members is not None and not _OURS.isdisjoint(location.members)


def plain_blob(record: ObjectRecord) -> DataLocation | None:
    """Where the only blob of an object is, where that is just its bytes."""
    size, locations = record.size, record.locations
    if len(locations) != 1:
        return None
    location = locations[0]
    if location.start or location.size != size or location.is_encrypted:
        return None
    return None if is_cut_off(record, location) else location


class CopiedBody:
    """The bytes of an object as those of another one: a ``digested_body.Source``."""

    decoder = None

    def __init__(self, data: ObjectData, size: int) -> None:
        self._data = data
        self.size = size

    def digests(self, wanted: Algorithm | None) -> BodyDigests:
        return BodyDigests([] if wanted is None else [wanted])

    def blocks(self) -> AsyncGenerator[bytes, None]:
        return self._data.verified()

    def read(self) -> Awaitable[Sequence[bytes]] | None:
        return None

    async def hold(self) -> None:
        """What is gathered is none of the client's."""

    def wrong_size(self, _size: int) -> S3Error:
        return S3Error("InternalError")

    def verify(self, digests: BodyDigests) -> None:
        if digests.length != self.size:
            raise self.wrong_size(digests.length)


class HeldBody:
    """Bytes that are here already, verified, as those of an object: a ``digested_body.Source``."""

    decoder = None

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.size = len(content)

    def digests(self, wanted: Algorithm | None) -> BodyDigests:
        return BodyDigests([] if wanted is None else [wanted])

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        yield self._content

    async def read(self) -> Sequence[bytes]:
        return (self._content,)

    async def hold(self) -> None:
        """They are held."""

    def wrong_size(self, _size: int) -> S3Error:
        return S3Error("InternalError")

    def verify(self, digests: BodyDigests) -> None:
        """They were, when they came."""


async def _transformed(
    context: Context,
    location: DataLocation,
    plain: tuple[int, int],
    record: ObjectRecord,
    customer_key: bytes | None,
) -> _Stretch:
    """The stretch that has certain plain bytes of a location; raises S3Error."""
    store, size = context.services.locations.holder(location), location.size
    transform = await _transform(context, location, record, customer_key)
    return _Stretch(
        store,
        stored_blob(location),
        *transform.stored_range(*plain, size),
        transform.decoder(*plain, size),
    )


async def _transform(
    context: Context, location: DataLocation, record: ObjectRecord, customer_key: bytes | None
) -> Transform:
    assert context.target.bucket is not None
    bound = BoundTo(context.target.bucket, context.key)

    def opening(blob: DataLocation) -> Awaitable[Transform]:
        return context.services.keys.opening(record.document, blob, bound, customer_key)

    if is_uncertain(record, location):
        services, bucket = context.services, context.stored_bucket
        proving = Proving(
            services.locations,
            services.keys,
            context.log,
            None if bucket is None else bucket.record,
        )
        location = await with_proven_key(proving, record, location, opening)
    return await opening(location)


def _incomplete(context: Context, record: ObjectRecord) -> S3Error:
    """Why the bytes are not those that the record says: they are in an archive, or nobody knows."""
    if record.document.get("archive"):
        return S3Error("InvalidObjectState", fields={"StorageClass": record.storage_class})
    context.log.error("a record does not name all of its data")
    return S3Error("InternalError")
