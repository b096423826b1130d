"""GetObject and HeadObject: every case is asked of both, and HEAD never has a body."""

from __future__ import annotations

import random
from datetime import UTC, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from s3front.bodies.checksums import Algorithm
from tests.api.support import (
    NO_VERSION,
    OTHER_ACCOUNT_ID,
    checksum_headers,
    checksum_of,
    code_of,
    md5_hex,
    new_name,
)
from tests.raw_http import (
    FOREIGNER,
    Connection,
    Response,
    anonymous,
    call,
    connected,
    sign,
)
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

BODY = b"0123456789"
ETAG = f'"{md5_hex(BODY)}"'
LARGE = random.Random(1).randbytes(6_000_000)


@pytest.fixture(scope="module")
def objects(s3: Any) -> str:
    """A bucket with ``ten`` bytes, an ``empty`` and a ``large`` object."""
    name = new_name()
    s3.create_bucket(Bucket=name)
    for key, body in (("ten", BODY), ("empty", b""), ("large", LARGE)):
        s3.put_object(Bucket=name, Key=key, Body=body)
    return name


def read(front: Front, target: str, headers: dict[str, str] | None = None) -> Response:
    """GET it; HEAD must say the same, without a body and without a word of what went wrong."""
    with connected(front) as connection:
        got = connection.exchange(sign(front, "GET", target, headers=headers))
        head = connection.exchange(sign(front, "HEAD", target, headers=headers))
    assert head.status == got.status
    assert described(head) == described(got)
    return got


def described(response: Response) -> dict[str, str]:
    """The headers that say something about the object."""
    changing = {"date", "x-amz-request-id", "x-amz-id-2"}
    if response.status >= 400:
        changing |= {"content-length", "content-range"}
    return {
        name.lower(): value
        for name, value in response.headers.items()
        if name.lower() not in changing
    }


# --- Ranges -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=0-9", 0, 9),
        ("bytes=2-5", 2, 5),
        ("bytes=9-9", 9, 9),
        ("bytes=5-", 5, 9),
        ("bytes=5-1000000", 5, 9),
        ("bytes=-1", 9, 9),
        ("bytes=-10", 0, 9),
        ("bytes=-1000000", 0, 9),
    ],
)
def test_a_part(front: Front, objects: str, header: str, first: int, last: int) -> None:
    got = read(front, f"/{objects}/ten", {"Range": header})
    assert (got.status, got.body) == (206, BODY[first : last + 1])
    assert got.headers["Content-Range"] == f"bytes {first}-{last}/10"
    assert got.headers["Content-Length"] == str(last - first + 1)
    assert got.headers["ETag"] == ETAG


@pytest.mark.parametrize("header", ["bytes=5-2", "bytes=0-1,3-4", "lines=0-1", "bytes", "bytes=-"])
def test_a_range_that_is_ignored(front: Front, objects: str, header: str) -> None:
    got = read(front, f"/{objects}/ten", {"Range": header})
    assert (got.status, got.body) == (200, BODY)
    assert "Content-Range" not in got.headers


@pytest.mark.parametrize(
    ("key", "header"),
    [
        ("ten", "bytes=10-"),
        ("ten", "bytes=10-20"),
        ("ten", "bytes=-0"),
        ("empty", "bytes=0-"),
        ("empty", "bytes=0-0"),
        ("empty", "bytes=-0"),
    ],
)
def test_a_range_of_no_byte(front: Front, objects: str, key: str, header: str) -> None:
    got = read(front, f"/{objects}/{key}", {"Range": header})
    assert (got.status, got.error["Code"]) == (416, "InvalidRange")
    assert got.error["RangeRequested"] == header
    size = got.error["ActualObjectSize"]
    assert got.headers["Content-Range"] == f"bytes */{size}"
    assert size == {"ten": "10", "empty": "0"}[key]


@pytest.mark.parametrize(
    ("header", "known"),
    [("bytes=0-9", True), ("bytes=0-100", True), ("bytes=-15", True), ("bytes=0-8", False)],
)
def test_a_range_of_all_bytes_has_the_checksum(
    front: Front, objects: str, header: str, known: bool
) -> None:
    headers = {"Range": header, "x-amz-checksum-mode": "ENABLED"}
    got = read(front, f"/{objects}/ten", headers)
    assert got.status == 206
    assert bool(checksum_headers(got)) == known


