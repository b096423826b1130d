"""The forms in which a body may come, as raw bytes: what each of them refuses.

What is accepted, and every digest that a body can be declared to have, is test_checksum_table.py.
"""

from __future__ import annotations

import random
from functools import lru_cache

import pytest

from s3front.auth.sigv4 import PayloadForm
from s3front.bodies.checksums import Algorithm
from tests import aws_chunked
from tests.api.support import checksum_of, new_name
from tests.raw_http import (
    Connection,
    Wire,
    call,
    exchange,
    random_cuts,
    sign,
    sign_chunked,
    with_body,
    with_wrong_chunk_signature,
)
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

SIGNED = PayloadForm.STREAMING_SIGNED
SIGNED_TRAILER = PayloadForm.STREAMING_SIGNED_TRAILER
UNSIGNED_TRAILER = PayloadForm.STREAMING_UNSIGNED_TRAILER
TRAILER_FORMS = (SIGNED_TRAILER, UNSIGNED_TRAILER)


@lru_cache
def payload_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.fixture(scope="module")
def uploads(front: Front) -> str:
    """A bucket for the uploads of this module."""
    name = new_name()
    assert call(front, "PUT", f"/{name}").status == 200
    return name


def refusal_of(front: Front, request: Wire) -> tuple[int, str]:
    """Status and code of the answer; the request must have left no object."""
    target = request.head.split(b" ")[1].decode()
    with Connection(front) as client:
        error = client.exchange(request).error
    assert call(front, "HEAD", target).status == 404
    return int(error["status"]), error["Code"]


@pytest.mark.parametrize("suffix", ["", "-TRAILER"])
def test_asymmetric_signatures_are_refused(front: Front, uploads: str, suffix: str) -> None:
    form = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" + suffix
    request = sign(front, "PUT", f"/{uploads}/ecdsa", b"0\r\n\r\n", payload=form)
    assert refusal_of(front, request) == (501, "NotImplemented")


@pytest.mark.parametrize("form", [PayloadForm.HASHED, PayloadForm.UNSIGNED])
def test_a_plain_body_has_no_trailer(front: Front, uploads: str, form: PayloadForm) -> None:
    headers = {"x-amz-trailer": Algorithm.CRC32.header}
    payload = None if form is PayloadForm.HASHED else form.value
    request = sign(front, "PUT", f"/{uploads}/announced", b"body", headers, payload=payload)
    assert refusal_of(front, request) == (400, "InvalidRequest")


def test_a_body_of_signed_chunks_without_trailer_announces_none(front: Front, uploads: str) -> None:
    headers = {"x-amz-trailer": Algorithm.CRC32.header}
    request = sign_chunked(front, f"/{uploads}/announced", b"body", SIGNED, headers=headers)
    assert refusal_of(front, request) == (400, "InvalidRequest")


@pytest.mark.parametrize("form", TRAILER_FORMS)
def test_an_announced_trailer_must_come(front: Front, uploads: str, form: PayloadForm) -> None:
    headers = {"x-amz-trailer": Algorithm.CRC32.header}
    request = sign_chunked(front, f"/{uploads}/missing", b"body", form, headers=headers)
    assert refusal_of(front, request) == (400, "MalformedTrailerError")


@pytest.mark.parametrize("form", TRAILER_FORMS)
def test_a_trailer_that_nobody_announced(front: Front, uploads: str, form: PayloadForm) -> None:
    silent = sign_chunked(front, f"/{uploads}/unannounced", b"body", form)
    body = silent.body.removesuffix(b"\r\n") + b"x-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    assert refusal_of(front, with_body(silent, body)) == (400, "MalformedTrailerError")


@pytest.mark.parametrize("form", TRAILER_FORMS)
def test_a_trailer_that_is_no_checksum(front: Front, uploads: str, form: PayloadForm) -> None:
    request = sign_chunked(front, f"/{uploads}/other", b"body", form, {"x-amz-meta-late": "value"})
    assert refusal_of(front, request) == (400, "InvalidRequest")


