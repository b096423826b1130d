"""The writer pipeline: how the bytes of every object and part come into a location.

    source → decode → digests → hold back      (``digested_body``)
           → transform                          (``s3front.encryption``; none by default)
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
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from s3front.bodies.blob_reading import encrypted
from s3front.bodies.checksums import Algorithm
from s3front.bodies.digested_body import (
    AT_ONCE_BYTES_MAX,
    SMALL_BYTES_MAX,
    DigestedBody,
    Source,
)
from s3front.bodies.remote_writer import store_remotely
from s3front.bodies.stored_body import Destination, StoredBody, delete_blob, sealed, stored_body
from s3front.context import Context
from s3front.encryption.segments import stored_size
from s3front.locations.base import Stored
from s3front.metadata.gateway import Carried
from s3front.s3_errors import S3Error
from shared import limits
from shared.boot_clock import boot_seconds


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
        bytes_max = _carried_bytes_max(context, destination)
        if bytes_max is None:
            assert context.services.one_hop is not None
            bytes_max = await context.services.one_hop.ask()
        if (size if destination.sealing is None else stored_size(size)) <= bytes_max:
            return _carried(context, destination, body, data)
        stored = ((await _put(destination, size, data), size),)
    return stored_body(body.digests, destination, stored, body.complete_at)


async def _store_large(destination: Destination, body: DigestedBody, size: int) -> Stored:
    """A body that is not small, as a blob: by this process itself, where it can."""
    at_once = size <= AT_ONCE_BYTES_MAX
    sealing = destination.sealing
    transform = None if sealing is None else sealing.new_blob(destination.part)
    file = destination.store.new_file(size if transform is None else stored_size(size))
    data: bytes | AsyncGenerator[bytes, None]
    if file is None:
        reading = body.comes_at_once() if at_once else None
        data = body.blocks() if reading is None else await reading
    else:
        coder = None if transform is None else transform.encoder()
        stored = await body.store(file, at_once=at_once, coder=coder)
        if isinstance(stored, Stored):
            return stored if transform is None else sealed(stored, transform)
        data = stored
    return await _put(destination, size, data)


def _carried_bytes_max(context: Context, destination: Destination) -> int | None:
    """How many bytes may come with the commit of their record; -1 where none do, None where that
    has to be asked for."""
    one_hop = context.services.one_hop
    return -1 if one_hop is None else one_hop.bytes_max(destination.store)


def _carried(
    context: Context, destination: Destination, body: DigestedBody, data: bytes
) -> StoredBody:
    """Bytes that come with the commit of their record."""
    one_hop, sealing = context.services.one_hop, destination.sealing
    assert one_hop is not None
    name, size = one_hop.new_name(), len(data)
    if sealing is None:
        carried, blob, plain = Carried(name, data, one_hop.directory), Stored(name, size), None
    else:
        transform = sealing.new_blob(destination.part)
        content = transform.encoded(data)
        carried, plain = Carried(name, content, one_hop.directory), data
        blob = sealed(Stored(name, len(content)), transform)
    stored = ((blob, size),)
    return stored_body(body.digests, destination, stored, carried=carried, plain=plain)


async def _put(
    destination: Destination, size: int, body: bytes | AsyncGenerator[bytes, None]
) -> Stored:
    """Store ``size`` bytes, or what they are encrypted, as a blob."""
    store, sealing = destination.store, destination.sealing
    if sealing is None:
        return await store.put(size, body, destination.info)
    transform = sealing.new_blob(destination.part)
    size, body = encrypted(size, body, transform)
    return sealed(await store.put(size, body, destination.info), transform)


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
