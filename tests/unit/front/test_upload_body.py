"""The last byte of an upload is let go when all of it has been verified, however it arrives."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth.identity import Identity
from s3front.body import UploadBody
from s3front.request import Request
from shared.checksums import Algorithm
from shared.errors import ServiceError
from shared.sigv4 import AccessKey, PayloadForm, RequestHead, sign_request
from tests import aws_chunked
from tests.api.support import checksum_of

KEY = AccessKey("key", "secret")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
CRC32 = Algorithm.CRC32.header

SIZES = (10, 300_000)
"""One whose blocks are digested in the event loop, one whose blocks take a thread."""


class Arriving:
    """A body that arrives in these blocks."""

    def __init__(self, blocks: Sequence[bytes]) -> None:
        self._blocks = blocks
        self.length = sum(map(len, blocks))
        self.received = 0

    async def accept(self) -> None:
        raise AssertionError

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        for block in self._blocks:
            self.received += len(block)
            yield block


def let_go(identity: Identity, headers: dict[str, str], blocks: Sequence[bytes]) -> tuple[int, str]:
    """How many bytes of an upload were handed on, and the code of what it was refused with."""

    async def read() -> tuple[int, str]:
        request = Request(
            "PUT", "/b/k", CIMultiDictProxy(CIMultiDict(headers)), Arriving(blocks), "", True
        )
        size = 0
        try:
            async for block in UploadBody(identity, request).blocks():
                assert block
                size += len(block)
        except ServiceError as error:
            return size, error.code
        return size, ""

    return asyncio.run(read())


def cuts_of(body: bytes, end: int) -> list[list[bytes]]:
    """The body in blocks: what follows its last byte comes by itself, in one block or in many."""
    rest = body[end:]
    ways = [
        [body[:end], rest],
        [body[:end], *(rest[index : index + 1] for index in range(len(rest)))],
        [body[: end // 2], body[end // 2 : end], rest],
        [body[: end - 1], body[end - 1 : end + 1], body[end + 1 :]],
    ]
    return [[block for block in way if block] for way in ways]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wrong", [False, True])
@pytest.mark.parametrize("form", aws_chunked.STREAMING_FORMS)
def test_chunks(form: PayloadForm, wrong: bool, size: int) -> None:
    payload = bytes(size)
    trailers = {CRC32: checksum_of(Algorithm.CRC32, b"" if wrong else payload)}
    if form is PayloadForm.STREAMING_SIGNED:
        trailers = {}
    headers = {"x-amz-decoded-content-length": str(size), "x-amz-trailer": ",".join(trailers)}
    signed = sign_request(RequestHead("PUT", "/b/k", "", {"host": "a"}), KEY, NOW, form.value)
    body = aws_chunked.encode(payload, form, signed.stream, trailers)
    end = body.rindex(b"\r\n0" if form is PayloadForm.STREAMING_UNSIGNED_TRAILER else b"\r\n0;")
    if wrong and form is PayloadForm.STREAMING_SIGNED:
        body = body[:-6] + b"zz" + body[-4:]
    if not trailers:
        del headers["x-amz-trailer"]
    identity = Identity(None, signed.stream, form.value)
    for blocks in cuts_of(body, end):
        passed, code = let_go(identity, headers, blocks)
        assert passed < size if wrong else passed == size
        assert bool(code) == wrong


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wrong", [False, True])
def test_an_end_that_comes_by_itself(wrong: bool, size: int) -> None:
    """The end of a body in chunked transfer coding may be a block of nothing."""
    payload = bytes(size)
    digest = hashlib.md5(b"" if wrong else payload, usedforsecurity=False).digest()
    headers = {"Content-MD5": base64.b64encode(digest).decode()}
    blocks = [payload[: size // 2], payload[size // 2 :], b""]
    passed, code = let_go(Identity(None), headers, blocks)
    assert (passed, code) == ((size // 2, "BadDigest") if wrong else (size, ""))
