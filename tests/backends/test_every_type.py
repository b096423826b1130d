"""What S3 promises of objects, over a location of every type: bodies, ranges, conditions, metadata,
keys, listings. Versions, uploads of parts, copies, and what goes wrong are in the modules beside
this one."""

from __future__ import annotations

import threading
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from s3front.auth.sigv4 import PayloadForm
from s3front.bodies.checksums import Algorithm
from tests.api.support import body_of, checksum_of, code_of, key_id, keys_in, md5_base64, path_of
from tests.backends.bodies import KIB, MIB, SIZES, body_of_size
from tests.backends.places import DISK, PLACE, Server
from tests.etags import etag_of
from tests.forms import form_body, form_request, signed_v4
from tests.raw_http import Connection, call, exchange, host_of, sign, sign_chunked
from tests.servers import wait_for

RANGED = body_of_size(300_000)


# --- Bodies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
def test_a_body_comes_back_as_it_was(at: Server, bucket: str, size: int) -> None:
    body = body_of_size(size)
    stored = call(at.fronts[0], "PUT", f"/{bucket}/key", body, {"Content-Length": str(size)})
    assert (stored.status, stored.headers["ETag"]) == (200, etag_of(body))
    for front in at.fronts:
        found = call(front, "GET", f"/{bucket}/key")
        assert (found.status, found.headers["ETag"]) == (200, etag_of(body))
        assert found.headers["Content-Length"] == str(size)
        assert found.body == body
    head = call(at.fronts[1], "HEAD", f"/{bucket}/key")
    assert head.headers["Content-Length"] == str(size)


@pytest.mark.parametrize("size", [0, 1, 64 * KIB, 70_001, MIB + 1])
@pytest.mark.parametrize(
    "form",
    [
        PayloadForm.STREAMING_SIGNED,
        PayloadForm.STREAMING_SIGNED_TRAILER,
        PayloadForm.STREAMING_UNSIGNED_TRAILER,
    ],
    ids=["signed", "signed-trailer", "unsigned-trailer"],
)
def test_a_body_in_chunks(at: Server, bucket: str, form: PayloadForm, size: int) -> None:
    body = body_of_size(size)
    trailers = None
    if form is not PayloadForm.STREAMING_SIGNED:
        trailers = {Algorithm.SHA256.header: checksum_of(Algorithm.SHA256, body)}
    request = sign_chunked(at.front, f"/{bucket}/key", body, form, trailers)
    assert exchange(at.front, request).status == 200
    found = call(at.front, "GET", f"/{bucket}/key", headers={"x-amz-checksum-mode": "ENABLED"})
    assert found.body == body
    if trailers is not None:
        assert trailers.items() <= found.headers.items()


def test_a_body_that_is_sent_once_it_is_asked_for(at: Server, bucket: str) -> None:
    body = body_of_size(MIB)
    headers = {"Expect": "100-continue"}
    request = sign(at.front, "PUT", f"/{bucket}/key", body, headers)
    with Connection(at.front) as client:
        client.send(request.head)
        assert client.receive_interim() == 100
        client.send(body)
        assert client.receive("PUT").status == 200
    assert call(at.front, "GET", f"/{bucket}/key").body == body


def test_a_form_of_a_browser(at: Server, s3: Any, bucket: str) -> None:
    body = body_of_size(70_000)
    form = form_body(signed_v4({"key": "from-form"}, bucket), body)
    assert exchange(at.front, form_request(host_of(at.front), f"/{bucket}", form)).status == 204
    assert body_of(s3, bucket, "from-form") == body


# --- Ranges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("0-0", 0, 1),
        ("0-", 0, 300_000),
        ("0-299999", 0, 300_000),
        ("1-299999", 1, 300_000),
        ("5-9", 5, 10),
        ("65535-65536", 65_535, 65_537),
        ("65536-131071", 65_536, 131_072),
        ("262143-262145", 262_143, 262_146),
        ("299999-", 299_999, 300_000),
        ("299999-400000", 299_999, 300_000),
        ("100-9999999999", 100, 300_000),
        ("-1", 299_999, 300_000),
        ("-65537", 234_463, 300_000),
        ("-300000", 0, 300_000),
        ("-999999", 0, 300_000),
    ],
)
def test_a_range(at: Server, s3: Any, bucket: str, wanted: str, start: int, end: int) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=RANGED)
    for front in at.fronts:
        found = call(front, "GET", f"/{bucket}/key", headers={"Range": f"bytes={wanted}"})
        assert (found.status, found.body) == (206, RANGED[start:end])
        assert found.headers["Content-Range"] == f"bytes {start}-{end - 1}/300000"


