"""What goes wrong with a request leaves nothing, over a location of every type."""

from __future__ import annotations

from typing import Any

import pytest

from s3front.auth.sigv4 import PayloadForm
from s3front.bodies.checksums import Algorithm
from tests.api.support import body_of, checksum_of, code_of, md5_base64
from tests.backends.bodies import MIB, body_of_size
from tests.backends.places import DISK, Server
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import (
    Connection,
    Wire,
    call,
    exchange,
    host_of,
    sign,
    sign_chunked,
    with_wrong_chunk_signature,
)

SIZES = [1000, 300_000, 2 * MIB]


def refused(at: Server, bucket: str, request: Wire, code: str) -> None:
    with at.left_nothing():
        answer = exchange(at.front, request)
        assert (answer.status // 100, answer.error["Code"]) == (4, code)
        assert call(at.front, "GET", f"/{bucket}/key").status == 404


@pytest.mark.parametrize("size", SIZES)
def test_a_wrong_md5(at: Server, bucket: str, size: int) -> None:
    headers = {"Content-MD5": md5_base64(b"other")}
    request = sign(at.front, "PUT", f"/{bucket}/key", body_of_size(size), headers)
    refused(at, bucket, request, "BadDigest")


@pytest.mark.parametrize("size", SIZES)
def test_a_wrong_hash_of_the_payload(at: Server, bucket: str, size: int) -> None:
    wrong = "0" * 64
    request = sign(at.front, "PUT", f"/{bucket}/key", body_of_size(size), payload=wrong)
    refused(at, bucket, request, "XAmzContentSHA256Mismatch")


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_wrong_checksum(at: Server, bucket: str, algorithm: Algorithm) -> None:
    headers = {algorithm.header: checksum_of(algorithm, b"other")}
    request = sign(at.front, "PUT", f"/{bucket}/key", body_of_size(300_000), headers)
    refused(at, bucket, request, "BadDigest")


@pytest.mark.parametrize("size", SIZES)
def test_a_wrong_trailer(at: Server, bucket: str, size: int) -> None:
    form = PayloadForm.STREAMING_UNSIGNED_TRAILER
    trailers = {Algorithm.CRC32.header: checksum_of(Algorithm.CRC32, b"other")}
    request = sign_chunked(at.front, f"/{bucket}/key", body_of_size(size), form, trailers)
    refused(at, bucket, request, "BadDigest")


@pytest.mark.parametrize("chunk", [0, 20])
def test_a_chunk_that_was_not_signed(at: Server, bucket: str, chunk: int) -> None:
    signed = PayloadForm.STREAMING_SIGNED
    request = sign_chunked(at.front, f"/{bucket}/key", body_of_size(2 * MIB), signed)
    forged = with_wrong_chunk_signature(request, chunk)
    refused(at, bucket, forged, "SignatureDoesNotMatch")


@pytest.mark.parametrize("sent", [0, 10, 300_000])
def test_a_client_that_goes_away(at: Server, bucket: str, sent: int) -> None:
    body = body_of_size(2 * MIB)
    request = sign(at.front, "PUT", f"/{bucket}/key", body)
    with at.left_nothing():
        with Connection(at.front) as client:
            client.send(request.head + body[:sent])
        assert call(at.front, "GET", f"/{bucket}/key").status == 404


def test_a_client_that_goes_away_in_the_middle_of_chunks(at: Server, bucket: str) -> None:
    signed = PayloadForm.STREAMING_SIGNED
    request = sign_chunked(at.front, f"/{bucket}/key", body_of_size(2 * MIB), signed)
    with at.left_nothing():
        with Connection(at.front) as client:
            client.send(request.head + request.body[:500_000])
        assert call(at.front, "GET", f"/{bucket}/key").status == 404


def test_what_was_there_stays_when_its_successor_fails(at: Server, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=body_of_size(300_000))
    body = body_of_size(2 * MIB)
    headers = {"Content-MD5": md5_base64(b"other")}
    with at.left_nothing():
        assert call(at.front, "PUT", f"/{bucket}/key", body, headers).status == 400
        with Connection(at.front) as client:
            request = sign(at.front, "PUT", f"/{bucket}/key", body)
            client.send(request.head + body[: MIB + 1])
    assert body_of(s3, bucket, "key") == body_of_size(300_000)


def test_a_form_without_what_its_policy_asks_for(at: Server, bucket: str) -> None:
    fields = signed_v4({"key": "key"}, bucket, ["content-length-range", 0, 10])
    form = form_body(fields, body_of_size(300_000))
    refused(at, bucket, form_request(host_of(at.front), f"/{bucket}", form), "EntityTooLarge")


def test_a_bucket_that_is_not_there(at: Server) -> None:
    with at.left_nothing():
        answer = call(at.front, "PUT", "/never-made/key", body_of_size(300_000))
        assert answer.error["Code"] == "NoSuchBucket"


def test_a_location_that_is_not_there(at: Server, s3: Any, bucket: str) -> None:
    elsewhere = {"Metadata": {"scal-location-constraint": "no-such-location"}}
    with at.left_nothing():
        put = {"Bucket": bucket, "Key": "key", "Body": b"body", **elsewhere}
        assert code_of(s3.put_object, **put) == (400, "InvalidArgument")
    create = {"CreateBucketConfiguration": {"LocationConstraint": "no-such-location"}}
    refusal = code_of(s3.create_bucket, Bucket=f"{bucket}-2", **create)
    assert refusal == (400, "InvalidLocationConstraint")


def test_what_is_being_read_is_deleted_meanwhile(at: Server, s3: Any, bucket: str) -> None:
    body = body_of_size(6 * MIB)
    s3.put_object(Bucket=bucket, Key="key", Body=body)
    with Connection(at.front, receive_buffer_bytes=65_536) as client:
        client.send(sign(at.front, "GET", f"/{bucket}/key"))
        client.wait_for_bytes(b"\r\n\r\n")
        s3.delete_object(Bucket=bucket, Key="key")
        assert client.receive().body == body
    assert call(at.front, "GET", f"/{bucket}/key").status == 404


def test_what_is_being_read_is_overwritten_meanwhile(at: Server, s3: Any, bucket: str) -> None:
    body = body_of_size(6 * MIB)
    s3.put_object(Bucket=bucket, Key="key", Body=body)
    with Connection(at.front, receive_buffer_bytes=65_536) as client:
        client.send(sign(at.front, "GET", f"/{bucket}/key"))
        client.wait_for_bytes(b"\r\n\r\n")
        s3.put_object(Bucket=bucket, Key="key", Body=b"new")
        assert client.receive().body == body
    assert body_of(s3, bucket, "key") == b"new"


def test_reads_that_end_early_do_no_harm(at: Server, s3: Any, bucket: str) -> None:
    body = body_of_size(6 * MIB)
    s3.put_object(Bucket=bucket, Key="key", Body=body)
    for _ in range(10):
        with Connection(at.front, receive_buffer_bytes=65_536) as client:
            client.send(sign(at.front, "GET", f"/{bucket}/key"))
            client.wait_for_bytes(b"\r\n\r\n")
    assert body_of(s3, bucket, "key") == body


def test_another_location_is_not_concerned(s3: Any, bucket: str) -> None:
    name = f"{bucket}-2"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": DISK})
    s3.put_object(Bucket=name, Key="key", Body=b"on disk")
    assert body_of(s3, name, "key") == b"on disk"
