"""The end of the writer pipeline for places that others run.

Rules:

1. Whatever is stored was noted in the journal of strays before (``s3front.metadata.strays``). The
   notes go with the commit of the record; what fails here takes back what it stored, and its notes.
   A failure that does not say whether something was stored leaves the note to the worker.
2. What the place says of the bytes is held against what was sent: another MD5 is an error, and
   nothing is kept.
3. An object is one blob there, under one name, so that it is an object for those who look from the
   other side as well. One that is larger than the place takes at once is sent by an upload of parts
   of the place's own. It is several blobs only where the place has none, or where what is stored is
   encrypted blob by blob.
4. A part of an upload that is the place's own (``Destination.upload``) is stored into that; it goes
   with it, and has no note.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Final

from msgspec.structs import replace

from s3front.bodies.blob_reading import encrypted
from s3front.bodies.digested_body import (
    AT_ONCE_BYTES_MAX,
    SMALL_BYTES_MAX,
    DigestedBody,
)
from s3front.bodies.in_turn import THREAD_BYTES_MIN
from s3front.bodies.stored_body import (
    Destination,
    StoredBody,
    delete_blob,
    forget_notes,
    sealed,
    stored_body,
)
from s3front.context import Context
from s3front.encryption.segments import stored_size
from s3front.locations.base import Capabilities, Stored
from s3front.locations.remote_store import (
    MARK,
    PART_OF,
    UPLOAD,
    RemoteStore,
    UploadedPart,
    is_undone,
    mark_of,
    new_mark,
)
from s3front.metadata.strays import Stray, StrayNote, note_stray
from s3front.s3_errors import S3Error
from shared import limits
from shared.boot_clock import boot_seconds
from shared.failpoints import FailPoint, failpoint

PIECE_BYTES: Final = 256 * 1024 * 1024
"""Of what is sent in pieces, unless the place wants other ones."""

Piece = tuple[int, bytes | AsyncGenerator[bytes, None]]
"""Bytes that become a blob or a part: how many, and these. Each is read before the next comes."""


async def store_remotely(
    context: Context, body: DigestedBody, destination: Destination, size: int | None
) -> StoredBody:
    """Receive a body of ``size`` bytes (None: its end will say) into a place that others run; as
    ``object_writer.store_body``."""
    store = destination.store
    assert isinstance(store, RemoteStore)
    if size is None:
        return await _store_stretches(context, body, destination, store)
    whole = await _arriving(body, size)
    if not size:
        return stored_body(body.digests, destination, ())
    if destination.upload is not None:
        return await _store_part(context, body, destination, store, (size, whole))
    largest = store.capabilities.blob_bytes_max
    if largest is None or _stored_size(destination, size) <= largest:
        return await _store_whole(context, body, destination, store, (size, whole))
    blocks = _each(whole) if isinstance(whole, bytes) else whole
    pieces = _cut(blocks, size, _piece_bytes(store.capabilities, size, destination))
    return await _store_pieces(context, body, destination, store, pieces)


async def _arriving(body: DigestedBody, size: int) -> bytes | AsyncGenerator[bytes, None]:
    """The bytes: few of them at once."""
    if size <= SMALL_BYTES_MAX:
        return await body.read()
    reading = body.comes_at_once() if size <= AT_ONCE_BYTES_MAX else None
    return body.blocks() if reading is None else await reading


class Noting:
    """The notes of what is about to be stored, the ``last`` of which is about what a record may
    name. Those before it are about what may have been stored all the same, when the place was asked
    again: they stay, for the worker."""

    def __init__(self, context: Context, destination: Destination, first: StrayNote) -> None:
        self._context = context
        self._destination = destination
        self.last = first

    @property
    def mark(self) -> str:
        return self.last.mark

    async def new_mark(self) -> str:
        """See ``remote_store.NewMark``."""
        self.last = await _note(self._context, self._destination)
        return self.last.mark


async def begin_noting(context: Context, destination: Destination) -> Noting:
    """Note that something is about to be stored; raises S3Error, and then it must not be."""
    return Noting(context, destination, await _note(context, destination))


async def _note(context: Context, destination: Destination) -> StrayNote:
    info = destination.info
    stray = Stray(destination.name, info.bucket, info.key, new_mark())
    noted = await note_stray(context.services.metadata, stray, context.request_id)
    failpoint(FailPoint.AFTER_STRAY_NOTED)
    return noted


def marked(blob: Stored, mark: str) -> Stored:
    """A blob whose record says its mark."""
    return replace(blob, extra={**blob.extra, MARK: mark})


async def check_md5(
    context: Context, destination: Destination, blob: Stored, md5: str, notes: Sequence[StrayNote]
) -> None:
    """Hold what the place says of a new blob against what it was sent; raises InternalError,
    having removed it."""
    if blob.md5 is None or blob.md5 == md5 or destination.sealing is not None:
        return
    error = _other_bytes(context, destination, blob)
    if await delete_blob(context, destination.store, blob):
        await forget_notes(context, notes)
    raise error


def _other_bytes(context: Context, destination: Destination, blob: Stored) -> S3Error:
    context.log.error(
        "a place stored other bytes than it was sent",
        location=destination.name,
        mark=mark_of(blob),
    )
    return S3Error("InternalError")


# --- One blob, or one part -----------------------------------------------------------------------


async def _store_whole(
    context: Context,
    body: DigestedBody,
    destination: Destination,
    store: RemoteStore,
    piece: Piece,
) -> StoredBody:
    if isinstance(piece[1], bytes) and destination.sealing is None:
        info = replace(destination.info, md5=body.digests.md5_hex())
        destination = replace(destination, info=info)
    blob, noted = await _put(context, destination, store, piece)
    await check_md5(context, destination, blob, body.digests.md5_hex(), (noted,))
    stored = ((blob, piece[0]),)
    return stored_body(body.digests, destination, stored, body.complete_at, notes=(noted,))


async def _put(
    context: Context, destination: Destination, store: RemoteStore, piece: Piece
) -> tuple[Stored, StrayNote]:
    """Store a blob, once it is noted; it, and the note."""
    size, data = piece
    sealing = destination.sealing
    transform = None if sealing is None else sealing.new_blob(destination.part)
    if transform is not None:
        size, data = encrypted(size, data, transform)
    noting = await begin_noting(context, destination)
    try:
        maker = store.maker(noting.new_mark)
        blob = await maker.put(size, data, destination.info, noting.mark)
    except S3Error as error:
        if is_undone(error):
            await forget_notes(context, (noting.last,))
        raise
    blob = marked(blob, noting.mark)
    return blob if transform is None else sealed(blob, transform), noting.last


async def _store_part(
    context: Context,
    body: DigestedBody,
    destination: Destination,
    store: RemoteStore,
    piece: Piece,
) -> StoredBody:
    """A part of an upload of the place's own."""
    upload, (size, data) = destination.upload, piece
    assert upload is not None
    largest = store.capabilities.part_bytes_max
    if largest is not None and size > largest:
        fields = {"ProposedSize": str(size), "MaxSizeAllowed": str(largest)}
        raise S3Error("EntityTooLarge", fields=fields)
    part = await store.put_part(upload, destination.part, size, data)
    part = replace(part, extra={**part.extra, PART_OF: upload.extra[UPLOAD]})
    await check_md5(context, destination, part, body.digests.md5_hex(), ())
    return stored_body(body.digests, destination, ((part, size),), body.complete_at)