def test_the_last_bytes_of_an_empty_object(front: Front, objects: str) -> None:
    """Readers of formats with a footer ask so, whatever the size; AWS answers 200."""
    got = read(front, f"/{objects}/empty", {"Range": "bytes=-10"})
    assert (got.status, got.body, got.headers["Content-Length"]) == (200, b"", "0")
    assert "Content-Range" not in got.headers


@pytest.mark.parametrize("seed", range(12))
def test_parts_of_a_large_object(s3: Any, objects: str, seed: int) -> None:
    first, last = sorted(random.Random(seed).randrange(len(LARGE)) for _ in range(2))
    got = s3.get_object(Bucket=objects, Key="large", Range=f"bytes={first}-{last}")
    assert got["Body"].read() == LARGE[first : last + 1]
    assert got["ContentRange"] == f"bytes {first}-{last}/{len(LARGE)}"


# --- Conditions ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dates(s3: Any, objects: str) -> dict[str, str]:
    """HTTP dates around the object's."""
    modified = s3.head_object(Bucket=objects, Key="ten")["LastModified"].astimezone(UTC)
    seconds = {"before": -1, "same": 0, "after": 1, "tomorrow": 86_400}
    return {
        name: format_datetime(modified + timedelta(seconds=offset), usegmt=True)
        for name, offset in seconds.items()
    }


OTHER = '"ffffffffffffffffffffffffffffffff"'


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"If-Match": ETAG}, 200),
        ({"If-Match": ETAG.strip('"')}, 200),
        ({"If-Match": "*"}, 200),
        ({"If-Match": f"{OTHER}, {ETAG}"}, 200),
        ({"If-Match": OTHER}, 412),
        ({"If-None-Match": ETAG}, 304),
        ({"If-None-Match": f"W/{ETAG}"}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": OTHER}, 200),
        ({"If-Modified-Since": "before"}, 200),
        ({"If-Modified-Since": "same"}, 304),
        ({"If-Modified-Since": "tomorrow"}, 200),
        ({"If-Modified-Since": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, 200),
        ({"If-Modified-Since": "nonsense"}, 200),
        ({"If-Unmodified-Since": "before"}, 412),
        ({"If-Unmodified-Since": "same"}, 200),
        ({"If-Unmodified-Since": "after"}, 200),
        ({"If-Unmodified-Since": "nonsense"}, 200),
        # Precedence (API reference, GetObject; RFC 9110, section 13.2.2).
        ({"If-Match": ETAG, "If-Unmodified-Since": "before"}, 200),
        ({"If-Match": OTHER, "If-Unmodified-Since": "after"}, 412),
        ({"If-None-Match": ETAG, "If-Modified-Since": "before"}, 304),
        ({"If-None-Match": OTHER, "If-Modified-Since": "after"}, 200),
        ({"If-Match": OTHER, "If-None-Match": ETAG}, 412),
        ({"If-Match": ETAG, "If-None-Match": ETAG}, 304),
        ({"If-Unmodified-Since": "before", "If-None-Match": ETAG}, 412),
        ({"If-Match": ETAG, "If-Modified-Since": "same"}, 304),
    ],
    ids=str,
)
def test_a_condition(
    front: Front, objects: str, dates: dict[str, str], conditions: dict[str, str], status: int
) -> None:
    headers = {name: dates.get(value, value) for name, value in conditions.items()}
    got = read(front, f"/{objects}/ten", headers)
    assert got.status == status
    if status == 412:
        assert got.error["Code"] == "PreconditionFailed"
        assert got.error["Condition"] in conditions
    else:
        assert got.headers["ETag"] == ETAG
        assert got.headers["Last-Modified"] == dates["same"]
        assert got.body == (BODY if status == 200 else b"")


def test_what_a_cache_is_told_again(front: Front, bucket: str) -> None:
    headers = {"Cache-Control": "max-age=60", "Expires": "Thu, 01 Dec 2033 16:00:00 GMT"}
    etag = call(front, "PUT", f"/{bucket}/a", b"body", headers).headers["ETag"]
    for method in ("GET", "HEAD"):
        found = call(front, method, f"/{bucket}/a", headers={"If-None-Match": etag})
        assert (found.status, found.headers["ETag"]) == (304, etag)
        assert {name: found.headers[name] for name in headers} == headers
        assert "Content-Type" not in found.headers
    target = f"/{bucket}/a?response-cache-control=no-store"
    found = call(front, "GET", target, headers={"If-None-Match": etag})
    assert (found.status, found.headers["Cache-Control"]) == (304, "no-store")


