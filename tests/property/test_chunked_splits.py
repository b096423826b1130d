"""The aws-chunked decoder gives the same result however the bytes of a body were split."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3front.auth.chunked import ChunkedBody, ChunkedDecoder
from s3front.auth.sigv4 import AccessKey, PayloadForm, RequestHead, sign_request
from s3front.s3_errors import S3Error
from tests.aws_chunked import STREAMING_FORMS, Style, encode

HEAD = RequestHead("PUT", "/b/k", "", {"host": "localhost"})
NOW = datetime(2024, 2, 29, tzinfo=UTC)
STREAM = sign_request(HEAD, AccessKey("AK", "secret"), NOW).stream
TRAILERS = {"x-amz-checksum-crc32": "DUoRhQ==", "x-amz-checksum-sha1": "x"}

# Payload and trailers, or the error's name, message and fields.
Outcome = tuple[bytes, dict[str, str]] | tuple[str, str, dict[str, str]]

forms = pytest.mark.parametrize("form", STREAMING_FORMS)
styles = st.builds(
    Style, chunk_bytes=st.integers(1, 12), minio=st.booleans(), upper_case=st.booleans()
)
payloads = st.binary(max_size=60)
damages = st.tuples(
    st.integers(0, 10_000),
    st.sampled_from(["flip", "drop", "insert", "append"]),
    st.binary(min_size=1, max_size=4) | st.sampled_from([b"\r\n", b"\n", b"0\r\n", b";", b":"]),
)


def trailers_of(form: PayloadForm) -> dict[str, str]:
    return {} if form is PayloadForm.STREAMING_SIGNED else TRAILERS


def outcome(body: ChunkedBody, pieces: list[bytes]) -> Outcome:
    decoder = ChunkedDecoder(body)
    payload = b""
    try:
        for piece in pieces:
            payload += b"".join(decoder.feed(piece))
        return payload, decoder.finish()
    except S3Error as error:
        return error.code, error.message, error.fields


def split(wire: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(cut % (len(wire) + 1) for cut in cuts), len(wire)]
    return [wire[a:b] for a, b in pairwise(places)]


def damage_wire(wire: bytes, place: int, change: str, junk: bytes) -> bytes:
    at = place % len(wire)
    return {
        "flip": wire[:at] + bytes([wire[at] ^ 1]) + wire[at + 1 :],
        "drop": wire[:at] + wire[at + 1 :],
        "insert": wire[:at] + junk + wire[at:],
        "append": wire + junk,
    }[change]


@forms
@given(payload=payloads, style=styles, cuts=st.lists(st.integers(0, 10_000), max_size=12))
def test_random_splits(form: PayloadForm, payload: bytes, style: Style, cuts: list[int]) -> None:
    trailers = trailers_of(form)
    body = ChunkedBody(form, len(payload), STREAM, frozenset(trailers), chunk_bytes_min=0)
    wire = encode(payload, form, STREAM, trailers, style)
    assert outcome(body, split(wire, cuts)) == (payload, trailers)


@forms
@pytest.mark.parametrize("minio", [False, True])
def test_every_split_in_two_and_every_byte_alone(form: PayloadForm, minio: bool) -> None:
    trailers = trailers_of(form)
    payload = b"0123456789"
    body = ChunkedBody(form, len(payload), STREAM, frozenset(trailers), chunk_bytes_min=0)
    wire = encode(payload, form, STREAM, trailers, Style(4, minio))
    for cut in range(len(wire) + 1):
        assert outcome(body, [wire[:cut], wire[cut:]]) == (payload, trailers)
    assert outcome(body, [bytes([byte]) for byte in wire]) == (payload, trailers)


@forms
def test_every_truncation_is_refused(form: PayloadForm) -> None:
    trailers = trailers_of(form)
    payload = b"0123456789"
    body = ChunkedBody(form, len(payload), STREAM, frozenset(trailers), chunk_bytes_min=0)
    wire = encode(payload, form, STREAM, trailers, Style(4))
    for end in range(len(wire)):
        error = outcome(body, [wire[:end]])
        assert error[0] in {"IncompleteBody", "MalformedTrailerError"}, wire[:end]


@forms
@given(
    payload=payloads,
    style=styles,
    damage=damages,
    cuts=st.lists(st.integers(0, 10_000), max_size=12),
    chunk_bytes_min=st.sampled_from([0, 8]),
)
def test_damaged_bodies_fail_alike_however_split(
    form: PayloadForm,
    payload: bytes,
    style: Style,
    damage: tuple[int, str, bytes],
    cuts: list[int],
    chunk_bytes_min: int,
) -> None:
    trailers = trailers_of(form)
    wire = encode(payload, form, STREAM, trailers, style)
    damaged = damage_wire(wire, *damage)
    body = ChunkedBody(form, len(payload), STREAM, frozenset(trailers), chunk_bytes_min)
    whole = outcome(body, [damaged])
    assert outcome(body, split(damaged, cuts)) == whole
    assert outcome(body, [bytes([byte]) for byte in damaged]) == whole
    if form is not PayloadForm.STREAMING_UNSIGNED_TRAILER and len(whole) == 2:
        assert whole[0] == payload, "a signed body that is accepted is the one that was signed"


@given(wire=st.binary(max_size=200), cuts=st.lists(st.integers(0, 10_000), max_size=12))
def test_nonsense_is_refused_alike(wire: bytes, cuts: list[int]) -> None:
    body = ChunkedBody(PayloadForm.STREAMING_UNSIGNED_TRAILER, 5)
    assert outcome(body, split(wire, cuts)) == outcome(body, [wire])
