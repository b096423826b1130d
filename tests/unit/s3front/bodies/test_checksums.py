"""Checksums: check values, declarations in headers, and refusals with the service's texts."""

from __future__ import annotations

import base64
import hashlib
import zlib

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3front.bodies.checksums import (
    Algorithm,
    BodyDigests,
    ExpectedChecksum,
    ExpectedDigests,
    announced_trailer,
    decode_checksum,
    decode_content_md5,
    encode_digest,
    expected_checksum,
    is_of_checksum,
    new_checksum,
    parse_algorithm,
    verify_digests,
    with_trailer,
)
from s3front.s3_errors import S3Error

CHECK = b"123456789"
CRC32_TEXT = "y/Q5Jg=="
SHA1_TEXT = encode_digest(hashlib.sha1(CHECK).digest())  # noqa: S324 - an S3 checksum

# The check value of each CRC ("Catalogue of parametrised CRC algorithms"); RFC 1321 for MD5, FIPS
# 180-4 for SHA; xxHash without a seed, see also what another implementation says below.
CHECK_VALUES = {
    Algorithm.CRC32: "cbf43926",
    Algorithm.CRC32C: "e3069283",
    Algorithm.CRC64NVME: "ae8b14860a799888",
    Algorithm.MD5: "25f9e794323b453885f5181f1b624d0b",
    Algorithm.SHA1: "f7c3bc1d808e04732adf679965ccc34ca7ae3441",
    Algorithm.SHA256: "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
    Algorithm.SHA512: (
        "d9e6762dd1c8eaf6d61b3c6192fc408d4d6d5f1176d0c29169bc24e71c3f274a"
        "d27fcd5811b313d681f7e55ec02d73d499c95455b6b5bb503acf574fba8ffe85"
    ),
    Algorithm.XXHASH128: "33119477ede5dcd5e9716427681d5860",
    Algorithm.XXHASH3: "72dcb18b67a17dff",
    Algorithm.XXHASH64: "8cb841db40e6ae83",
}
EMPTY_VALUES = {
    Algorithm.CRC32: "00000000",
    Algorithm.CRC32C: "00000000",
    Algorithm.CRC64NVME: "0000000000000000",
    Algorithm.MD5: "d41d8cd98f00b204e9800998ecf8427e",
    Algorithm.SHA1: "da39a3ee5e6b4b0d3255bfef95601890afd80709",
    Algorithm.SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    Algorithm.SHA512: (
        "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
        "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"
    ),
    Algorithm.XXHASH128: "99aa06d3014798d86001c324468d497f",
    Algorithm.XXHASH3: "2d06800538d394c2",
    Algorithm.XXHASH64: "ef46db3751d8e999",
}

algorithms = pytest.mark.parametrize("algorithm", list(Algorithm))


def refusal(headers: dict[str, str]) -> str:
    with pytest.raises(S3Error) as caught:
        expected_checksum(headers)
    assert caught.value.code == "InvalidRequest"
    return caught.value.message


# --- Computing -----------------------------------------------------------------------------------


@algorithms
def test_check_values(algorithm: Algorithm) -> None:
    checksum = new_checksum(algorithm)
    assert checksum.digest().hex() == EMPTY_VALUES[algorithm]
    checksum.update(b"")
    assert checksum.digest().hex() == EMPTY_VALUES[algorithm]
    checksum.update(CHECK)
    assert checksum.digest().hex() == CHECK_VALUES[algorithm]
    assert len(checksum.digest()) == algorithm.digest_bytes


@pytest.mark.parametrize(
    ("algorithm", "text"),
    [
        (Algorithm.CRC32, "DUoRhQ=="),
        (Algorithm.CRC32C, "yZRlqg=="),
        (Algorithm.CRC64NVME, "jSnVw/bqjr4="),
        (Algorithm.SHA1, "Kq5sNclPz7QV2+lfQIuc6R7oRu0="),
        (Algorithm.SHA256, "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="),
        (Algorithm.XXHASH64, "RatnNLIeaWg="),
    ],
)
def test_values_that_the_service_returned_for_hello_world(algorithm: Algorithm, text: str) -> None:
    checksum = new_checksum(algorithm)
    checksum.update(b"hello world")
    assert encode_digest(checksum.digest()) == text