@pytest.mark.parametrize(
    ("condition", "status"),
    [({"If-Match": ETAG}, 206), ({"If-Match": OTHER}, 412), ({"If-None-Match": ETAG}, 304)],
    ids=str,
)
def test_conditions_come_before_ranges(
    front: Front, objects: str, condition: dict[str, str], status: int
) -> None:
    assert read(front, f"/{objects}/ten", {"Range": "bytes=1-2", **condition}).status == status
    unsatisfiable = read(front, f"/{objects}/ten", {"Range": "bytes=10-", **condition}).status
    assert unsatisfiable == (416 if status == 206 else status)


@pytest.mark.parametrize(
    ("validator", "status"),
    [
        (ETAG, 206),
        (ETAG.strip('"'), 206),
        (f"W/{ETAG}", 200),
        (OTHER, 200),
        ("same", 206),
        ("before", 200),
        ("after", 200),
        ("nonsense", 200),
    ],
)
def test_a_range_of_one_state_of_the_object(
    front: Front, objects: str, dates: dict[str, str], validator: str, status: int
) -> None:
    """If-Range (RFC 9110, section 13.1.5): of any other state the whole is wanted."""
    headers = {"Range": "bytes=1-2", "If-Range": dates.get(validator, validator)}
    got = read(front, f"/{objects}/ten", headers)
    assert (got.status, got.body) == (status, BODY[1:3] if status == 206 else BODY)


def test_conditions_do_not_matter_for_what_is_absent(front: Front, objects: str) -> None:
    for name in ("If-Match", "If-None-Match"):
        assert read(front, f"/{objects}/absent", {name: "*"}).error["Code"] == "NoSuchKey"


# --- Headers ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "header"),
    [
        ("response-cache-control", "Cache-Control"),
        ("response-content-disposition", "Content-Disposition"),
        ("response-content-encoding", "Content-Encoding"),
        ("response-content-language", "Content-Language"),
        ("response-content-type", "Content-Type"),
        ("response-expires", "Expires"),
    ],
)
def test_a_header_of_the_reply_is_replaced(
    front: Front, objects: str, parameter: str, header: str
) -> None:
    got = read(front, f"/{objects}/ten?{parameter}=a%3B%20gr%C3%BCn")
    assert (got.status, got.headers[header]) == (200, "a; gr\udcfcn")


@pytest.mark.parametrize("value", ["a%0D%0AX-Evil:%201", "a%0Ab", "a%00b", "%1f"])
def test_a_replaced_header_does_not_split_the_reply(front: Front, objects: str, value: str) -> None:
    got = read(front, f"/{objects}/ten?response-content-type={value}")
    assert (got.status, got.error["Code"]) == (400, "InvalidArgument")
    assert got.error["ArgumentName"] == "response-content-type"


def test_checksums_are_those_of_the_whole(front: Front, objects: str) -> None:
    value = checksum_of(Algorithm.CRC32, BODY)
    headers = {Algorithm.CRC32.header: value}
    assert call(front, "PUT", f"/{objects}/summed", BODY, headers).status == 200
    asked = {"x-amz-checksum-mode": "ENABLED"}
    assert read(front, f"/{objects}/summed", asked).headers[Algorithm.CRC32.header] == value
    part = read(front, f"/{objects}/summed", {**asked, "Range": "bytes=0-0"})
    assert Algorithm.CRC32.header not in part.headers


def test_nothing_is_compressed_on_the_way(front: Front, objects: str) -> None:
    got = read(front, f"/{objects}/ten", {"Accept-Encoding": "gzip, br"})
    assert got.body == BODY
    assert "Content-Encoding" not in got.headers


@pytest.mark.parametrize("key", ["ten", "empty"])
def test_the_length_is_said(front: Front, objects: str, key: str) -> None:
    got = read(front, f"/{objects}/{key}")
    assert got.headers["Content-Length"] == str(len(got.body))
    assert got.headers["Accept-Ranges"] == "bytes"


