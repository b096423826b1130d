"""Request bodies: decoded, verified, and handed to a location as they arrive.

``UploadBody`` is the body of an object. Rules:

1. Nothing is believed: the length, every chunk signature, the payload hash, Content-MD5 and the
   checksum are verified against the bytes received.
2. The block with the last byte is held back until all of that has been verified, so that a
   location, which stores a blob only when it is complete, never completes one that was refused.
3. Memory is bounded by some blocks, whatever the size of the object; large blocks are decoded and
   digested in a thread, which finds the next one there, while those before are sent on.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from dataclasses import dataclass
from typing import TypeVar

from s3front.auth.chunked import (
    ChunkedBody,
    ChunkedDecoder,
    parse_decoded_length,
    parse_trailer_names,
)
from s3front.auth.identity import Identity
from s3front.auth.sigv4 import PayloadForm, chunks_without_key, payload_form
from s3front.bodies.checksums import (
    Algorithm,
    BodyDigests,
    ExpectedDigests,
    decode_content_md5,
    expected_checksum,
    is_of_checksum,
    verify_digests,
    with_trailer,
)
from s3front.bodies.in_turn import InTurn
from s3front.context import Context
from s3front.locations.base import DataStore
from s3front.objects.object_record import Checksum
from s3front.port.request import Headers, Request
from s3front.s3_errors import S3Error, incomplete_body
from shared import limits

_THREAD_BYTES_MIN = 128 * 1024
"""Blocks from this size on are worth a thread hop."""

_DIGESTERS = ThreadPoolExecutor(thread_name_prefix="digests")
"""Apart from the event loop's own, so that large uploads keep nothing else waiting."""

_AHEAD = 1
"""Blocks that are being digested, or wait for that, when one is sent on."""

_SMALL_BYTES_MAX = 256 * 1024
"""Objects up to this size are collected and verified before anything is sent on."""

_ARRIVING_BYTES_MAX = 2 * _SMALL_BYTES_MAX
"""Bodies up to this size are read at once: what a small object may take in the coding that the
usual clients send it in."""

_Document = TypeVar("_Document")

_TRAILER_FORMS = (PayloadForm.STREAMING_SIGNED_TRAILER, PayloadForm.STREAMING_UNSIGNED_TRAILER)