@pytest.mark.parametrize("wanted", ["bytes=300000-", "bytes=999999-1000000", "bytes=-0"])
def test_a_range_that_is_not_there(at: Server, s3: Any, bucket: str, wanted: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=RANGED)
    found = call(at.front, "GET", f"/{bucket}/key", headers={"Range": wanted})
    assert (found.status, found.error["Code"]) == (416, "InvalidRange")


@pytest.mark.parametrize("wanted", ["bytes=9-5", "bytes=a-b", "octets=0-1", "bytes=0-1,5-6"])
def test_a_range_that_does_not_count(at: Server, s3: Any, bucket: str, wanted: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=RANGED)
    found = call(at.front, "GET", f"/{bucket}/key", headers={"Range": wanted})
    assert (found.status, found.body) == (200, RANGED)


def test_a_range_of_a_large_object(at: Server, s3: Any, bucket: str) -> None:
    body = body_of_size(6 * MIB)
    s3.put_object(Bucket=bucket, Key="key", Body=body)
    for start, end in ((0, 5 * MIB), (MIB - 1, 4 * MIB + 3), (6 * MIB - 10, 6 * MIB - 1)):
        found = s3.get_object(Bucket=bucket, Key="key", Range=f"bytes={start}-{end}")
        assert found["Body"].read() == body[start : end + 1]


# --- Conditions -----------------------------------------------------------------------------------

_PAST, _FUTURE = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        ({"IfMatch": etag_of(RANGED)}, 200),
        ({"IfMatch": '"0123456789abcdef0123456789abcdef"'}, 412),
        ({"IfNoneMatch": etag_of(RANGED)}, 304),
        ({"IfNoneMatch": '"0123456789abcdef0123456789abcdef"'}, 200),
        ({"IfModifiedSince": _PAST}, 200),
        ({"IfUnmodifiedSince": _PAST}, 412),
        ({"IfUnmodifiedSince": _FUTURE}, 200),
        ({"IfMatch": etag_of(RANGED), "Range": "bytes=1-2"}, 206),
    ],
    ids=str,
)
def test_a_read_under_a_condition(
    s3: Any, bucket: str, condition: dict[str, Any], status: int
) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=RANGED)
    for operation in (s3.get_object, s3.head_object):
        if status < 300:
            answer = operation(Bucket=bucket, Key="key", **condition)
            assert answer["ResponseMetadata"]["HTTPStatusCode"] == status
        else:
            assert code_of(operation, Bucket=bucket, Key="key", **condition)[0] == status


@pytest.mark.parametrize("size", [1, 300_000])
def test_only_where_there_is_none(at: Server, s3: Any, bucket: str, size: int) -> None:
    new = {"Bucket": bucket, "Key": "key", "IfNoneMatch": "*"}
    s3.put_object(**new, Body=body_of_size(size))
    with at.left_nothing():
        refused = code_of(s3.put_object, **new, Body=body_of_size(size, 1))
        assert refused == (412, "PreconditionFailed")
    assert body_of(s3, bucket, "key") == body_of_size(size)


@pytest.mark.parametrize("size", [1, 300_000])
def test_only_in_the_place_of_one(at: Server, s3: Any, bucket: str, size: int) -> None:
    old, new = body_of_size(size), body_of_size(size, 1)
    s3.put_object(Bucket=bucket, Key="key", Body=old)
    instead = {"Bucket": bucket, "Key": "key", "Body": new}
    with at.left_nothing():
        assert code_of(s3.put_object, **instead, IfMatch=etag_of(new))[0] == 412
    s3.put_object(**instead, IfMatch=etag_of(old))
    assert body_of(s3, bucket, "key") == new
    assert code_of(s3.put_object, **{**instead, "Key": "none"}, IfMatch=etag_of(old))[0] == 404


# --- What is said of an object --------------------------------------------------------------------

DESCRIBED = {
    "ContentType": "text/x-test; charset=utf-8",
    "CacheControl": "max-age=60",
    "ContentDisposition": 'attachment; filename="a b.txt"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
}


def test_headers_and_metadata(s3: Any, bucket: str) -> None:
    metadata = {"one": "1", "empty": "", "with-blank": "a  b", "long": "x" * 1500}
    s3.put_object(Bucket=bucket, Key="key", Body=b"body", **DESCRIBED, Metadata=metadata)
    for operation in (s3.head_object, s3.get_object):
        found = operation(Bucket=bucket, Key="key")
        assert DESCRIBED.items() <= found.items()
        assert found["Metadata"] == metadata


