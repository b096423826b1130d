"""The first stages of every write: the bytes of an object are decoded, digested and verified as
they arrive, wherever they come from.

Rules:

1. Nothing is believed: the source says what its bytes must be, and is asked when all are there.
2. The block with the last byte is held back until then, so that a location, which stores a blob
   only when it is complete, never completes one that was refused. Of a source that does not know
   its size, what comes last is the reader's to hold back: ``blocks`` ends without an error only
   when all was verified.
3. Memory is bounded by some blocks, whatever the size of the object; large blocks are decoded and
   digested in a thread, which finds the next one there, while those before are sent on.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any, Final, Protocol, TypeVar, TypeVarTuple

from s3front.bodies.checksums import Algorithm, BodyDigests
from s3front.bodies.in_turn import THREAD_BYTES_MIN, InTurn
from s3front.encryption.segments import Encoder
from s3front.locations.base import BlobFile, Stored
from s3front.s3_errors import S3Error
from shared.boot_clock import boot_seconds

_Arguments = TypeVarTuple("_Arguments")
_T = TypeVar("_T")

_DIGESTERS_MAX: Final = (os.cpu_count() or 1) + 4

_DIGESTERS: Final = ThreadPoolExecutor(_DIGESTERS_MAX, thread_name_prefix="digests")
"""Apart from the event loop's own, so that large uploads keep nothing else waiting."""

_WRITERS: Final = ThreadPoolExecutor(32, thread_name_prefix="files")
"""For what waits for the disk most of the time: as many as the data daemon has."""

_TURNS: Final = threading.Semaphore(_DIGESTERS_MAX)
"""One for each of them that may compute digests: more would keep the event loop waiting."""

SMALL_BYTES_MAX: Final = 256 * 1024
"""Objects up to this size are collected and verified before anything is sent on."""

AT_ONCE_BYTES_MAX: Final = 1024 * 1024
"""So are those up to this size, as long as their source has room for all of their bytes."""

_AHEAD: Final = 1
"""Blocks that are being digested, or wait for that, when one is sent on."""


class Decoder(Protocol):
    """What takes the coding off a body (``s3front.auth.chunked``)."""

    def feed(self, data: bytes) -> Sequence[bytes]:
        """Take the next bytes; returns those of the object that became available."""


class Source(Protocol):
    """Where the bytes of an object come from. They are read once, by ``blocks`` or ``read``."""

    @property
    def size(self) -> int | None:
        """How many bytes the object must have; None when only their end says it."""

    @property
    def decoder(self) -> Decoder | None:
        """What takes the coding off, None for bytes that have none."""

    def digests(self, wanted: Algorithm | None) -> BodyDigests:
        """New digests, of what the source wants and ``wanted``."""

    def blocks(self) -> AsyncGenerator[bytes, None]:
        """The bytes as they come, with their coding."""

    def read(self) -> Awaitable[Sequence[bytes]] | None:
        """All the bytes at once, in some pieces, with their coding; None when too many may come
        for that."""

    async def hold(self) -> None:
        """Make room for all of the object, for a reader that gathers what ``blocks`` gives."""

    def wrong_size(self, size: int) -> S3Error:
        """What to raise for an object of another ``size``."""

    def verify(self, digests: BodyDigests) -> None:
        """All bytes are there: raises S3Error unless they are what they must be."""