class UploadBody:
    """The body of a request, as its sender meant it. Read it once, by ``read`` or ``blocks``.

    ``size`` is how long it must be, in bytes; ``expected`` what it must digest to. A ``document``
    may have no declared length, and is empty then, as HTTP has it.

    A checksum of an object in a presigned query counts for nothing, as with AWS: the signer, who
    put it there, does not know the body. (The SDK for JavaScript puts that of no bytes there;
    aws/aws-sdk-go-v2#2610, localstack#12169.) Documents are known to the signer.
    """

    def __init__(self, identity: Identity, request: Request, *, document: bool = False) -> None:
        headers = _lower(request.headers)
        if request.hoisted and not document:
            headers = {
                name: value
                for name, value in headers.items()
                if name not in request.hoisted or not is_of_checksum(name)
            }
        self._request = request
        self.expected = _expected_digests(identity, headers)
        self._decoder = _decoder(identity, headers)
        declared = self.expected.checksum
        self.algorithm = declared.algorithm if declared is not None else None
        """That of the checksum that the request declares."""
        self.complete_at = 0.0
        """When all of it had been verified (``boot_seconds``), once it has been read."""
        if self._decoder is not None:
            self.size = parse_decoded_length(headers.get("x-amz-decoded-content-length"))
        elif request.body.length is not None:
            self.size = request.body.length
        elif "transfer-encoding" in headers:
            # The length comes last in this coding, and S3 wants it first.
            raise S3Error("NotImplemented", fields={"Header": "Transfer-Encoding"})
        elif not document:
            raise S3Error("MissingContentLength")
        else:
            self.size = 0
        self._digested: BodyDigests | None = None

    @property
    def md5(self) -> str:
        """The ETag, once all has been read."""
        return self._digests.md5_hex()

    @property
    def checksums(self) -> Mapping[Algorithm, str]:
        """What was computed, once all has been read."""
        return self._digests.checksums()

    @property
    def _digests(self) -> BodyDigests:
        assert self._digested is not None, "the body has not been read"
        return self._digested

    async def blocks(self, wanted: Algorithm | None = None) -> AsyncGenerator[bytes, None]:
        """The object's bytes; the last of them come when everything has been verified.

        ``wanted`` is a checksum to compute beside the one that was declared.
        """
        self._begin(wanted)
        held = b""
        async with aclosing(self._taken()) as taken:
            async for block, length in taken:
                if length == self.size:
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
        # The first block of a coded body says how much has to be held: it is waited for.
        ahead = 0 if self._decoder is not None else _AHEAD
        async with (
            aclosing(self._request.body.blocks(gradually=self._decoder is not None)) as arriving,
            # Whatever happens, the thread has let go of the digests in the end.
            aclosing(InTurn(self._take, _DIGESTERS)) as digesting,
        ):
            async for received in arriving:
                if not pending and len(received) < _THREAD_BYTES_MIN:
                    yield self._take(received)
                else:
                    pending.append(digesting.submit(received))
                    if len(pending) > ahead:
                        yield await pending.popleft()
                ahead = _AHEAD
                if self._decoder is not None and self._decoder.chunk_held:
                    await self._request.body.hold(self._decoder.chunk_held)
            while pending:
                yield await pending.popleft()

    async def read(self, wanted: Algorithm | None = None) -> bytes:
        """The object's bytes at once, verified; for few of them. ``wanted`` is as for ``blocks``.

        However few they are to be, more may be on the way.
        """
        arriving = self._request.body.length
        if arriving is None or arriving > _ARRIVING_BYTES_MAX:
            await self._request.body.hold(self.size)
            return b"".join([block async for block in self.blocks(wanted)])
        self._begin(wanted)
        received = await self._request.body.read()
        if arriving < _THREAD_BYTES_MIN:
            data, _ = self._take(received)
        else:
            data, _ = await asyncio.to_thread(self._take, received)
        self._verify()
        return data

    def _begin(self, wanted: Algorithm | None) -> None:
        self._digested = BodyDigests(
            [each for each in (self.algorithm, wanted) if each is not None],
            sha256=self.expected.sha256_hex is not None,
        )

    def _take(self, received: bytes) -> tuple[bytes, int]:
        """Decode and digest a block; returns it, and the length up to its end.

        May run in a thread.
        """
        if self._decoder is not None:
            pieces = self._decoder.feed(received)
            received = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        digests = self._digests
        digests.update(received)
        if digests.length > self.size:
            raise incomplete_body(self.size, digests.length)
        return received, digests.length

    def _verify(self) -> None:
        expected, digests = self.expected, self._digests
        if self._decoder is not None:
            expected = with_trailer(expected, self._decoder.finish())
        if digests.length != self.size:
            raise incomplete_body(self.size, digests.length)
        verify_digests(expected, digests)
        self.complete_at = boot_seconds()


@dataclass(frozen=True, slots=True)
class StoredBody:
    """Bytes that a location holds. ``key`` is None for no bytes, which need no blob.

    ``complete_at``: a moment (``boot_seconds``) before the location could have made the blob.
    """

    key: str | None
    md5: str
    checksums: Mapping[Algorithm, str]
    complete_at: float

    def checksum(self, algorithm: Algorithm) -> Checksum:
        """One of those that were computed."""
        return Checksum(algorithm.value, self.checksums[algorithm])