def test_a_trailer_whose_signature_is_wrong(front: Front, uploads: str) -> None:
    trailers = {Algorithm.CRC32.header: checksum_of(Algorithm.CRC32, b"body")}
    upload = sign_chunked(front, f"/{uploads}/forged", b"body", SIGNED_TRAILER, trailers)
    body = upload.body[: -len("0\r\n\r\n")] + b"?\r\n\r\n"
    assert refusal_of(front, with_body(upload, body)) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("form", [SIGNED, SIGNED_TRAILER])
@pytest.mark.parametrize("chunk", [0, 1, 15, 16])
def test_a_chunk_whose_signature_is_wrong(
    front: Front, uploads: str, form: PayloadForm, chunk: int
) -> None:
    """Of 16 chunks and the empty one at the end."""
    upload = sign_chunked(front, f"/{uploads}/forged-{chunk}", payload_of(1024 * 1024), form)
    request = with_wrong_chunk_signature(upload, chunk)
    assert refusal_of(front, request) == (403, "SignatureDoesNotMatch")


def test_chunks_in_another_order(front: Front, uploads: str) -> None:
    upload = sign_chunked(front, f"/{uploads}/reordered", payload_of(3 * 65536), SIGNED)
    first, second, rest = chunks_of(upload.body, 2)
    request = with_body(upload, second + first + rest)
    assert refusal_of(front, request) == (403, "SignatureDoesNotMatch")


def test_a_chunk_left_out(front: Front, uploads: str) -> None:
    upload = sign_chunked(front, f"/{uploads}/cut", payload_of(3 * 65536), UNSIGNED_TRAILER)
    _, rest = chunks_of(upload.body, 1)
    assert refusal_of(front, with_body(upload, rest)) == (400, "IncompleteBody")


def chunks_of(body: bytes, count: int) -> list[bytes]:
    """The first chunks of 64 KiB, line and data, and what follows them."""
    size = body.index(b"\r\n") + 2 + 65536 + 2
    return [
        *(body[size * index : size * (index + 1)] for index in range(count)),
        body[size * count :],
    ]


@pytest.mark.parametrize("form", aws_chunked.STREAMING_FORMS)
@pytest.mark.parametrize("cut", [1, 5, 100, 70_000])
def test_a_chunked_body_that_ends_early(
    front: Front, uploads: str, form: PayloadForm, cut: int
) -> None:
    """The request is whole, as its Content-Length counts what there is."""
    upload = sign_chunked(front, f"/{uploads}/short", payload_of(100_000), form)
    request = with_body(upload, upload.body[:-cut])
    assert refusal_of(front, request) == (400, "IncompleteBody")


@pytest.mark.parametrize("form", aws_chunked.STREAMING_FORMS)
@pytest.mark.parametrize("difference", [-1, 1, 1_000_000])
def test_a_decoded_length_that_is_wrong(
    front: Front, uploads: str, form: PayloadForm, difference: int
) -> None:
    declared = {"x-amz-decoded-content-length": str(70_000 + difference)}
    request = sign_chunked(front, f"/{uploads}/length", payload_of(70_000), form, headers=declared)
    assert refusal_of(front, request) == (400, "IncompleteBody")


@pytest.mark.parametrize("length", ["", "-1", "+5", "5.0", "abc", "9" * 40])
def test_a_decoded_length_that_is_none(front: Front, uploads: str, length: str) -> None:
    declared = {"x-amz-decoded-content-length": length}
    request = sign_chunked(front, f"/{uploads}/length", b"body", SIGNED, headers=declared)
    assert refusal_of(front, request) == (411, "MissingContentLength")


def test_chunks_that_are_too_small(front: Front, uploads: str) -> None:
    target = f"/{uploads}/small"
    body = b"1\r\na\r\n" * 2 + b"0\r\n\r\n"
    request = with_body(sign_chunked(front, target, b"aa", UNSIGNED_TRAILER), body)
    assert refusal_of(front, request) == (400, "InvalidChunkSizeError")