class DigestedBody:
    """The object's bytes. Read them once, by ``read`` or ``blocks``.

    ``wanted`` is a checksum to compute beside those that the source wants.
    """

    def __init__(self, source: Source, wanted: Algorithm | None = None) -> None:
        self._source = source
        self._size = source.size
        self._decoder = source.decoder
        self.digests = source.digests(wanted)
        """Of the bytes so far."""
        self.complete_at = 0.0
        """When all of it had been verified (``boot_seconds``), once it has been read."""

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """The bytes in order; the last of them come when everything has been verified."""
        size, held = self._size, b""
        async with aclosing(self._taken()) as taken:
            async for block, length in taken:
                if length == size:
                    # It holds the last byte, or is empty: what follows that is only verified.
                    held = block or held
                elif block:
                    yield block
        self._verify()
        if held:
            yield held

    async def _taken(self) -> AsyncGenerator[tuple[bytes, int], None]:
        """The blocks, decoded and digested, each with the length up to its end.

        The next one is worked on while the last is sent on.
        """
        pending: deque[asyncio.Future[tuple[bytes, int]]] = deque()
        # The source of a coded body learns from the first block how much it has to hold.
        ahead = 0 if self._decoder is not None else _AHEAD
        async with (
            aclosing(self._source.blocks()) as arriving,
            # Whatever happens, the thread has let go of the digests in the end.
            aclosing(InTurn(self._take, _DIGESTERS)) as digesting,
        ):
            async for received in arriving:
                if not pending and len(received) < THREAD_BYTES_MIN:
                    yield self._take(received)
                else:
                    pending.append(digesting.submit(received))
                    if len(pending) > ahead:
                        yield await pending.popleft()
                ahead = _AHEAD
            while pending:
                yield await pending.popleft()

    def read(self) -> Coroutine[Any, Any, bytes]:
        """The bytes at once, verified; for few of them."""
        reading = self._source.read()
        return self._gathered() if reading is None else self._whole(reading)

    async def _gathered(self) -> bytes:
        await self._source.hold()
        return b"".join([block async for block in self.blocks()])

    def comes_at_once(self) -> Awaitable[bytes] | None:
        """The same if the source gives all at once; else None, and nothing has been read."""
        reading = self._source.read()
        return None if reading is None else self._whole(reading)

    async def store(
        self, file: BlobFile, *, at_once: bool, coder: Encoder | None = None
    ) -> Stored | bytes:
        """Store the bytes in a file, or what ``coder`` makes of them. ``at_once``: they may be
        gathered before, if their source gives all at once; returns them then when they could not
        be stored.

        Raises S3Error, having left nothing behind.
        """
        reading = self._source.read() if at_once else None
        if reading is not None:
            return await _in_writer(file, self._store_pieces, file, await reading, coder)
        try:
            await self._write(file, coder)
            self._verify()
        except BaseException:
            _WRITERS.submit(file.discard)
            raise
        return await _in_writer(file, file.publish)

    async def _write(self, file: BlobFile, coder: Encoder | None) -> None:
        """Write the blocks; the next ones are digested while one is written."""

        def write(pieces: Sequence[bytes]) -> None:
            file.write(pieces if coder is None else [coder.update(piece) for piece in pieces])

        written: asyncio.Future[None] | None = None
        async with (
            aclosing(self._taken()) as taken,
            # Whatever happens, the thread has let go of the file in the end.
            aclosing(InTurn(write, _WRITERS)) as writing,
        ):
            async for block, _ in taken:
                if not block:
                    continue
                if written is not None:
                    await written
                written = writing.submit((block,))
            if written is not None:
                await written
        if coder is not None:
            await asyncio.get_running_loop().run_in_executor(_WRITERS, file.write, [coder.finish()])

    def _store_pieces(
        self, file: BlobFile, received: Sequence[bytes], coder: Encoder | None
    ) -> Stored | bytes:
        """Decode, digest, verify, encode and store all of the bytes, in a thread."""
        with _TURNS:
            pieces = [self._take(piece)[0] for piece in received]
        self._verify()
        if coder is None:
            return file.store(pieces) or b"".join(pieces)
        made = [*map(coder.update, pieces), coder.finish()]
        return file.store(made) or b"".join(pieces)

    async def _whole(self, reading: Awaitable[Sequence[bytes]]) -> bytes:
        pieces = await reading
        received = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(received) < THREAD_BYTES_MIN:
            data, _ = self._take(received)
        else:
            loop = asyncio.get_running_loop()
            data, _ = await loop.run_in_executor(_DIGESTERS, self._take, received)
        self._verify()
        return data

    def _take(self, received: bytes) -> tuple[bytes, int]:
        """Decode and digest a block; returns it, and the length up to its end.

        May run in a thread.
        """
        if self._decoder is not None:
            pieces = self._decoder.feed(received)
            received = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        digests = self.digests
        digests.update(received)
        if self._size is not None and digests.length > self._size:
            raise self._source.wrong_size(digests.length)
        return received, digests.length

    def _verify(self) -> None:
        self._source.verify(self.digests)
        self.complete_at = boot_seconds()


async def _in_writer(file: BlobFile, call: Callable[[*_Arguments], _T], *args: *_Arguments) -> _T:
    """Call a function that stores a file, in a thread. What fails leaves nothing. When this is
    cancelled the thread goes on to its end, and what it has stored is removed."""
    loop = asyncio.get_running_loop()
    storing = loop.run_in_executor(_WRITERS, call, *args)
    try:
        return await asyncio.shield(storing)
    except BaseException:
        storing.add_done_callback(lambda _: _WRITERS.submit(file.discard))
        raise
