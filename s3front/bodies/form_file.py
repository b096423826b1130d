"""The file of a form as the bytes of an object. How long it is shows only when it ends."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import aclosing

from s3front.bodies.checksums import (
    Algorithm,
    BodyDigests,
    ExpectedDigests,
    decode_content_md5,
    expected_checksum,
    verify_digests,
)
from s3front.port.request import Headers, RequestBody
from s3front.s3_errors import S3Error
from shared import limits


class FormFile:
    """A ``digested_body.Source``; ``fields`` are those of the form, ``expected`` what they declare.

    Raises InvalidRequest, InvalidDigest.
    """

    size = None
    decoder = None

    def __init__(self, fields: Headers, body: RequestBody) -> None:
        lower = {name.lower(): value for name, value in fields.items()}
        checksum = expected_checksum(lower)
        if checksum is not None and checksum.in_trailer:
            raise S3Error(
                "InvalidRequest", "The value specified in the x-amz-trailer header is not supported"
            )
        md5 = decode_content_md5(lower.get("content-md5"))
        self.expected = ExpectedDigests(md5, None, checksum)
        self.algorithm = checksum.algorithm if checksum is not None else None
        """That of the checksum that the form declares."""
        self._body = body

    def digests(self, wanted: Algorithm | None) -> BodyDigests:
        return BodyDigests([each for each in (self.algorithm, wanted) if each is not None])

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        await self.hold()
        async with aclosing(self._body.blocks()) as blocks:
            async for block in blocks:
                yield block

    def read(self) -> Awaitable[Sequence[bytes]] | None:
        return None

    async def hold(self) -> None:
        """Room for a stretch of it, which is what is gathered."""
        await self._body.hold(limits.FORM_STRETCH_BYTES)

    def wrong_size(self, size: int) -> S3Error:
        raise AssertionError(f"a form does not say how long its file is, this one has {size}")

    def verify(self, digests: BodyDigests) -> None:
        verify_digests(self.expected, digests)
