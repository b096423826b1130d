"""The writer pipeline: how the bytes of every object and part come into a location.

    source → decode → digests → hold back      (``digested_body``)
           → transform                          (``transform``; none by default)
           → location                           (``s3front.locations``)
             or, few bytes, the commit          (``s3front.locations.one_hop``)

PutObject and UploadPart have the body of their request as its source (``upload_body``), PostObject
the file of a form (``form_file``), the copies the bytes of another object (``object_reader``). What
comes out says all that a record has to know; whoever commits the record removes the bytes again
when it is refused.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from s3front.bodies.blob_reading import coded
from s3front.bodies.checksums import Algorithm
from s3front.bodies.digested_body import DigestedBody, Source, boot_seconds
from s3front.context import Context
from s3front.encryption.transform import Transform
from s3front.locations.base import DataStore, ObjectInfo, Stored, stored_blob
from s3front.metadata.gateway import Carried
from s3front.objects.object_record import Checksum
from s3front.s3_errors import S3Error
from shared import limits
from shared.records.data_location import STORED_SIZE, DataLocation

_SMALL_BYTES_MAX: Final = 256 * 1024
"""Objects up to this size are collected and verified before anything is sent on."""

_AT_ONCE_BYTES_MAX: Final = 1024 * 1024
"""So are those up to this size, as long as their source has room for all of their bytes."""


class Destination(msgspec.Struct, frozen=True, gc=False):
    """Where bytes go: to a store, which records know as the location ``name``, as ``part`` of what
    they are of (1 for an object)."""

    store: DataStore
    name: str
    info: ObjectInfo
    part: int = 1
    transform: Transform | None = None


class StoredBody(msgspec.Struct, frozen=True, gc=False):
    """Bytes that a location holds, ``size`` of them. No bytes need no blob, and have no location.

    ``complete_at``: a moment (``boot_seconds``) before the location could have made the first blob.
    ``carried``: they are few, and come with the commit of their record: nothing holds them before.
    """

    size: int
    md5: str
    checksums: Mapping[Algorithm, str]
    locations: Sequence[DataLocation]
    complete_at: float
    carried: Carried | None = None

    def checksum(self, algorithm: Algorithm) -> Checksum:
        """One of those that were computed."""
        return Checksum(algorithm.value, self.checksums[algorithm])


async def store_body(
    context: Context, source: Source, destination: Destination, wanted: Algorithm
) -> StoredBody:
    """Receive a body into a location, and compute a checksum of it as well as the declared one.

    When it fails, nothing is stored. Raises EntityTooLarge for more than one upload may have.
    """
    body, size = DigestedBody(source, wanted), source.size
    if size is None:
        return await _store_stretches(context, body, destination)
    if size > limits.OBJECT_BYTES_MAX:
        raise S3Error(
            "EntityTooLarge",
            fields={"ProposedSize": str(size), "MaxSizeAllowed": str(limits.OBJECT_BYTES_MAX)},
        )
    stored: Sequence[tuple[Stored, int]] = ()
    if size > _SMALL_BYTES_MAX:
        stored = ((await _store_large(destination, body, size), size),)
    elif data := await body.read():
        carried = await _carried(context, destination, data)
        if carried is not None:
            stored = ((Stored(carried.name, size), size),)
            return _stored_body(body, destination, stored, math.inf, carried)
        stored = ((await _put(destination, size, data), size),)
    return _stored_body(body, destination, stored, body.complete_at)


async def _store_large(destination: Destination, body: DigestedBody, size: int) -> Stored:
    """A body that is not small, as a blob: by this process itself, where it can."""
    at_once = size <= _AT_ONCE_BYTES_MAX
    file = None if destination.transform is not None else destination.store.new_file(size)
    data: bytes | AsyncGenerator[bytes, None]
    if file is None:
        reading = body.comes_at_once() if at_once else None
        data = body.blocks() if reading is None else await reading
    else:
        stored = await body.store(file, at_once=at_once)
        if isinstance(stored, Stored):
            return stored
        data = stored
    return await _put(destination, size, data)


async def _carried(context: Context, destination: Destination, data: bytes) -> Carried | None:
    """Bytes that come with the commit of their record; None for those that go to their location
    first."""
    one_hop = context.services.one_hop
    if one_hop is None or destination.transform is not None:
        return None
    bytes_max = one_hop.bytes_max(destination.store)
    if bytes_max is None:
        bytes_max = await one_hop.ask()
    if len(data) > bytes_max:
        return None
    return Carried(one_hop.new_name(), data, one_hop.directory)


async def give_up(context: Context, stored: StoredBody) -> None:
    """Let go of bytes whose record was refused. A failure is logged and not raised."""
    if stored.carried is None:
        await delete_data(context, stored.locations)
    elif context.services.one_hop is not None:
        context.services.one_hop.forget()


async def delete_data(context: Context, locations: Sequence[DataLocation]) -> None:
    """Delete bytes that were stored and that no record has ever named.

    A failure is logged and not raised: an unreferenced blob is found by garbage collection.
    """
    for location in locations:
        store = context.services.locations.holder(location)
        await _delete(context, store, stored_blob(location))


async def _delete(context: Context, store: DataStore, blob: Stored) -> None:
    try:
        await store.delete(blob)
    except S3Error as error:
        context.log.warning("could not delete unused data", data_key=blob.key, reason=str(error))


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


def _put(
    destination: Destination, size: int, body: bytes | AsyncGenerator[bytes, None]
) -> Awaitable[Stored]:
    """Store ``size`` bytes, or what the transform makes of them, as a blob."""
    store, transform = destination.store, destination.transform
    if transform is not None:
        blocks = _each((body,)) if isinstance(body, bytes) else body
        size, body = transform.stored_size(size), coded(blocks, transform.encoder())
    return store.put(size, body, destination.info)


async def _store_stretches(
    context: Context, body: DigestedBody, destination: Destination
) -> StoredBody:
    """A body whose size its end will say is stored in several blobs, each gathered before; the last
    of them when all has been verified."""
    stored: list[tuple[Stored, int]] = []
    complete_at = math.inf
    held: list[bytes] = []
    size = 0

    async def put() -> None:
        nonlocal complete_at
        complete_at = min(complete_at, boot_seconds())
        data = held[0] if len(held) == 1 else _each(tuple(held))
        stored.append((await _put(destination, size, data), size))

    try:
        async with aclosing(body.blocks()) as blocks:
            async for block in blocks:
                if size >= limits.FORM_STRETCH_BYTES:
                    await put()
                    held.clear()
                    size = 0
                held.append(block)
                size += len(block)
        if held:
            await put()
    except BaseException:  # a cancellation as well: no record will name what is stored
        for blob, _ in stored:
            await _delete(context, destination.store, blob)
        raise
    return _stored_body(body, destination, stored, complete_at)


def _stored_body(
    body: DigestedBody,
    destination: Destination,
    stored: Sequence[tuple[Stored, int]],
    complete_at: float,
    carried: Carried | None = None,
) -> StoredBody:
    """What records are to know; ``stored`` are the blobs, each with its plain size."""
    digests = body.digests
    md5 = digests.md5_hex()
    transform = destination.transform
    kept = None if transform is None else transform.members()
    locations = []
    start = 0
    for blob, size in stored:
        members = blob.members()
        if kept is not None:
            members = {**members, **kept, STORED_SIZE: blob.size}
        locations.append(
            DataLocation(
                key=blob.key,
                size=size,
                start=start,
                store_name=destination.name,
                store_type=destination.store.type,
                # Each of several blobs has the number of the part, and the MD5 of all of it.
                store_etag=f"{destination.part}:{blob.etag or md5}",
                members=members or None,
            )
        )
        start += size
    return StoredBody(digests.length, md5, digests.checksums(), locations, complete_at, carried)


async def _each(blocks: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for block in blocks:
        yield block
