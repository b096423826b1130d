"""PutObject, and what comes back of what it was given."""

from __future__ import annotations

import gzip
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from s3front.bodies.checksums import Algorithm
from tests.api.support import (
    ODD_KEYS,
    OTHER_ACCOUNT_ID,
    checksum_of,
    key_id,
    keys_in,
    md5_base64,
    md5_hex,
    new_name,
    path_of,
)
from tests.clients_boto3 import s3_client
from tests.raw_http import FOREIGNER, OWNER, anonymous, call
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

BODY = b"the body of an object"


def put(front: Front, bucket: str, headers: dict[str, str], body: bytes = BODY) -> Any:
    """PUT the object ``key``, whose body may be empty; the response."""
    return call(front, "PUT", f"/{bucket}/key", body, {"Content-Length": str(len(body)), **headers})


@pytest.mark.parametrize(
    "size", [0, 1, 65_536, 262_144, 262_145, 524_289, 1_048_576, 1_048_577, 1_200_000, 5_000_000]
)
def test_an_object_is_stored(s3: Any, bucket: str, size: int) -> None:
    body = b"0123456789abcdef" * (size // 16 + 1)
    body = body[:size]
    assert s3.put_object(Bucket=bucket, Key="a", Body=body)["ETag"] == f'"{md5_hex(body)}"'
    found = s3.get_object(Bucket=bucket, Key="a")
    assert found["Body"].read() == body
    assert found["ContentLength"] == size
    assert found["ETag"] == f'"{md5_hex(body)}"'


def test_what_one_front_end_stores_the_other_has(s3: Any, tls_front: Front, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=BODY)
    assert s3_client(tls_front).get_object(Bucket=bucket, Key="a")["Body"].read() == BODY


def test_the_last_write_wins(s3: Any, bucket: str) -> None:
    for body in (b"first", b"", b"the third"):
        s3.put_object(Bucket=bucket, Key="a", Body=body, Metadata={"size": str(len(body))})
        found = s3.get_object(Bucket=bucket, Key="a")
        assert (found["Body"].read(), found["Metadata"]) == (body, {"size": str(len(body))})
    assert keys_in(s3, bucket) == ["a"]


def test_writers_of_one_key_all_succeed(s3: Any, bucket: str) -> None:
    bodies = [b"%d" % number * 1000 for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        [*pool.map(lambda body: s3.put_object(Bucket=bucket, Key="a", Body=body), bodies)]
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() in bodies


def test_when_it_was_modified(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=BODY)
    age = datetime.now(UTC) - s3.head_object(Bucket=bucket, Key="a")["LastModified"]
    assert timedelta(0) <= age < timedelta(minutes=1)


# --- Keys ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ODD_KEYS, ids=key_id)
def test_an_odd_key(s3: Any, front: Front, bucket: str, key: str) -> None:
    """Stored, read, listed and deleted: by its name and no other."""
    path = path_of(bucket, key)
    assert call(front, "PUT", path, BODY).status == 200
    assert call(front, "GET", path).body == BODY
    assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(BODY)
    assert keys_in(s3, bucket) == [key]
    assert call(front, "DELETE", path).status == 204
    assert call(front, "GET", path).error["Code"] == "NoSuchKey"
    assert keys_in(s3, bucket) == []


@pytest.mark.parametrize("key", [*filter(str.isprintable, ODD_KEYS)], ids=key_id)
def test_botocore_addresses_an_odd_key_as_we_do(
    s3: Any, front: Front, bucket: str, key: str
) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=BODY)
    assert call(front, "GET", path_of(bucket, key)).body == BODY


@pytest.mark.parametrize(
    ("path", "key"),
    [
        ("a b", None),
        ("a%20b", "a b"),
        ("a%2fb", "a/b"),
        ("%61", "a"),
        ("a+b", "a+b"),
        ("a%2Bb", "a+b"),
        ("100%25", "100%"),
        ("100%", None),
        ("a%zzb", None),
        ("%4", None),
        ("%%41", None),
        ("~!$&'()*,;=:@", "~!$&'()*,;=:@"),
    ],
)
def test_escapes_of_a_path(s3: Any, front: Front, bucket: str, path: str, key: str | None) -> None:
    response = call(front, "PUT", f"/{bucket}/{path}", BODY)
    if key is None:
        assert response.status == 400
    else:
        assert response.status == 200
        assert keys_in(s3, bucket) == [key]


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("%ff", 400, "InvalidURI"),
        ("a%ed%a0%80", 400, "InvalidURI"),
        ("a%00b", 400, "InvalidArgument"),
        ("x" * 1025, 400, "KeyTooLongError"),
        ("%C3%BC" * 513, 400, "KeyTooLongError"),
    ],
)
@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
def test_a_key_that_there_cannot_be(
    front: Front, bucket: str, method: str, path: str, status: int, code: str
) -> None:
    error = call(front, method, f"/{bucket}/{path}").error
    assert (error["status"], error["Code"]) == (str(status), code)


