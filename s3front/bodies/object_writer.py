"""The writer pipeline: how the bytes of every object and part come into a location.

    source → decode → digests → hold back      (``digested_body``)
           → transform                          (``transform``; none by default)
           → location                           (``s3front.locations``)
             or, few bytes, the commit          (``s3front.locations.one_hop``)
             or a place that others run         (``remote_writer``)

PutObject and UploadPart have the body of their request as its source (``upload_body``), PostObject
the file of a form (``form_file``), the copies the bytes of another object (``object_reader``). What
comes out says all that a record has to know; whoever commits the record removes the bytes again
when it is refused.
"""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing

from s3front.bodies.blob_reading import coded
from s3front.bodies.checksums import Algorithm
from s3front.bodies.digested_body import (
    AT_ONCE_BYTES_MAX,
    SMALL_BYTES_MAX,
    DigestedBody,
    Source,
    boot_seconds,
)
from s3front.bodies.remote_writer import store_remotely
from s3front.bodies.stored_body import Destination, StoredBody, delete_blob, stored_body
from s3front.context import Context
from s3front.locations.base import Stored
from s3front.metadata.gateway import Carried
from s3front.s3_errors import S3Error
from shared import limits


async def store_body(
    context: Context, source: Source, destination: Destination, wanted: Algorithm
) -> StoredBody:
    """Receive a body into a location, and compute a checksum of it as well as the declared one.

    When it fails, nothing is stored. Raises EntityTooLarge for more than one upload may have.
    """
    body, size = DigestedBody(source, wanted), source.size
    if size is not None and size > limits.OBJECT_BYTES_MAX:
        raise S3Error(
            "EntityTooLarge",
            fields={"ProposedSize": str(size), "MaxSizeAllowed": str(limits.OBJECT_BYTES_MAX)},
        )
    if not destination.store.capabilities.collected:
        return await store_remotely(context, body, destination, size)
    if size is None:
        return await _store_stretches(context, body, destination)
    stored: Sequence[tuple[Stored, int]] = ()
    if size > SMALL_BYTES_MAX:
        stored = ((await _store_large(destination, body, size), size),)
    elif data := await body.read():
        carried = await _carried(context, destination, data)
        if carried is not None:
            stored = ((Stored(carried.name, size), size),)
            return stored_body(body.digests, destination, stored, carried=carried)
        stored = ((await _put(destination, size, data), size),)
    return stored_body(body.digests, destination, stored, body.complete_at)


async def _store_large(destination: Destination, body: DigestedBody, size: int) -> Stored:
    """A body that is not small, as a blob: by this process itself, where it can."""
    at_once = size <= AT_ONCE_BYTES_MAX
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
            await delete_blob(context, destination.store, blob)
        raise
    return stored_body(body.digests, destination, stored, complete_at)


async def _each(blocks: Sequence[bytes]) -> AsyncGenerator[bytes, None]:
    for block in blocks:
        yield block