@pytest.mark.parametrize(
    ("algorithm", "text"),
    [
        (Algorithm.XXHASH64, "+lb36/ER8bo="),
        (Algorithm.XXHASH3, "jw+pSh/pbMQ="),
        (Algorithm.XXHASH128, "8BLDqqIWji+ITOsp/JjN/Q=="),
    ],
)
def test_xxhash_is_what_other_servers_make_of_it(algorithm: Algorithm, text: str) -> None:
    """versitygw's values of ``test data``, computed in Go."""
    checksum = new_checksum(algorithm)
    checksum.update(b"test data")
    assert encode_digest(checksum.digest()) == text


def test_headers_and_names() -> None:
    assert [algorithm.header for algorithm in Algorithm] == [
        "x-amz-checksum-crc32",
        "x-amz-checksum-crc32c",
        "x-amz-checksum-crc64nvme",
        "x-amz-checksum-md5",
        "x-amz-checksum-sha1",
        "x-amz-checksum-sha256",
        "x-amz-checksum-sha512",
        "x-amz-checksum-xxhash128",
        "x-amz-checksum-xxhash3",
        "x-amz-checksum-xxhash64",
    ]
    assert parse_algorithm("crc64nvme") is Algorithm.CRC64NVME


def test_the_algorithms_are_those_of_the_service_model() -> None:
    shapes = botocore.session.get_session().get_service_model("s3")
    names = shapes.shape_for("ChecksumAlgorithm").enum
    assert sorted(names) == [algorithm.value for algorithm in Algorithm]
    members = shapes.shape_for("PutObjectRequest").members
    for algorithm in Algorithm:
        assert members[f"Checksum{algorithm}"].serialization["name"] == algorithm.header


@pytest.mark.parametrize(
    ("algorithms", "kinds"),
    [
        (["CRC64NVME"], ("FULL_OBJECT",)),
        (["CRC32", "CRC32C"], ("COMPOSITE", "FULL_OBJECT")),
        (["MD5", "SHA1", "SHA256", "SHA512"], ("COMPOSITE",)),
        (["XXHASH128", "XXHASH3", "XXHASH64"], ("COMPOSITE",)),
    ],
)
def test_types_of_the_checksum_of_an_upload(algorithms: list[str], kinds: tuple[str, ...]) -> None:
    for algorithm in algorithms:
        assert Algorithm(algorithm).kinds == kinds


@algorithms
@given(pieces=st.lists(st.binary(max_size=200), max_size=8))
def test_any_split_gives_the_same(algorithm: Algorithm, pieces: list[bytes]) -> None:
    whole = new_checksum(algorithm)
    whole.update(b"".join(pieces))
    split = new_checksum(algorithm)
    for number, piece in enumerate(pieces):
        split.update((bytes, bytearray, memoryview)[number % 3](piece))
    assert split.digest() == whole.digest()


@given(data=st.binary(max_size=300))
def test_crc32_is_that_of_zlib(data: bytes) -> None:
    checksum = new_checksum(Algorithm.CRC32)
    checksum.update(data)
    assert int.from_bytes(checksum.digest(), "big") == zlib.crc32(data)


@pytest.mark.parametrize(
    "algorithms", [[], *([algorithm] for algorithm in Algorithm), list(Algorithm)]
)
@pytest.mark.parametrize("sha256", [False, True])
def test_body_digests(algorithms: list[Algorithm], sha256: bool) -> None:
    digests = BodyDigests(algorithms, sha256=sha256)
    for piece in (CHECK[:4], b"", memoryview(CHECK)[4:]):
        digests.update(piece)
    assert digests.length == 9
    assert digests.md5_hex() == CHECK_VALUES[Algorithm.MD5]
    assert digests.md5().hex() == digests.md5_hex()
    if sha256:
        assert digests.sha256_hex() == CHECK_VALUES[Algorithm.SHA256]
    assert digests.checksums() == {
        algorithm: encode_digest(bytes.fromhex(CHECK_VALUES[algorithm])) for algorithm in algorithms
    }


# --- What a request declares ---------------------------------------------------------------------


def test_nothing_declared() -> None:
    assert expected_checksum({"content-type": "text/plain"}) is None
    assert expected_checksum({"x-amz-checksum-algorithm": "CRC32"}) is None
    assert expected_checksum({"x-amz-checksum-type": "FULL_OBJECT"}) is None
    assert expected_checksum({"x-amz-checksum-mode": "ENABLED"}) is None