def test_how_long_a_key_may_be(front: Front, bucket: str) -> None:
    error = call(front, "PUT", f"/{bucket}/{'x' * 1025}", BODY).error
    assert (error["Size"], error["MaxSizeAllowed"]) == ("1025", "1024")


# --- Where a request is addressed ---------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "s3.docker.test", "127.0.0.1", "x.y"]
)
def test_path_style(s3: Any, front: Front, bucket: str, host: str) -> None:
    assert put(front, bucket, {"Host": host}).status == 200
    assert keys_in(s3, bucket) == ["key"]


@pytest.mark.parametrize("endpoint", ["localhost", "localhost:80", "s3.docker.test"])
def test_virtual_hosted_style(s3: Any, front: Front, bucket: str, endpoint: str) -> None:
    headers = {"Host": f"{bucket}.{endpoint}"}
    assert call(front, "PUT", "/a/b", BODY, headers).status == 200
    assert keys_in(s3, bucket) == ["a/b"]
    assert call(front, "GET", "/a/b", headers=headers).body == BODY
    listing = call(front, "GET", "/?list-type=2", headers=headers).parsed("ListObjectsV2")
    assert [entry["Key"] for entry in listing["Contents"]] == ["a/b"]


def test_boto3_through_a_proxy_in_virtual_hosted_style(
    s3: Any, plain_front: Front, bucket: str
) -> None:
    """A proxy is sent absolute URLs, as RFC 9112 has every server accept them."""
    client = s3_client(
        Front(plain_front.process, 8080),
        s3={"addressing_style": "virtual"},
        proxies={"http": f"http://127.0.0.1:{plain_front.port}"},
    )
    client.put_object(Bucket=bucket, Key="a b/ü", Body=BODY)
    assert client.get_object(Bucket=bucket, Key="a b/ü")["Body"].read() == BODY
    assert keys_in(s3, bucket) == ["a b/ü"]


# --- Headers and metadata -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Cache-Control", "no-cache, max-age=0"),
        ("Content-Disposition", 'attachment; filename="grün.txt"'),
        ("Content-Encoding", "br"),
        ("Content-Language", "de, en"),
        ("Content-Type", "text/html; charset=ISO-8859-1"),
        ("Expires", "Thu, 01 Dec 1994 16:00:00 GMT"),
        ("Expires", "0"),
        ("x-amz-website-redirect-location", "https://example.com/?a=b"),
        ("x-amz-meta-plain", "value"),
        ("x-amz-meta-empty", ""),
        ("x-amz-meta-blanks", "a b\tc"),
        ("Content-Disposition", "gr\udcfcn"),
        ("x-amz-meta-rfc2047", "=?UTF-8?Q?gr=C3=BCn?="),
        ("x-amz-meta-quotes", "\"'<>&\\"),
        ("x-amz-meta-!#$%&'*+.^_`|~9", "odd name"),
        ("x-amz-meta-under_score", "a"),
        ("x-amz-meta-long", "x" * 2000),
    ],
)
def test_a_header_comes_back_as_it_was_sent(
    front: Front, bucket: str, name: str, value: str
) -> None:
    assert put(front, bucket, {name: value}).status == 200
    assert call(front, "GET", f"/{bucket}/key").headers[name] == value
    assert call(front, "HEAD", f"/{bucket}/key").headers[name] == value


def test_boto3_reads_its_metadata_back(s3: Any, bucket: str) -> None:
    metadata = {"one": "1", "with-hyphen": "two words", "empty": "", "digits9": "=?x?="}
    s3.put_object(Bucket=bucket, Key="a", Metadata=metadata)
    assert s3.head_object(Bucket=bucket, Key="a")["Metadata"] == metadata


def test_names_of_metadata_are_in_lower_case(front: Front, bucket: str) -> None:
    put(front, bucket, {"X-AMZ-Meta-CaSe": "Value"})
    names = [name for name in call(front, "GET", f"/{bucket}/key").headers if "meta" in name]
    assert names == ["x-amz-meta-case"]


