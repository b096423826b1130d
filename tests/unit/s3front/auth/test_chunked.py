"""The aws-chunked decoder: published bodies, the forms of real clients, and refusals."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from s3front.auth.chunked import (
    ChunkedBody,
    ChunkedDecoder,
    parse_decoded_length,
    parse_trailer_names,
)
from s3front.auth.sigv4 import AccessKey, PayloadForm, RequestHead, StreamKey, sign_request, verify
from s3front.auth.sigv4_claim import header_claim
from s3front.s3_errors import S3Error
from shared.limits import CHUNK_BYTES_MAX, CHUNK_HEADER_BYTES_MAX, TRAILER_BYTES_MAX
from tests.aws_chunked import STREAMING_FORMS, Style, encode, sign

KEY = AccessKey("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
NOW = datetime(2013, 5, 24, tzinfo=UTC)
HEAD = RequestHead("PUT", "/examplebucket/chunkObject.txt", "", {"host": "s3.amazonaws.com"})
STREAM = sign_request(HEAD, KEY, NOW, PayloadForm.STREAMING_SIGNED.value).stream
CRC = "x-amz-checksum-crc64nvme"
TRAILERS = {CRC: "M3eFcAZSQlc="}
SIGNED = PayloadForm.STREAMING_SIGNED
SIGNED_TRAILER = PayloadForm.STREAMING_SIGNED_TRAILER
UNSIGNED = PayloadForm.STREAMING_UNSIGNED_TRAILER

forms = pytest.mark.parametrize("form", STREAMING_FORMS)


def trailers_of(form: PayloadForm) -> dict[str, str]:
    return {} if form is SIGNED else TRAILERS


def body_of(form: PayloadForm, decoded_bytes: int, **options: object) -> ChunkedBody:
    names = options.pop("trailers", frozenset(trailers_of(form)))
    return ChunkedBody(form, decoded_bytes, STREAM, names, **options)  # type: ignore[arg-type]


def decode(body: ChunkedBody, wire: bytes) -> tuple[bytes, dict[str, str]]:
    decoder = ChunkedDecoder(body)
    return b"".join(decoder.feed(wire)), decoder.finish()


def refusal(body: ChunkedBody, wire: bytes) -> S3Error:
    with pytest.raises(S3Error) as caught:
        decode(body, wire)
    return caught.value


def unsigned_refusal(wire: bytes, decoded_bytes: int = 10) -> S3Error:
    return refusal(ChunkedBody(UNSIGNED, decoded_bytes, None, frozenset({CRC})), wire)


def assert_unexpected_end(error: S3Error) -> None:
    assert error.code == "IncompleteBody"
    assert error.message == "The request body terminated unexpectedly"
    assert error.fields == {}


# --- What is accepted ----------------------------------------------------------------------------


def published(form: PayloadForm, headers: dict[str, str]) -> StreamKey:
    sent = {
        **HEAD.headers,
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        **headers,
    }
    head = RequestHead(HEAD.method, HEAD.raw_path, "", sent)
    return sign_request(head, KEY, NOW, form.value).stream


def test_published_streaming_body() -> None:
    wire = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"
        b"\r\n" + b"a" * 65536 + b"\r\n"
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n"
        + b"a"
        * 1024
        + b"\r\n"
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n"
        b"\r\n"
    )
    assert len(wire) == 66824
    stream = published(SIGNED, {"content-length": "66824"})
    assert encode(b"a" * 66560, SIGNED, stream) == wire
    assert decode(ChunkedBody(SIGNED, 66560, stream), wire) == (b"a" * 66560, {})


def test_published_trailer_body() -> None:
    wire = (
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"
        b"\r\n" + b"a" * 65536 + b"\r\n"
        b"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n"
        + b"a"
        * 1024
        + b"\r\n"
        b"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
        b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"
        b"\r\n\r\n"
    )
    trailers = {"x-amz-checksum-crc32c": "sOO8/Q=="}
    stream = published(SIGNED_TRAILER, {"x-amz-trailer": "x-amz-checksum-crc32c"})
    assert encode(b"a" * 66560, SIGNED_TRAILER, stream, trailers) == wire
    body = ChunkedBody(SIGNED_TRAILER, 66560, stream, frozenset(trailers))
    assert decode(body, wire) == (b"a" * 66560, trailers)


@forms
@pytest.mark.parametrize("minio", [False, True])
@pytest.mark.parametrize("size", [0, 1, 8191, 8192, 8193, 20000])
def test_forms_of_clients(form: PayloadForm, minio: bool, size: int) -> None:
    style = Style(8192, minio, upper_case=not minio)
    payload = bytes(range(256)) * 79
    trailers = trailers_of(form)
    wire = encode(payload[:size], form, STREAM, trailers, style)
    assert decode(body_of(form, size), wire) == (payload[:size], trailers)


@forms
def test_a_whole_signed_upload(form: PayloadForm) -> None:
    trailers = trailers_of(form)
    upload = sign(HEAD, KEY, NOW, b"hello", form, trailers)
    head = RequestHead(HEAD.method, HEAD.raw_path, "", upload.headers)
    stream = verify(head, header_claim(head, NOW), KEY.secret)
    body = ChunkedBody(
        PayloadForm(upload.headers["x-amz-content-sha256"]),
        parse_decoded_length(upload.headers["x-amz-decoded-content-length"]),
        stream,
        parse_trailer_names(upload.headers.get("x-amz-trailer")),
    )
    assert decode(body, upload.body) == (b"hello", trailers)


@pytest.mark.parametrize("form", [SIGNED_TRAILER, UNSIGNED])
def test_a_trailer_form_without_trailers(form: PayloadForm) -> None:
    wire = encode(b"hello", form, STREAM)
    assert decode(body_of(form, 5, trailers=frozenset()), wire) == (b"hello", {})


def test_a_signed_trailer_form_without_any_trailer_section() -> None:
    wire = encode(b"hello", SIGNED, STREAM)
    assert decode(body_of(SIGNED_TRAILER, 5, trailers=frozenset()), wire) == (b"hello", {})


def test_an_unsigned_chunk_may_carry_an_extension_and_be_larger_than_signed_ones() -> None:
    size = CHUNK_BYTES_MAX + 1
    body = ChunkedBody(UNSIGNED, size)
    data, _ = decode(body, b"%x;note=1\r\n%b\r\n0;\r\n\r\n" % (size, bytes(size)))
    assert len(data) == size


def test_trailer_names_in_any_case_and_values_are_trimmed() -> None:
    wire = b"5\r\nhello\r\n0\r\nX-Amz-Checksum-CRC64NVME : \tM3eFcAZSQlc= \r\n\r\n"
    body = ChunkedBody(UNSIGNED, 5, None, frozenset({CRC}))
    assert decode(body, wire) == (b"hello", TRAILERS)


def test_unsigned_payload_is_returned_as_it_arrives() -> None:
    decoder = ChunkedDecoder(ChunkedBody(UNSIGNED, 5))
    assert decoder.feed(b"5\r\nhel") == [b"hel"]
    assert decoder.feed(b"lo") == [b"lo"]


# --- Signatures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", [SIGNED, SIGNED_TRAILER])
def test_nothing_of_a_signed_chunk_is_returned_before_it_is_verified(form: PayloadForm) -> None:
    wire = encode(b"hello", form, STREAM, trailers_of(form))
    end = wire.index(b"hello") + 5
    decoder = ChunkedDecoder(body_of(form, 5))
    assert decoder.feed(wire[: end - 1]) == []
    assert decoder.feed(wire[end - 1 : end]) == [b"hello"]


def feed_slices(
    decoder: ChunkedDecoder, wire: bytes, feed_bytes: int, returned: list[bytes]
) -> None:
    for start in range(0, len(wire), feed_bytes):
        returned += decoder.feed(wire[start : start + feed_bytes])


@pytest.mark.parametrize("feed_bytes", [1, 7, 100_000])
def test_a_changed_chunk_is_not_returned(feed_bytes: int) -> None:
    payload = bytes(20000)
    wire = bytearray(encode(payload, SIGNED, STREAM, style=Style(8192)))
    wire[12000] ^= 1  # in the second chunk
    decoder = ChunkedDecoder(body_of(SIGNED, 20000))
    returned: list[bytes] = []
    with pytest.raises(S3Error) as caught:
        feed_slices(decoder, bytes(wire), feed_bytes, returned)
    assert caught.value.code == "SignatureDoesNotMatch"
    assert list(caught.value.fields) == ["StringToSign", "SignatureProvided", "StringToSignBytes"]
    assert len(b"".join(returned)) == (0 if feed_bytes > len(wire) else 8192)
    with pytest.raises(AssertionError):
        decoder.feed(b"more")


def chunks_of(wire: bytes) -> list[bytes]:
    """The three data chunks, and the rest, of 20,000 zero bytes in chunks of 8,192."""
    starts = [index for index in range(len(wire)) if wire.startswith(b";chunk-signature", index)]
    starts = [wire.rindex(b"\n", 0, start) + 1 if start > 4 else 0 for start in starts]
    return [wire[a:b] for a, b in zip(starts, [*starts[1:], len(wire)], strict=True)]


@pytest.mark.parametrize("order", [[1, 0, 2, 3], [0, 0, 2, 3], [0, 2, 3], [0, 1, 2, 2, 3]], ids=str)
def test_chunks_cannot_be_moved_repeated_or_left_out(order: list[int]) -> None:
    chunks = chunks_of(encode(bytes(20000), SIGNED, STREAM, style=Style(8192)))
    assert len(chunks) == 4
    wire = b"".join(chunks[number] for number in order)
    error = refusal(body_of(SIGNED, 40000, chunk_bytes_min=0), wire)
    assert error.code == "SignatureDoesNotMatch"


def test_the_last_chunk_is_signed_too() -> None:
    wire = encode(b"hello", SIGNED, STREAM)
    index = wire.rindex(b"=") + 1
    changed = wire[:index] + b"0" * 64 + wire[index + 64 :]
    assert refusal(body_of(SIGNED, 5), changed).code == "SignatureDoesNotMatch"


def test_a_changed_trailer_does_not_verify() -> None:
    wire = encode(b"hello", SIGNED_TRAILER, STREAM, TRAILERS).replace(b"M3eF", b"M3eG")
    assert refusal(body_of(SIGNED_TRAILER, 5), wire).code == "SignatureDoesNotMatch"


@pytest.mark.parametrize("form", [SIGNED, SIGNED_TRAILER])
@pytest.mark.parametrize(
    "line",
    [
        b"5",
        b"5;",
        b"5;chunk-signature",
        b"5;chunk-signature=",
        b"5;chunk-signature=" + b"a" * 63,
        b"5;chunk-signature=" + b"a" * 65,
        b"5;chunk-signature=" + b"g" * 64,
        b"5:chunk-signature=" + b"a" * 64,
        b";chunk-signature=" + b"a" * 64,
    ],
)
def test_a_signed_line_must_be_of_its_form(form: PayloadForm, line: bytes) -> None:
    assert_unexpected_end(refusal(body_of(form, 5), line + b"\r\nhello\r\n"))


# --- Form ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"A",
        b"A\r\n",
        b"A\r\ndummy data",
        b"A\r\ndummy data\r",
        b"A\r\ndummy data\r\n",
        b"A\r\ndummy data\r\n0",
        b"A\r\ndummy data\r\n0\r\n",
        b"A\r\ndummy data\r\n0\r\n\r",
        b"A\r\ndummy data\r\n0\r\n\n",
        b"A\r\ndummy data\r\n0\r\n%b:dPVWc2vU1+Q=\r\n" % CRC.encode(),
        b"A\r\ndummy data\r\n0\r\n%b:dPVWc2vU1+Q=\r\n\rX" % CRC.encode(),
        b"A\r\ndummy data\r\n0\r\n%b:dPVWc2vU1+Q=\r\n\r\nmore" % CRC.encode(),
        b"A\ndummy data\r\n0\r\n\r\n",
        b"AX\ndummy data\r\n0\r\n\r\n",
        b"A\r\ndummy data\r\n0X\n\r\n",
        b"A\r\ndummy data0\r\n\r\n",
        b"A\r\ndummy dataXX0\r\n\r\n",
        b"A\r\nXYZ\r\ndummy data\r\n0\r\n\r\n",
        b"A\r\nA\r\ndummy data\r\n0\r\n\r\n",
        b"9\r\ndummy data\r\n0\r\n\r\n",
        b"size\r\ndummy data\r\n0\r\n\r\n",
        b"-1\r\ndummy data\r\n0\r\n\r\n",
        b"0xA\r\ndummy data\r\n0\r\n\r\n",
        b"+A\r\ndummy data\r\n0\r\n\r\n",
        b" A\r\ndummy data\r\n0\r\n\r\n",
        b"A \r\ndummy data\r\n0\r\n\r\n",
        b"\r\n",
        b"A\r\ndummy data\r\nJ\r\n%b:dPVWc2vU1+Q=\r\n\r\n" % CRC.encode(),
        b"0" * 17 + b"\r\n\r\n",
        b"A;" + b"x" * CHUNK_HEADER_BYTES_MAX + b"\r\ndummy data\r\n0\r\n\r\n",
        b"A" * 100_000,
    ],
)
def test_a_body_that_is_not_of_its_form(wire: bytes) -> None:
    assert_unexpected_end(unsigned_refusal(wire))


@pytest.mark.parametrize("rest", [b"", b"\r", b"XX", b"\r\nmore"])
def test_the_end_of_a_signed_body(rest: bytes) -> None:
    wire = encode(b"hello", SIGNED, STREAM)[:-2] + rest
    assert_unexpected_end(refusal(body_of(SIGNED, 5), wire))


@pytest.mark.parametrize("form", STREAMING_FORMS)
@pytest.mark.parametrize(("declared", "provided"), [(4, 5), (6, 5), (0, 5), (1, 0), (10**15, 5)])
def test_the_declared_length_counts(form: PayloadForm, declared: int, provided: int) -> None:
    wire = encode(b"hello"[:provided], form, STREAM, trailers_of(form))
    error = refusal(body_of(form, declared), wire)
    assert error.code == "IncompleteBody"
    assert error.message == (
        "You did not provide the number of bytes specified by the Content-Length HTTP header"
    )
    assert error.fields == {
        "NumberBytesExpected": str(declared),
        "NumberBytesProvided": str(provided),
    }


@pytest.mark.parametrize("size", [b"6", b"FFFFFFFFFFFFFFFF"])
def test_nothing_beyond_the_declared_length_is_returned(size: bytes) -> None:
    decoder = ChunkedDecoder(ChunkedBody(UNSIGNED, 5))
    with pytest.raises(S3Error, match="IncompleteBody"):
        decoder.feed(size + b"\r\nhello")


def test_a_signed_chunk_has_a_largest_size() -> None:
    line = b"%x;chunk-signature=%b\r\n" % (CHUNK_BYTES_MAX + 1, b"0" * 64)
    error = refusal(body_of(SIGNED, CHUNK_BYTES_MAX * 2), line)
    assert error.code == "InvalidRequest"
    largest = ChunkedDecoder(body_of(SIGNED, CHUNK_BYTES_MAX))
    assert largest.feed(b"%x;chunk-signature=%b\r\n" % (CHUNK_BYTES_MAX, b"0" * 64)) == []


@pytest.mark.parametrize(
    ("sizes", "bad"),
    [
        ([8192, 8192, 100], None),
        ([100], None),
        ([], None),
        ([10000, 9500, 20], None),
        ([100, 8192, 100], ("2", "100")),
        ([8192, 10, 100], ("3", "10")),
        ([8191, 8192], ("2", "8191")),
        ([3, 2], ("2", "3")),
    ],
)
def test_only_the_last_chunk_may_be_small(sizes: list[int], bad: tuple[str, str] | None) -> None:
    wire = b"".join(b"%x\r\n%b\r\n" % (size, bytes(size)) for size in sizes) + b"0\r\n\r\n"
    if bad is None:
        assert len(decode(ChunkedBody(UNSIGNED, sum(sizes)), wire)[0]) == sum(sizes)
        return
    error = refusal(ChunkedBody(UNSIGNED, sum(sizes)), wire)
    assert error.code == "InvalidChunkSizeError"
    assert error.fields == {"Chunk": bad[0], "BadChunkSize": bad[1]}
    lenient = ChunkedBody(UNSIGNED, sum(sizes), chunk_bytes_min=0)
    assert len(decode(lenient, wire)[0]) == sum(sizes)


# --- Trailers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "section",
    [
        b"\r\n",
        b"\r\n\r\n",
        b"x-amz-checksum-crc32:DUoRhQ==\r\n\r\n",
        b":M3eFcAZSQlc=\r\n\r\n",
        CRC.encode() + b"M3eFcAZSQlc=\r\n\r\n",
        CRC.encode() + b":M3eFcAZSQlc=\r\nx-other:1\r\n\r\n",
        CRC.encode() + b":M3eFcAZSQlc=\r\n" + CRC.encode() + b":M3eFcAZSQlc=\r\n\r\n",
        CRC.encode() + b":" + b" " * TRAILER_BYTES_MAX + b"\r\n\r\n",
    ],
)
def test_trailers_must_be_those_announced(section: bytes) -> None:
    error = unsigned_refusal(b"A\r\ndummy data\r\n0\r\n" + section)
    assert error.code == "MalformedTrailerError"


def test_a_trailer_that_was_not_announced() -> None:
    for form in (SIGNED_TRAILER, UNSIGNED):
        wire = encode(b"hello", form, STREAM, TRAILERS)
        error = refusal(body_of(form, 5, trailers=frozenset()), wire)
        assert error.code == "MalformedTrailerError"


def test_a_signed_trailer_needs_its_signature_last() -> None:
    wire = encode(b"hello", SIGNED_TRAILER, STREAM, TRAILERS)
    start = wire.index(b"x-amz-checksum")
    trailer, signature = wire[start:].splitlines(keepends=True)[:2]
    for section in (trailer, signature + trailer, b""):
        error = refusal(body_of(SIGNED_TRAILER, 5), wire[:start] + section + b"\r\n")
        assert error.code == "MalformedTrailerError"


def test_a_form_without_trailers_takes_none() -> None:
    wire = encode(b"hello", SIGNED, STREAM)[:-2] + b"x-amz-checksum-crc32:DUoRhQ==\r\n\r\n"
    assert refusal(body_of(SIGNED, 5), wire).code == "MalformedTrailerError"


# --- Headers -------------------------------------------------------------------------------------


def test_decoded_length() -> None:
    assert parse_decoded_length("0") == 0
    assert parse_decoded_length("66560") == 66560


@pytest.mark.parametrize("text", [None, "", "abc", "12x", "-1", "1.0", "1_0", " 1", "٣", "9" * 19])
def test_a_decoded_length_is_required(text: str | None) -> None:
    with pytest.raises(S3Error, match="MissingContentLength"):
        parse_decoded_length(text)


def test_trailer_names() -> None:
    assert parse_trailer_names(None) == frozenset()
    assert parse_trailer_names(" X-Amz-Checksum-CRC32, b ,") == {"x-amz-checksum-crc32", "b"}