# --- Several pieces ------------------------------------------------------------------------------


async def _store_stretches(
    context: Context, body: DigestedBody, destination: Destination, store: RemoteStore
) -> StoredBody:
    """A body whose size its end will say: gathered up to a stretch, and then in several pieces."""
    async with aclosing(_stretches(body)) as stretches:
        first, is_last = await anext(stretches)
        if not first[0]:
            return stored_body(body.digests, destination, ())
        if is_last:
            return await _store_whole(context, body, destination, store, first)
        pieces = _chained(first, stretches)
        return await _store_pieces(context, body, destination, store, pieces)


async def _store_pieces(
    context: Context,
    body: DigestedBody,
    destination: Destination,
    store: RemoteStore,
    pieces: AsyncGenerator[Piece, None],
) -> StoredBody:
    """Bytes that are too many for one ``put``, or come in several pieces."""
    async with aclosing(pieces):
        if store.capabilities.multipart and destination.sealing is None:
            return await _store_by_parts(context, body, destination, store, pieces)
        return await _store_blobs(context, body, destination, store, pieces)


async def _store_by_parts(
    context: Context,
    body: DigestedBody,
    destination: Destination,
    store: RemoteStore,
    pieces: AsyncGenerator[Piece, None],
) -> StoredBody:
    """As one blob, by an upload of the place's own, which has the mark of the blob."""
    noting = await begin_noting(context, destination)
    upload: Stored | None = None
    try:
        maker = store.maker(noting.new_mark)
        upload = await maker.begin_upload(destination.info, noting.mark)
        parts: list[UploadedPart] = []
        async for size, data in pieces:
            hashed = _Hashed(data)
            number = len(parts) + 1
            stored = await store.put_part(upload, number, size, hashed.blocks())
            if stored.md5 not in (None, hashed.md5):
                raise _other_bytes(context, destination, stored)
            parts.append(UploadedPart(number, size, hashed.md5, stored))
        blob = await store.complete_upload(upload, parts, destination.info)
    except BaseException as error:  # a cancellation as well: no record will name it
        gone = is_undone(error) if upload is None else await delete_blob(context, store, upload)
        if gone:
            await forget_notes(context, (noting.last,))
        raise
    noted = noting.last
    blob = marked(blob, noted.mark)
    await check_md5(context, destination, blob, body.digests.md5_hex(), (noted,))
    stored_all = ((blob, body.digests.length),)
    return stored_body(body.digests, destination, stored_all, body.complete_at, notes=(noted,))