def test_metadata_that_is_no_ascii(at: Server, bucket: str) -> None:
    headers = {"x-amz-meta-name": "grün 日本"}
    assert call(at.front, "PUT", f"/{bucket}/key", b"body", headers).status == 200
    found = call(at.front, "GET", f"/{bucket}/key")
    assert (found.body, bool(found.headers["x-amz-meta-name"])) == (b"body", True)


def test_tags(at: Server, s3: Any, bucket: str) -> None:
    address = {"Bucket": bucket, "Key": "key"}

    def tags() -> dict[str, str]:
        return {tag["Key"]: tag["Value"] for tag in s3.get_object_tagging(**address)["TagSet"]}

    s3.put_object(**address, Body=RANGED, Tagging="a=1&b=x%20y")
    assert tags() == {"a": "1", "b": "x y"}
    s3.put_object_tagging(**address, Tagging={"TagSet": [{"Key": "c", "Value": "ü+/="}]})
    assert tags() == {"c": "ü+/="}
    assert s3.get_object(**address)["TagCount"] == 1
    s3.delete_object_tagging(**address)
    assert tags() == {}
    assert body_of(s3, bucket, "key") == RANGED


def test_what_the_place_knows_of_an_object(at: Server, s3: Any, bucket: str) -> None:
    """Manual, 3.2.5: user metadata and tags are stored there as well, where it has such things."""
    new = {"Metadata": {"colour": "blue"}, "Tagging": "a=1"}
    before = at.blobs()
    s3.put_object(Bucket=bucket, Key="folder/key", Body=RANGED, **new)
    (name,) = at.blobs() - before
    # Versions of a name are told apart by what follows it.
    assert not at.outside.by_key or name.partition("\0")[0] == f"{bucket}/folder/key"
    if at.outside.described is not None:
        described = at.outside.described(name)
        assert described.user_metadata.items() >= {"colour": "blue"}.items()
        assert described.tags == {"a": "1"}


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("size", [10, 300_000])
def test_a_checksum(at: Server, bucket: str, algorithm: Algorithm, size: int) -> None:
    body = body_of_size(size)
    digest = {algorithm.header: checksum_of(algorithm, body)}
    stored = call(at.front, "PUT", f"/{bucket}/key", body, digest)
    assert stored.status == 200
    assert digest.items() <= stored.headers.items()
    found = call(at.front, "GET", f"/{bucket}/key", headers={"x-amz-checksum-mode": "ENABLED"})
    assert found.body == body
    assert digest.items() <= found.headers.items()


def test_attributes(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=RANGED)
    wanted = ["ETag", "ObjectSize", "StorageClass"]
    found = s3.get_object_attributes(Bucket=bucket, Key="key", ObjectAttributes=wanted)
    assert (found["ETag"], found["ObjectSize"]) == (etag_of(RANGED).strip('"'), len(RANGED))


# --- Keys -----------------------------------------------------------------------------------------

KEYS = (
    "plain",
    "grün/日本語/\U0001f600",
    "combining e\u0301",
    "a//b",
    "/leading",
    "//two",
    "a/../b",
    "..",
    "./.",
    "a/./b",
    "trailing/",
    "trailing blank ",
    " leading blank",
    "100%",
    "a%2Fb%00",
    "a+b c",
    "a?b=c&d#e",
    "quo'te\"s<&>",
    "back\\slash",
    "tab\tnew\nline",
    "control\x01\x1f\x7f\ufffe",
    "~" * 41,
    "x" * 1024,
    "ü" * 512,
    "a/" * 512,
)


@pytest.mark.parametrize("key", KEYS, ids=key_id)
def test_a_key(at: Server, s3: Any, bucket: str, key: str) -> None:
    body, target = key.encode() * 20, path_of(bucket, key)
    assert call(at.front, "PUT", target, body).status == 200
    assert call(at.front, "GET", target).body == body
    assert call(at.front, "PUT", target, body + b"2").status == 200
    assert call(at.fronts[1], "GET", target).body == body + b"2"
    assert call(at.front, "DELETE", target).status == 204
    assert call(at.front, "GET", target).status == 404


def test_keys_that_look_alike_are_several(s3: Any, bucket: str) -> None:
    keys = ["a", "a/", "a//", "A", "a ", "a.", "a%20", "a+", "a\u0301", "á", "a/.", "a/..", "./a"]
    for key in keys:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 30_000)
    for key in keys:
        assert body_of(s3, bucket, key) == key.encode() * 30_000
    assert Counter(keys_in(s3, bucket)) == Counter(keys)