@algorithms
@pytest.mark.parametrize("named", [False, True])
def test_declared_in_a_header(algorithm: Algorithm, named: bool) -> None:
    digest = bytes(range(algorithm.digest_bytes))
    headers = {algorithm.header: encode_digest(digest)}
    if named:
        headers["x-amz-sdk-checksum-algorithm"] = algorithm.lower()
    assert expected_checksum(headers) == ExpectedChecksum(algorithm, digest, in_trailer=False)


@algorithms
@pytest.mark.parametrize("named", [False, True])
def test_announced_for_the_trailer(algorithm: Algorithm, named: bool) -> None:
    headers = {"x-amz-trailer": f" {algorithm.header.title()} "}
    if named:
        headers["x-amz-sdk-checksum-algorithm"] = algorithm.value
    assert expected_checksum(headers) == ExpectedChecksum(algorithm, None, in_trailer=True)
    assert announced_trailer(headers) is algorithm


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": CRC32_TEXT, "x-amz-checksum-sha1": SHA1_TEXT},
        {"x-amz-checksum-crc32": "", "x-amz-checksum-sha1": ""},
        {"x-amz-checksum-crc32": CRC32_TEXT, "x-amz-trailer": "x-amz-checksum-crc32"},
    ],
)
def test_one_checksum_only(headers: dict[str, str]) -> None:
    assert refusal(headers) == (
        "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
    )


@pytest.mark.parametrize(
    "text", ["", "y/Q5J", "y/Q5Jg=", "y/Q5", "y/Q5Jh==", "y/Q5Jg==AA", "é", "*"]
)
def test_a_value_must_be_a_digest(text: str) -> None:
    assert refusal({"x-amz-checksum-crc32": text}) == (
        "Value for x-amz-checksum-crc32 header is invalid."
    )


@algorithms
def test_a_value_must_have_the_length_of_its_digest(algorithm: Algorithm) -> None:
    for length in (0, algorithm.digest_bytes - 1, algorithm.digest_bytes + 1):
        assert refusal({algorithm.header: encode_digest(bytes(length))}) == (
            f"Value for {algorithm.header} header is invalid."
        )


def test_unknown_checksum_header() -> None:
    assert refusal({"x-amz-checksum-adler32": "AAAAAA=="}) == (
        "The algorithm type you specified in x-amz-checksum- header is invalid."
    )


@pytest.mark.parametrize(
    "text", ["", "x-amz-checksum-adler32", "x-amz-meta-a", "x-amz-checksum-crc32,x-amz-meta-a"]
)
def test_unknown_trailer(text: str) -> None:
    assert refusal({"x-amz-trailer": text}) == (
        "The value specified in the x-amz-trailer header is not supported"
    )


def test_unknown_algorithm_of_the_sdk() -> None:
    headers = {"x-amz-checksum-crc32": CRC32_TEXT, "x-amz-sdk-checksum-algorithm": "ADLER32"}
    assert refusal(headers) == (
        "Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
        "[CRC32, CRC32C, CRC64NVME, MD5, SHA1, SHA256, SHA512, XXHASH128, XXHASH3, XXHASH64]"
    )


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-checksum-crc32": CRC32_TEXT},
        {"x-amz-checksum-crc32": "not a digest"},
        {"x-amz-trailer": "x-amz-checksum-crc32"},
    ],
)
def test_algorithm_of_the_sdk_names_another(headers: dict[str, str]) -> None:
    assert refusal({**headers, "x-amz-sdk-checksum-algorithm": "SHA1"}) == (
        "Value for x-amz-sdk-checksum-algorithm header is invalid."
    )


def test_algorithm_of_the_sdk_alone() -> None:
    assert refusal({"x-amz-sdk-checksum-algorithm": "CRC32"}) == (
        "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or "
        "x-amz-trailer headers were found."
    )


def test_content_md5() -> None:
    digest = hashlib.md5(CHECK, usedforsecurity=False).digest()
    assert decode_content_md5(encode_digest(digest)) == digest
    assert decode_content_md5(None) is None


@pytest.mark.parametrize(
    "text", ["", "invalid_md5", "aGVsbG8=", "25f9e794323b453885f5181f1b624d0b"]
)
def test_invalid_content_md5(text: str) -> None:
    with pytest.raises(S3Error) as caught:
        decode_content_md5(text)
    assert caught.value.code == "InvalidDigest"
    assert caught.value.fields == {"Content-MD5": text}


@given(data=st.binary(min_size=4, max_size=4))
def test_encoding_round_trips(data: bytes) -> None:
    assert decode_checksum(Algorithm.CRC32, base64.b64encode(data).decode()) == data