async def _store_blobs(
    context: Context,
    body: DigestedBody,
    destination: Destination,
    store: RemoteStore,
    pieces: AsyncGenerator[Piece, None],
) -> StoredBody:
    """As several blobs."""
    stored: list[tuple[Stored, int]] = []
    notes: list[StrayNote] = []
    began = boot_seconds()
    try:
        async for size, data in pieces:
            hashed = _Hashed(data)
            blob, noted = await _put(context, destination, store, (size, hashed.blocks()))
            stored.append((blob, size))
            notes.append(noted)
            await check_md5(context, destination, blob, hashed.md5, ())
    except BaseException:  # a cancellation as well: no record will name what is stored
        if all([await delete_blob(context, store, blob) for blob, _ in stored]) and notes:
            await forget_notes(context, notes)
        raise
    return stored_body(body.digests, destination, stored, began, notes=notes)


# --- Pieces --------------------------------------------------------------------------------------


def _stored_size(destination: Destination, size: int) -> int:
    return size if destination.sealing is None else stored_size(size)


def _piece_bytes(capabilities: Capabilities, size: int, destination: Destination) -> int:
    """The size of all pieces but the last one, of ``size`` bytes."""
    if not capabilities.multipart or destination.sealing is not None:
        assert capabilities.blob_bytes_max is not None
        # What encryption adds is far less than an eighth.
        shrunk = capabilities.blob_bytes_max * 7 // 8
        return shrunk if destination.sealing is not None else capabilities.blob_bytes_max
    fewest = -(-size // (capabilities.parts_max or limits.PARTS_MAX))
    wanted = max(PIECE_BYTES, fewest, capabilities.part_bytes_min)
    return min(wanted, capabilities.part_bytes_max or wanted)


async def _cut(
    blocks: AsyncGenerator[bytes, None], size: int, piece_bytes: int
) -> AsyncGenerator[Piece, None]:
    """``size`` bytes in pieces."""
    cutter = _Cutter(blocks)
    async with aclosing(blocks):
        while size:
            length = min(size, piece_bytes)
            yield length, cutter.take(length)
            size -= length


class _Cutter:
    """Blocks that are cut where a piece ends."""

    def __init__(self, blocks: AsyncGenerator[bytes, None]) -> None:
        self._blocks = blocks
        self._rest = b""

    async def take(self, size: int) -> AsyncGenerator[bytes, None]:
        """The next ``size`` bytes."""
        while size:
            block = self._rest or await anext(self._blocks, b"")
            if not block:
                raise S3Error("InternalError")  # the source has said how many there are
            block, self._rest = block[:size], block[size:]
            size -= len(block)
            yield block


async def _stretches(body: DigestedBody) -> AsyncGenerator[tuple[Piece, bool], None]:
    """All bytes, gathered into pieces, and of each whether it is the last: that comes when all has
    been verified."""
    held: list[bytes] = []
    size = 0
    async with aclosing(body.blocks()) as blocks:
        async for block in blocks:
            if size >= limits.FORM_STRETCH_BYTES:
                yield (size, b"".join(held)), False
                held.clear()
                size = 0
            held.append(block)
            size += len(block)
    yield (size, b"".join(held)), True


async def _chained(
    first: Piece, others: AsyncGenerator[tuple[Piece, bool], None]
) -> AsyncGenerator[Piece, None]:
    yield first
    async for piece, _ in others:
        yield piece


class _Hashed:
    """A piece, and its MD5 once it was read."""

    def __init__(self, data: bytes | AsyncGenerator[bytes, None]) -> None:
        self._data = data
        self._digest = hashlib.md5(usedforsecurity=False)

    @property
    def md5(self) -> str:
        return self._digest.hexdigest()

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        data = _each(self._data) if isinstance(self._data, bytes) else self._data
        async with aclosing(data):
            async for block in data:
                if len(block) >= THREAD_BYTES_MIN:
                    await asyncio.to_thread(self._digest.update, block)
                else:
                    self._digest.update(block)
                yield block


async def _each(data: bytes) -> AsyncGenerator[bytes, None]:
    yield data
