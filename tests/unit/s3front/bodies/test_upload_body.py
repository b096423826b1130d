"""The last byte of an upload is let go when all of it has been verified, however it arrives."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from s3front.auth.identity import ANONYMOUS, UNSIGNED, Identity
from s3front.auth.sigv4 import AccessKey, PayloadForm, RequestHead, sign_request
from s3front.bodies.checksums import Algorithm
from s3front.bodies.digested_body import DigestedBody
from s3front.bodies.upload_body import UploadBody
from s3front.port.request import Request
from s3front.s3_errors import S3Error
from tests import aws_chunked
from tests.api.support import checksum_of
from tests.unit.s3front.pieces import Pieces

KEY = AccessKey("key", "secret")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
CRC32 = Algorithm.CRC32.header

SIZES = (10, 300_000)
"""One whose blocks are digested in the event loop, one whose blocks take a thread."""


def let_go(identity: Identity, headers: dict[str, str], blocks: Sequence[bytes]) -> tuple[int, str]:
    """How many bytes of an upload were handed on, and the code of what it was refused with."""

    async def handed_on() -> tuple[int, str]:
        size = 0
        try:
            async for block in upload(identity, headers, blocks).blocks():
                assert block
                size += len(block)
        except S3Error as error:
            return size, error.code
        return size, ""

    async def read() -> tuple[int, str]:
        try:
            return len(await upload(identity, headers, blocks).read()), ""
        except S3Error as error:
            return 0, error.code

    passed, code = asyncio.run(handed_on())
    at_once, same_code = asyncio.run(read())
    assert code == same_code
    assert at_once == (0 if code else passed)
    return passed, code


def upload(identity: Identity, headers: dict[str, str], blocks: Sequence[bytes]) -> DigestedBody:
    return upload_of(Pieces(blocks, sum(map(len, blocks))), identity, headers)


def upload_of(body: Pieces, identity: Identity, headers: dict[str, str]) -> DigestedBody:
    fields = CIMultiDictProxy(CIMultiDict(headers))
    request = Request("PUT", "/b/k", fields, body, "", True)
    return DigestedBody(UploadBody(identity, request))


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
    identity = Identity(ANONYMOUS, signed.stream, form.value)
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
    passed, code = let_go(Identity(ANONYMOUS), headers, blocks)
    assert (passed, code) == ((size // 2, "BadDigest") if wrong else (size, ""))


@pytest.mark.parametrize("size", SIZES)
def test_no_more_is_handed_on_than_was_declared(size: int) -> None:
    body = Pieces([bytes(size - 1), bytes(size)], size)
    handed_on = 0

    async def read() -> None:
        nonlocal handed_on
        async for block in upload_of(body, Identity(ANONYMOUS), {}).blocks():
            handed_on += len(block)

    with pytest.raises(S3Error, match="IncompleteBody"):
        asyncio.run(read())
    assert handed_on == size - 1


def test_many_bytes_for_few_are_not_read_at_once() -> None:
    """The coding of a body may be longer than what it holds, without end."""
    blocks = [b"1\r\n", b"a\r\n"] * 2_000_000
    headers = {"x-amz-decoded-content-length": "1"}
    identity = Identity(ANONYMOUS, None, PayloadForm.STREAMING_UNSIGNED_TRAILER.value)
    body = Pieces(blocks, sum(map(len, blocks)))
    with pytest.raises(S3Error, match="InvalidChunkSizeError"):
        asyncio.run(upload_of(body, identity, headers).read())
    assert body.received < 100


@pytest.mark.parametrize("form", aws_chunked.STREAMING_FORMS)
def test_the_form_of_a_body_is_no_question_of_who_sent_it(form: PayloadForm) -> None:
    """Nobody signed it: chunks are decoded all the same, unless they had to be signed."""
    payload = bytes(10)
    unsigned = form is PayloadForm.STREAMING_UNSIGNED_TRAILER
    trailers = {CRC32: checksum_of(Algorithm.CRC32, payload)} if unsigned else {}
    headers = {"x-amz-decoded-content-length": "10", "x-amz-trailer": ",".join(trailers)}
    if not trailers:
        del headers["x-amz-trailer"]
    signed = sign_request(RequestHead("PUT", "/b/k", "", {"host": "a"}), KEY, NOW, form.value)
    body = aws_chunked.encode(payload, form, signed.stream, trailers)
    identity = Identity(ANONYMOUS, None, form.value)
    if unsigned:
        assert let_go(identity, headers, [body]) == (10, "")
    else:
        with pytest.raises(S3Error, match="InvalidRequest"):
            upload(identity, headers, [body])


@pytest.mark.parametrize(
    ("digest", "code"), [(bytes(10), ""), (bytes(9), "XAmzContentSHA256Mismatch")]
)
def test_a_hash_that_nobody_signed_is_verified(digest: bytes, code: str) -> None:
    identity = Identity(ANONYMOUS, None, hashlib.sha256(digest).hexdigest())
    assert let_go(identity, {}, [bytes(10)]) == (0 if code else 10, code)


@pytest.mark.parametrize("value", [base64.b64encode(bytes(4)).decode(), "none", ""])
@pytest.mark.parametrize("name", [CRC32, CRC32.upper(), "Content-MD5", "x-amz-trailer", "X-Other"])
def test_headers_that_are_folded_mean_what_they_mean_else(name: str, value: str) -> None:
    fields = CIMultiDictProxy(CIMultiDict({"Content-Length": "1", name: value}))
    folded = {key.lower(): text for key, text in fields.items()}

    def meaning(folded: dict[str, str] | None) -> object:
        request = Request("PUT", "/b/k", fields, Pieces([b"a"], 1), "", True, folded)
        try:
            body = UploadBody(UNSIGNED, request)
        except S3Error as error:
            return error.code, error.fields
        return body.expected, body.algorithm, body.size

    assert meaning(folded) == meaning(None)