# --- Refusals -----------------------------------------------------------------------------------


def test_a_key_that_does_not_exist(front: Front, objects: str) -> None:
    got = read(front, f"/{objects}/a%3Cb%3E%01")
    assert (got.status, got.error["Code"]) == (404, "NoSuchKey")
    assert got.error["Key"] == "a<b>\ufffd"


def test_boto3_sees_the_codes(s3: Any, objects: str) -> None:
    assert code_of(s3.get_object, Bucket=objects, Key="absent") == (404, "NoSuchKey")
    assert code_of(s3.head_object, Bucket=objects, Key="absent") == (404, "404")
    assert code_of(s3.get_object, Bucket=objects, Key="ten", IfNoneMatch=ETAG) == (304, "304")


def test_a_bucket_that_does_not_exist(front: Front) -> None:
    assert read(front, f"/{new_name()}/key").error["Code"] == "NoSuchBucket"


def test_versions(front: Front, objects: str) -> None:
    assert read(front, f"/{objects}/ten?versionId=null").body == BODY
    got = read(front, f"/{objects}/ten?versionId={NO_VERSION}")
    assert (got.status, got.error["Code"], got.error["VersionId"]) == (
        404,
        "NoSuchVersion",
        NO_VERSION,
    )
    for text, message in (
        ("other", "Invalid version id specified"),
        ("0" * 32, "Invalid version id specified"),
        ("", "Version id cannot be the empty string"),
    ):
        got = read(front, f"/{objects}/ten?versionId={text}")
        assert (got.status, got.error["Code"]) == (400, "InvalidArgument")
        assert (got.error["Message"], got.error["ArgumentValue"]) == (message, text)


def test_the_expected_owner(front: Front, objects: str) -> None:
    wrong = {"x-amz-expected-bucket-owner": OTHER_ACCOUNT_ID}
    assert read(front, f"/{objects}/ten", wrong).status == 403
    assert read(front, f"/{objects}/ten", {"x-amz-expected-bucket-owner": "123456789012"}).body


@pytest.mark.parametrize("key", ["ten", "absent"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_others_learn_nothing(front: Front, objects: str, method: str, key: str) -> None:
    target = f"/{objects}/{key}"
    for response in (anonymous(front, method, target), call(front, method, target, key=FOREIGNER)):
        assert response.status == 403
        assert method == "HEAD" or response.error["Code"] == "AccessDenied"


# --- The connection -----------------------------------------------------------------------------


def test_a_reader_that_goes_away_disturbs_nobody(front: Front, objects: str) -> None:
    request = sign(front, "GET", f"/{objects}/large")
    for _ in range(5):
        with Connection(front) as connection:
            connection.send(request)
            assert connection.receive_interim() == 200
    with Connection(front) as connection:
        assert connection.exchange(request).body == LARGE


def test_a_slow_reader_gets_everything(front: Front, objects: str) -> None:
    request = bytes(sign(front, "GET", f"/{objects}/large"))
    with connected(front) as slow, Connection(front) as quick:
        slow.send(request)
        assert quick.exchange(sign(front, "GET", f"/{objects}/ten")).body == BODY
        assert slow.receive().body == LARGE


def test_reading_while_it_is_overwritten(front: Front, s3: Any, bucket: str) -> None:
    """A reader gets the object that it began with, whole."""
    first, second = LARGE, LARGE[::-1]
    s3.put_object(Bucket=bucket, Key="a", Body=first)
    with Connection(front) as connection:
        connection.send(sign(front, "GET", f"/{bucket}/a"))
        s3.put_object(Bucket=bucket, Key="a", Body=second)
        s3.delete_object(Bucket=bucket, Key="a")
        assert connection.receive().body in (first, second)


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("x-amz-server-side-encryption", "aws:kms", "InvalidArgument"),
        ("x-amz-server-side-encryption-customer-algorithm", "AES256", "InvalidRequest"),
    ],
)
def test_encryption_that_does_not_apply(
    front: Front, objects: str, name: str, value: str, code: str
) -> None:
    response = read(front, f"/{objects}/ten", {name: value})
    assert (response.status, response.error["Code"]) == (400, code)