# --- Many of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [100, 100_000])
def test_overwriting_it_again_and_again(at: Server, s3: Any, bucket: str, size: int) -> None:
    before = at.blobs()
    for number in range(100):
        s3.put_object(Bucket=bucket, Key="key", Body=body_of_size(size, number % 7))
    assert body_of(s3, bucket, "key") == body_of_size(size, 99 % 7)
    wait_for(lambda: len(at.blobs() - before) == 1, "what was overwritten to be removed")
    assert body_of(s3, bucket, "key") == body_of_size(size, 99 % 7)


def test_two_front_ends_that_write_the_same_key(at: Server, s3: Any, bucket: str) -> None:
    bodies = {number: body_of_size(100_000, number) for number in range(2)}
    before = at.blobs()
    failures: list[Exception] = []

    def write(number: int) -> None:
        client = at.client(number)
        try:
            for _ in range(15):
                client.put_object(Bucket=bucket, Key="key", Body=bodies[number])
        except ClientError as error:
            failures.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in bodies]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        found = call(at.fronts[1], "GET", f"/{bucket}/key")
        assert found.status == 404 or found.body in bodies.values()
    for writer in writers:
        writer.join()
    assert not failures
    assert body_of(s3, bucket, "key") in bodies.values()
    wait_for(lambda: len(at.blobs() - before) == 1, "what was overwritten to be removed")


def test_many_objects_are_deleted_at_once(at: Server, s3: Any, bucket: str) -> None:
    keys = [f"key {number}" for number in range(20)]
    with at.left_nothing():
        for key in keys:
            s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * 5_000)
        named = {"Objects": [{"Key": key} for key in (*keys, "never")]}
        answer = s3.delete_objects(Bucket=bucket, Delete=named)
        assert {entry["Key"] for entry in answer["Deleted"]} == {*keys, "never"}
        assert keys_in(s3, bucket) == []


def test_what_is_deleted_is_removed(at: Server, s3: Any, bucket: str) -> None:
    with at.left_nothing():
        for size in (0, 1, 300_000, 6 * MIB):
            s3.put_object(Bucket=bucket, Key=str(size), Body=body_of_size(size))
            s3.delete_object(Bucket=bucket, Key=str(size))
            assert code_of(s3.get_object, Bucket=bucket, Key=str(size)) == (404, "NoSuchKey")


def test_a_listing_says_what_there_is(s3: Any, bucket: str) -> None:
    for size in (0, 1, 70_000):
        s3.put_object(Bucket=bucket, Key=f"{size}", Body=body_of_size(size))
    rows = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(row["Key"], row["Size"], row["ETag"]) for row in rows] == [
        (str(size), size, etag_of(body_of_size(size))) for size in (0, 1, 70_000)
    ]


def test_a_bucket_that_is_not_empty_stays(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=RANGED)
    assert code_of(s3.delete_bucket, Bucket=bucket) == (409, "BucketNotEmpty")
    assert body_of(s3, bucket, "key") == RANGED
    s3.delete_object(Bucket=bucket, Key="key")
    s3.delete_bucket(Bucket=bucket)
    assert code_of(s3.list_objects_v2, Bucket=bucket) == (404, "NoSuchBucket")


def test_a_bucket_that_is_made_again_is_empty(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="key", Body=RANGED)
    s3.delete_object(Bucket=bucket, Key="key")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": PLACE})
    assert code_of(s3.get_object, Bucket=bucket, Key="key") == (404, "NoSuchKey")
    s3.put_object(Bucket=bucket, Key="key", Body=b"new")
    assert body_of(s3, bucket, "key") == b"new"


# --- Where they are -------------------------------------------------------------------------------


def test_an_object_says_where_it_goes(at: Server, s3: Any, bucket: str) -> None:
    """Manual, 2.3."""
    assert s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] == PLACE
    elsewhere = {"Metadata": {"scal-location-constraint": DISK}}
    s3.put_object(Bucket=bucket, Key="on disk", Body=RANGED, **elsewhere)
    assert body_of(s3, bucket, "on disk") == RANGED
    (name,) = (f"{bucket}-2",)
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": DISK})
    there = {"Metadata": {"scal-location-constraint": PLACE}}
    before = at.blobs()
    s3.put_object(Bucket=name, Key="there", Body=RANGED, **there)
    assert len(at.blobs() - before) == 1
    found = s3.get_object(Bucket=name, Key="there", Range="bytes=5-70000")
    assert found["Body"].read() == RANGED[5:70_001]
    assert found["Metadata"] == {"scal-location-constraint": PLACE}


def test_a_digest_of_the_whole_body(at: Server, bucket: str) -> None:
    headers = {"Content-MD5": md5_base64(RANGED)}
    assert call(at.front, "PUT", f"/{bucket}/key", RANGED, headers).status == 200
    assert call(at.front, "GET", f"/{bucket}/key").body == RANGED
