"""The body of a request as the bytes of an object, or as a document: what its headers declare."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import aclosing
from typing import Final

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
from s3front.port.request import Request
from s3front.s3_errors import S3Error, incomplete_body

_HASHED: Final = PayloadForm.HASHED
_UNSIGNED: Final = PayloadForm.UNSIGNED
_TRAILER_FORMS: Final = (
    PayloadForm.STREAMING_SIGNED_TRAILER,
    PayloadForm.STREAMING_UNSIGNED_TRAILER,
)


class UploadBody:
    """The body of a request, as its sender meant it: a ``digested_body.Source``.

    ``size`` is how long it must be, in bytes; ``expected`` what it must digest to. A ``document``
    may have no declared length, and is empty then, as HTTP has it.

    A checksum of an object in a presigned query counts for nothing, as with AWS: the signer, who
    put it there, does not know the body. (The SDK for JavaScript puts that of no bytes there;
    aws/aws-sdk-go-v2#2610, localstack#12169.) Documents are known to the signer.
    """

    def __init__(self, identity: Identity, request: Request, *, document: bool = False) -> None:
        headers = _lower(request)
        if request.hoisted and not document:
            headers = {
                name: value
                for name, value in headers.items()
                if name not in request.hoisted or not is_of_checksum(name)
            }
        self._body = request.body
        form = None if identity.payload is None else payload_form(identity.payload)
        self.expected = _expected_digests(identity, form, headers)
        self.decoder = _decoder(identity, form, headers)
        declared = self.expected.checksum
        self.algorithm = declared.algorithm if declared is not None else None
        """That of the checksum that the request declares."""
        if self.decoder is not None:
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

    def digests(self, wanted: Algorithm | None) -> BodyDigests:
        algorithms = [each for each in (self.algorithm, wanted) if each is not None]
        return BodyDigests(algorithms, sha256=self.expected.sha256_hex is not None)

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        decoder = self.decoder
        async with aclosing(self._body.blocks(gradually=decoder is not None)) as arriving:
            async for received in arriving:
                yield received
                if decoder is not None and decoder.chunk_held:
                    await self._body.hold(decoder.chunk_held)

    def read(self) -> Awaitable[Sequence[bytes]] | None:
        """However few the object's bytes are to be, more may be on the way."""
        return self._body.read() if self._body.comes_at_once() else None

    async def hold(self) -> None:
        await self._body.hold(self.size)

    def wrong_size(self, size: int) -> S3Error:
        return incomplete_body(self.size, size)

    def verify(self, digests: BodyDigests) -> None:
        expected = self.expected
        if self.decoder is not None:
            expected = with_trailer(expected, self.decoder.finish())
        if digests.length != self.size:
            raise incomplete_body(self.size, digests.length)
        verify_digests(expected, digests)


def _lower(request: Request) -> Mapping[str, str]:
    """The headers by their names in lower case; of a name that is there twice, the last."""
    if request.folded is not None:
        return request.folded
    return {name.lower(): value for name, value in request.headers.items()}


def _expected_digests(
    identity: Identity, form: PayloadForm | None, headers: Mapping[str, str]
) -> ExpectedDigests:
    checksum = expected_checksum(headers)
    if checksum is not None and checksum.in_trailer and form not in _TRAILER_FORMS:
        raise S3Error(
            "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"
        )
    return ExpectedDigests(
        decode_content_md5(headers.get("content-md5")),
        identity.payload if form is _HASHED else None,
        checksum,
    )


def _decoder(
    identity: Identity, form: PayloadForm | None, headers: Mapping[str, str]
) -> ChunkedDecoder | None:
    """The decoder of a streamed body, None for a plain one."""
    if form is None or form is _HASHED or form is _UNSIGNED:
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