def test_an_object_without_headers(front: Front, bucket: str) -> None:
    put(front, bucket, {})
    headers = call(front, "GET", f"/{bucket}/key").headers
    assert headers["Content-Type"] == "binary/octet-stream"
    assert {name.lower() for name in headers} == {
        "accept-ranges",
        "content-length",
        "content-type",
        "date",
        "etag",
        "last-modified",
        "server",
        "x-amz-id-2",
        "x-amz-request-id",
    }


def test_an_overwritten_object_has_no_headers_of_the_old_one(front: Front, bucket: str) -> None:
    put(front, bucket, {"x-amz-meta-old": "1", "Cache-Control": "no-store"})
    put(front, bucket, {"x-amz-meta-new": "1"})
    headers = call(front, "HEAD", f"/{bucket}/key").headers
    assert "x-amz-meta-new" in headers
    assert "x-amz-meta-old" not in headers
    assert "Cache-Control" not in headers


def test_a_compressed_body_is_not_unzipped(front: Front, bucket: str) -> None:
    body = gzip.compress(BODY)
    assert put(front, bucket, {"Content-Encoding": "gzip"}, body).status == 200
    found = call(front, "GET", f"/{bucket}/key", headers={"Accept-Encoding": "identity"})
    assert (found.body, found.headers["Content-Encoding"]) == (body, "gzip")


def test_a_body_that_is_not_what_its_coding_says(front: Front, bucket: str) -> None:
    assert put(front, bucket, {"Content-Encoding": "gzip"}).status == 200
    assert call(front, "GET", f"/{bucket}/key").body == BODY


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("aws-chunked", None), ("gzip,aws-chunked", "gzip"), ("aws-chunked, gzip", "gzip")],
)
def test_aws_chunked_is_never_stored(
    front: Front, bucket: str, sent: str, kept: str | None
) -> None:
    assert put(front, bucket, {"Content-Encoding": sent}).status == 200
    assert call(front, "GET", f"/{bucket}/key").headers.get("Content-Encoding") == kept


def test_the_limit_of_metadata(front: Front, bucket: str) -> None:
    assert put(front, bucket, {"x-amz-meta-ab": "x" * 2046}).status == 200
    error = put(front, bucket, {"x-amz-meta-ab": "x" * 2047}).error
    assert (error["status"], error["Code"]) == ("400", "MetadataTooLarge")
    assert (error["Size"], error["MaxSizeAllowed"]) == ("2049", "2048")


# --- Digests ------------------------------------------------------------------------------------


def test_the_right_content_md5(front: Front, bucket: str) -> None:
    assert put(front, bucket, {"Content-MD5": md5_base64(BODY)}).status == 200


def test_a_wrong_content_md5_leaves_what_was_there(front: Front, bucket: str) -> None:
    put(front, bucket, {})
    error = put(front, bucket, {"Content-MD5": md5_base64(BODY)}, b"another body").error
    assert (error["status"], error["Code"]) == ("400", "BadDigest")
    assert error["ExpectedDigest"] == md5_hex(BODY)
    assert error["CalculatedDigest"] == md5_base64(b"another body")
    assert call(front, "GET", f"/{bucket}/key").body == BODY