@pytest.mark.parametrize("form", aws_chunked.STREAMING_FORMS)
def test_both_chunked_encodings_at_once(front: Front, uploads: str, form: PayloadForm) -> None:
    """HTTP's own chunks around AWS's; the decoded length says how long the object is."""
    target = f"/{uploads}/twice-{form.name}"
    payload = payload_of(70_000)
    headers = {"Transfer-Encoding": "chunked"}
    request = sign_chunked(front, target, payload, form, headers=headers)
    pieces = [request.body[start : start + 9999] for start in range(0, len(request.body), 9999)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert exchange(front, Wire("PUT", request.head, body)).status == 200
    assert call(front, "GET", target).body == payload


@pytest.mark.parametrize("right", [True, False])
def test_deleting_objects_with_a_checksum_in_the_trailer(
    front: Front, uploads: str, right: bool
) -> None:
    assert call(front, "PUT", f"/{uploads}/a", b"", {"Content-Length": "0"}).status == 200
    document = b"<Delete><Object><Key>a</Key></Object></Delete>"
    summed = document if right else document + b" "
    trailers = {Algorithm.CRC32.header: checksum_of(Algorithm.CRC32, summed)}
    request = sign_chunked(
        front, f"/{uploads}", document, UNSIGNED_TRAILER, trailers, method="POST", query="delete"
    )
    response = exchange(front, request)
    assert response.status == (200 if right else 400)
    assert call(front, "HEAD", f"/{uploads}/a").status == (404 if right else 200)


LARGE_BYTES = 9 * 1024 * 1024
"""More than one of the blocks in which the server takes large bodies from the socket."""


def large_upload(
    front: Front, target: str, form: PayloadForm, headers: dict[str, str] | None = None
) -> Wire:
    body = payload_of(LARGE_BYTES)
    if form in aws_chunked.STREAMING_FORMS:
        return sign_chunked(front, target, body, form, headers=headers)
    payload = None if form is PayloadForm.HASHED else form.value
    return sign(front, "PUT", target, body, headers, payload=payload)


@pytest.mark.parametrize("form", PayloadForm)
def test_a_large_body_cut_at_random(front: Front, uploads: str, form: PayloadForm) -> None:
    target = f"/{uploads}/large-{form.name}"
    request = large_upload(front, target, form)
    with Connection(front) as client:
        for seed in range(2):
            cuts = random_cuts(len(bytes(request)), 20, seed)
            assert client.exchange(request, cuts).status == 200
            assert client.exchange(sign(front, "GET", target)).body == payload_of(LARGE_BYTES)


@pytest.mark.parametrize("form", PayloadForm)
@pytest.mark.parametrize("place", [0.4, 0.999])  # in the data of a chunk
def test_a_large_body_that_is_not_what_was_signed(
    front: Front, uploads: str, form: PayloadForm, place: float
) -> None:
    """The connection that brought it goes on, whatever of it was not read."""
    target = f"/{uploads}/altered-{form.name}-{place}"
    wrong = {Algorithm.CRC32.header: checksum_of(Algorithm.CRC32, b"else")}
    request = large_upload(front, target, form)
    if form in (PayloadForm.UNSIGNED, UNSIGNED_TRAILER):
        request = sign(
            front, "PUT", target, payload_of(LARGE_BYTES), wrong, payload="UNSIGNED-PAYLOAD"
        )
    body = bytearray(request.body)
    body[int(len(body) * place)] ^= 1
    with Connection(front) as client:
        refused = client.exchange(with_body(request, bytes(body)))
        assert (refused.status, refused.error["Code"]) in (
            (400, "BadDigest"),
            (400, "XAmzContentSHA256Mismatch"),
            (403, "SignatureDoesNotMatch"),
        )
        assert client.exchange(sign(front, "HEAD", target)).status == 404


@pytest.mark.parametrize("form", PayloadForm)
def test_a_wrong_upload_leaves_what_was_there(
    front: Front, uploads: str, form: PayloadForm
) -> None:
    target = f"/{uploads}/kept-{form.name}"
    assert call(front, "PUT", target, b"first").status == 200
    wrong = {Algorithm.SHA1.header: checksum_of(Algorithm.SHA1, b"else")}
    if form in TRAILER_FORMS:
        request = sign_chunked(front, target, b"second", form, wrong)
    elif form is SIGNED:
        request = sign_chunked(front, target, b"second", form, headers=wrong)
    else:
        payload = None if form is PayloadForm.HASHED else form.value
        request = sign(front, "PUT", target, b"second", wrong, payload=payload)
    assert exchange(front, request).status == 400
    assert call(front, "GET", target).body == b"first"