async def store_body(body: UploadBody, store: DataStore, wanted: Algorithm) -> StoredBody:
    """Receive a body into a location, and compute a checksum of it as well as the declared one.

    When it fails, nothing is stored. Raises EntityTooLarge for more than one upload may have.
    """
    if body.size > limits.OBJECT_BYTES_MAX:
        raise S3Error(
            "EntityTooLarge",
            fields={
                "ProposedSize": str(body.size),
                "MaxSizeAllowed": str(limits.OBJECT_BYTES_MAX),
            },
        )
    key: str | None = None
    if body.size <= _SMALL_BYTES_MAX:
        data = await body.read(wanted)
        if data:
            key = await store.put(body.size, data)
    else:
        key = await store.put(body.size, body.blocks(wanted))
    return StoredBody(key, body.md5, body.checksums, body.complete_at)


async def store_copy(
    blocks: AsyncGenerator[bytes, None], size: int, store: DataStore, algorithm: Algorithm
) -> StoredBody:
    """Store bytes that come from another location, and digest them on the way."""
    digests = BodyDigests([algorithm])
    complete_at = boot_seconds()

    async def digested() -> AsyncGenerator[bytes, None]:
        nonlocal complete_at
        async for block in blocks:
            if len(block) >= _THREAD_BYTES_MIN:
                await asyncio.to_thread(digests.update, block)
            else:
                digests.update(block)
            complete_at = boot_seconds()
            yield block
        if digests.length != size:
            raise S3Error("InternalError")

    key: str | None = None
    if size <= _SMALL_BYTES_MAX:
        data = b"".join([block async for block in digested()])
        if data:
            key = await store.put(size, data)
    else:
        key = await store.put(size, digested())
    return StoredBody(key, digests.md5_hex(), digests.checksums(), complete_at)


def boot_seconds() -> float:
    """The time since the machine was started, with the time that it slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def read_document(
    context: Context,
    request: Request,
    bytes_max: int,
    *,
    digest_required: bool = False,
    may_be_empty: bool = False,
) -> bytes:
    """The body of a request that carries a document, verified, at most ``bytes_max`` long.

    ``digest_required``: S3 wants Content-MD5 or a checksum on DeleteObjects, and on what changes
    locks, but not on PutObjectTagging (versity/versitygw#1662). Raises MissingRequestBodyError
    for none, unless it ``may_be_empty``.
    """
    body = UploadBody(context.identity, request, document=True)
    if body.size > bytes_max:
        raise S3Error("MaxMessageLengthExceeded", fields={"MaxMessageLengthBytes": str(bytes_max)})
    if body.size == 0 and not may_be_empty:
        raise S3Error("MissingRequestBodyError")
    expected = body.expected
    if digest_required and expected.content_md5 is None and expected.checksum is None:
        raise S3Error(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
        )
    return await body.read()


async def interpreted(body: bytes, parse: Callable[[bytes], _Document]) -> _Document:
    """What ``parse`` makes of a document, in a thread if it is large; raises what it raises."""
    if len(body) <= limits.XML_INLINE_BYTES_MAX:
        return parse(body)
    return await asyncio.to_thread(parse, body)


def _lower(headers: Headers) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _expected_digests(identity: Identity, headers: dict[str, str]) -> ExpectedDigests:
    form = None if identity.payload is None else payload_form(identity.payload)
    checksum = expected_checksum(headers)
    if checksum is not None and checksum.in_trailer and form not in _TRAILER_FORMS:
        raise S3Error(
            "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"
        )
    return ExpectedDigests(
        decode_content_md5(headers.get("content-md5")),
        identity.payload if form is PayloadForm.HASHED else None,
        checksum,
    )


def _decoder(identity: Identity, headers: dict[str, str]) -> ChunkedDecoder | None:
    """The decoder of a streamed body, None for a plain one."""
    if identity.payload is None:
        return None
    form = payload_form(identity.payload)
    if form in (PayloadForm.HASHED, PayloadForm.UNSIGNED):
        return None
    if identity.stream_key is None and form is not PayloadForm.STREAMING_UNSIGNED_TRAILER:
        raise chunks_without_key()
    return ChunkedDecoder(
        ChunkedBody(
            form,
            parse_decoded_length(headers.get("x-amz-decoded-content-length")),
            identity.stream_key,
            parse_trailer_names(headers.get("x-amz-trailer")),
        )
    )