@pytest.mark.parametrize("value", ["", "abc", "AAAA", "?" * 24, md5_hex(BODY), "\udcff"])
def test_a_content_md5_that_is_none(front: Front, bucket: str, value: str) -> None:
    error = put(front, bucket, {"Content-MD5": value}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidDigest")
    assert call(front, "HEAD", f"/{bucket}/key").status == 404


@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_checksum_is_returned_and_listed(
    s3: Any, front: Front, bucket: str, algorithm: Algorithm
) -> None:
    value = checksum_of(algorithm, BODY)
    member = f"Checksum{algorithm.value}"
    response = put(front, bucket, {algorithm.header: value}).parsed("PutObject")
    assert (response[member], response["ChecksumType"]) == (value, "FULL_OBJECT")
    for read in (s3.get_object, s3.head_object):
        found = read(Bucket=bucket, Key="key", ChecksumMode="ENABLED")
        assert (found[member], found["ChecksumType"]) == (value, "FULL_OBJECT")
    assert algorithm.header not in call(front, "GET", f"/{bucket}/key").headers
    (listed,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (
        [algorithm.value],
        "FULL_OBJECT",
    )


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("value", ["", "AA==", "not base64", "\udcff"])
def test_a_checksum_that_is_none(
    front: Front, bucket: str, algorithm: Algorithm, value: str
) -> None:
    error = put(front, bucket, {algorithm.header: value}).error
    assert (error["status"], error["Code"]) == ("400", "InvalidRequest")
    assert error["Message"] == f"Value for {algorithm.header} header is invalid."


CRC32 = {"x-amz-checksum-crc32": checksum_of(Algorithm.CRC32, BODY)}


@pytest.mark.parametrize(
    "headers",
    [
        {**CRC32, "x-amz-checksum-sha1": checksum_of(Algorithm.SHA1, BODY)},
        {"x-amz-checksum-md4": "AAAA"},
        {**CRC32, "x-amz-sdk-checksum-algorithm": "SHA256"},
        {**CRC32, "x-amz-sdk-checksum-algorithm": "MD4"},
        {"x-amz-sdk-checksum-algorithm": "CRC32"},
        {**CRC32, "x-amz-trailer": "x-amz-checksum-crc32"},
    ],
)
def test_checksums_that_contradict_each_other(
    front: Front, bucket: str, headers: dict[str, str]
) -> None:
    error = put(front, bucket, headers).error
    assert (error["status"], error["Code"]) == ("400", "InvalidRequest")
    assert call(front, "HEAD", f"/{bucket}/key").status == 404


# --- Refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"x-amz-storage-class": "NONSENSE"}, 400, "InvalidStorageClass"),
        ({"x-amz-acl": "aws-exec-read"}, 501, "NotImplemented"),
        ({"x-amz-acl": "public-read"}, 400, "AccessControlListNotSupported"),
        ({"x-amz-grant-read": "id=1"}, 400, "InvalidArgument"),
        ({"x-amz-object-lock-mode": "GOVERNANCE"}, 400, "InvalidRequest"),
        ({"x-amz-server-side-encryption": "AES256"}, 501, "NotImplemented"),
        ({"x-amz-server-side-encryption-customer-algorithm": "AES256"}, 400, "InvalidRequest"),
        ({"x-amz-write-offset-bytes": "0"}, 501, "NotImplemented"),
        ({"x-amz-meta-scal-location-constraint": "nowhere"}, 400, "InvalidArgument"),
        ({"x-amz-expected-bucket-owner": OTHER_ACCOUNT_ID}, 403, "AccessDenied"),
    ],
    ids=str,
)
def test_a_header_that_is_refused(
    front: Front, bucket: str, headers: dict[str, str], status: int, code: str
) -> None:
    error = put(front, bucket, headers).error
    assert (error["status"], error["Code"]) == (str(status), code)
    assert call(front, "HEAD", f"/{bucket}/key").status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"x-amz-storage-class": "STANDARD"},
        {"x-amz-acl": "bucket-owner-full-control"},
        {"x-amz-meta-scal-location-constraint": "us-east-1"},
        {"x-amz-expected-bucket-owner": "123456789012"},
    ],
    ids=str,
)
def test_a_header_that_asks_for_what_is_so_anyway(
    front: Front, bucket: str, headers: dict[str, str]
) -> None:
    assert put(front, bucket, headers).status == 200


def test_a_bucket_that_does_not_exist(front: Front) -> None:
    name = new_name()
    error = put(front, name, {}).error
    assert (error["status"], error["Code"], error["BucketName"]) == ("404", "NoSuchBucket", name)


def test_foreigners_and_anonymous_are_refused(front: Front, bucket: str) -> None:
    for response in (
        call(front, "PUT", f"/{bucket}/key", BODY, key=FOREIGNER),
        anonymous(front, "PUT", f"/{bucket}/key", BODY),
    ):
        assert (response.status, response.error["Code"]) == (403, "AccessDenied")
    assert call(front, "HEAD", f"/{bucket}/key", key=OWNER).status == 404


def test_more_than_one_upload_may_have(front: Front, bucket: str) -> None:
    size = 5 * 1024**3 + 1
    error = call(
        front,
        "PUT",
        f"/{bucket}/key",
        headers={"Content-Length": str(size), "Expect": "100-continue"},
        payload="UNSIGNED-PAYLOAD",
    ).error
    assert (error["status"], error["Code"]) == ("400", "EntityTooLarge")
    assert (error["ProposedSize"], error["MaxSizeAllowed"]) == (str(size), str(size - 1))


def test_an_upload_needs_a_length(front: Front, bucket: str) -> None:
    error = call(front, "PUT", f"/{bucket}/key").error
    assert (error["status"], error["Code"]) == ("411", "MissingContentLength")