# --- The trailer, and comparing ------------------------------------------------------------------

IN_TRAILER = ExpectedDigests(
    b"m" * 16, "ab", ExpectedChecksum(Algorithm.CRC32, None, in_trailer=True)
)


def test_a_trailer_fills_in_what_was_announced() -> None:
    filled = with_trailer(IN_TRAILER, {"x-amz-checksum-crc32": CRC32_TEXT})
    checksum = ExpectedChecksum(
        Algorithm.CRC32, bytes.fromhex(CHECK_VALUES[Algorithm.CRC32]), in_trailer=True
    )
    assert filled == ExpectedDigests(b"m" * 16, "ab", checksum)


def test_without_a_trailer_nothing_changes() -> None:
    checksum = ExpectedChecksum(Algorithm.CRC32, b"abcd", in_trailer=False)
    for expected in (ExpectedDigests(), ExpectedDigests(checksum=checksum)):
        assert with_trailer(expected, {}) == expected


def test_a_trailer_must_hold_a_digest() -> None:
    with pytest.raises(S3Error) as caught:
        with_trailer(IN_TRAILER, {"x-amz-checksum-crc32": "invalid"})
    assert caught.value.code == "InvalidRequest"
    assert caught.value.message == "Value for x-amz-checksum-crc32 trailing header is invalid."


def body() -> BodyDigests:
    digests = BodyDigests([Algorithm.CRC32], sha256=True)
    digests.update(CHECK)
    return digests


def test_a_body_as_declared_passes() -> None:
    verify_digests(ExpectedDigests(), body())
    verify_digests(
        ExpectedDigests(
            body().md5(),
            body().sha256_hex().upper(),
            ExpectedChecksum(Algorithm.CRC32, body().digest(Algorithm.CRC32), in_trailer=False),
        ),
        body(),
    )


def test_content_md5_mismatch() -> None:
    with pytest.raises(S3Error) as caught:
        verify_digests(ExpectedDigests(content_md5=b"\x00" * 16), body())
    assert caught.value.code == "BadDigest"
    assert caught.value.message == "The Content-MD5 you specified did not match what we received."
    assert caught.value.fields == {
        "ExpectedDigest": "00" * 16,
        "CalculatedDigest": encode_digest(body().md5()),
    }


def test_checksum_mismatch() -> None:
    expected = ExpectedChecksum(Algorithm.CRC32, b"\x00" * 4, in_trailer=True)
    with pytest.raises(S3Error) as caught:
        verify_digests(ExpectedDigests(checksum=expected), body())
    assert caught.value.code == "BadDigest"
    assert caught.value.message == "The CRC32 you specified did not match the calculated checksum."
    assert caught.value.fields == {}


def test_payload_hash_mismatch() -> None:
    with pytest.raises(S3Error) as caught:
        verify_digests(ExpectedDigests(sha256_hex="ab" * 32), body())
    assert caught.value.code == "XAmzContentSHA256Mismatch"
    assert caught.value.fields == {
        "ClientComputedContentSHA256": "ab" * 32,
        "S3ComputedContentSHA256": CHECK_VALUES[Algorithm.SHA256],
    }


@given(st.text(st.sampled_from("AQg+/= \n\u00e9-"), max_size=12))
def test_only_the_canonical_text_of_a_digest_is_one(text: str) -> None:
    try:
        digest = base64.b64decode(text, validate=True)
    except ValueError:
        digest = b""
    canonical = len(digest) == 4 and base64.b64encode(digest).decode() == text
    try:
        assert decode_checksum(Algorithm.CRC32, text) == digest
    except S3Error:
        assert not canonical
    else:
        assert canonical


@given(
    st.lists(
        st.sampled_from(
            [
                *("x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"),
                *(
                    "x-amz-checksum-crc32",
                    "x-amz-checksum-modes",
                    "x-amz-checksum-",
                    "x-amz-meta-a",
                ),
                "my-x-amz-checksum-crc32",
            ]
        ),
        unique=True,
    )
)
def test_which_headers_carry_a_checksum(names: list[str]) -> None:
    others = {"x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-checksum-mode"}
    values = [name for name in names if name.startswith("x-amz-checksum-") and name not in others]
    assert [name for name in names if is_of_checksum(name)] == values
    headers = dict.fromkeys(names, CRC32_TEXT)
    if values == ["x-amz-checksum-crc32"] or not values:
        found = expected_checksum(headers)
        assert (found is None) is (not values)
    else:
        assert refusal(headers)
