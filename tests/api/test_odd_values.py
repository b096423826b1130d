"""Every parameter of the calls on buckets and objects with values that nobody should send: empty,
no numbers, no dates, enormous, cut, and no UTF-8. Each is answered, and never with 500.

Which values a test tries is drawn by a seed, the same in every run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from s3front.auth.sigv4 import RequestHead, presign
from tests.api.support import md5_base64
from tests.raw_http import OWNER, Connection, Response, Wire, call, host_of, sign, wire
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

DATES = (
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Fri, 31 Dec 9999 23:59:59 -2359",
    "Mon, 01 Jan 1 00:00:00 +2359",
    "2999-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    "99999999-01-01T00:00:00Z",
    "2024-W01-1",
)
NUMBERS = (
    *("0", "-1", "+1", "1.5", "1e9", "0x1", " 1", "1_0", "\u0663", "\u00b2"),
    *("2147483648", "9" * 18, "9" * 19, "9" * 40, "9" * 5000),
)
TEXTS = (
    *("", " ", "*", ",", "=", "/", "//", '"', "<a>", "null", "a&b", "a" * 2000, "a" * 7000),
    *("\udcff", "\udced\udca0\udc80", "ü", "\x85", "%", "%zz", "%00", "%0A", "%ff", "%ED%A0%80"),
    *("bytes=-0", "bytes=\u0661-", f"bytes=0-{'9' * 40}", f"bytes={'9' * 5000}-", "bytes=1-0"),
    *("=?UTF-8?Q?=00?=", "=?utf-7?Q?+2AA-?=", "=?unicode_escape?Q?=5Cud800?=", "=?" * 3000),
    *("bucket/key?versionId=", "bucket/key?versionId=%00", "aws-chunked", "chunked", "0" * 64),
)
VALUES = (*DATES, *NUMBERS, *TEXTS)
VALUES_OF_ONE = 12
"""How many of them one parameter is tried with."""

WRITTEN = ("Content-MD5", "Content-Type", "Content-Encoding", "Cache-Control", "Expires")
CONDITIONS = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
BODY = b"<Delete><Object><Key>absent</Key></Object></Delete>"
COPY = {"x-amz-copy-source": "{bucket}/key"}

CALLS: dict[str, tuple[str, str, dict[str, str], Sequence[str], Sequence[str]]] = {
    # target, headers, headers that are tried, parameters that are tried
    "ListBuckets": ("GET /", "", {}, (), ("prefix", "max-buckets", "continuation-token")),
    "ListObjects": (
        *("GET /{bucket}", "", {}),
        ("x-amz-expected-bucket-owner", "x-amz-optional-object-attributes"),
        ("prefix", "delimiter", "marker", "max-keys", "encoding-type"),
    ),
    "ListObjectsV2": (
        *("GET /{bucket}?list-type=2", "", {}, ()),
        ("start-after", "continuation-token", "max-keys", "fetch-owner"),
    ),
    "ListObjectVersions": (
        *("GET /{bucket}?versions", "", {}, ()),
        ("key-marker", "key-marker=a&version-id-marker", "max-keys"),
    ),
    "ListMultipartUploads": (
        *("GET /{bucket}?uploads", "", {}, ()),
        ("key-marker", "key-marker=a&upload-id-marker", "max-uploads"),
    ),
    "GetObject": (
        *("GET /{bucket}/key", "", {}),
        (*CONDITIONS, "Range", "If-Range", "x-amz-checksum-mode", "Expect", "Origin"),
        ("versionId", "partNumber", "response-expires", "uploadId"),
    ),
    "GetObjectAttributes": (
        *("GET /{bucket}/key?attributes", "", {"x-amz-object-attributes": "ObjectParts"}),
        ("x-amz-max-parts", "x-amz-part-number-marker", "If-Modified-Since"),
        ("versionId",),
    ),
    "ListParts": (
        *("GET /{bucket}/upload?uploadId={upload}", "", {}, ()),
        ("max-parts", "part-number-marker"),
    ),
    "PutObject": (
        *("PUT /{bucket}/new", "body", {}),
        (
            *(*WRITTEN, *CONDITIONS[:2], "x-amz-acl", "x-amz-meta-a", "x-amz-tagging"),
            *("x-amz-storage-class", "x-amz-website-redirect-location", "x-amz-checksum-crc32"),
            *("x-amz-sdk-checksum-algorithm", "x-amz-trailer", "x-amz-decoded-content-length"),
            *("x-amz-meta-scal-location-constraint", "x-amz-object-lock-retain-until-date"),
            *("x-amz-copy-source", "x-amz-server-side-encryption"),
        ),
        ("versionId", "partNumber", "uploadId"),
    ),
    "CopyObject": (
        *("PUT /{bucket}/copy", "", COPY),
        (
            *(f"x-amz-copy-source-{condition.lower()}" for condition in CONDITIONS),
            *("x-amz-metadata-directive", "x-amz-copy-source-version-id", "If-Match"),
            *("x-amz-source-expected-bucket-owner", "x-amz-checksum-algorithm"),
        ),
        (),
    ),
    "UploadPartCopy": (
        *("PUT /{bucket}/upload?partNumber=2&uploadId={upload}", "", COPY),
        ("x-amz-copy-source-range",),
        (),
    ),
    "UploadPart": ("PUT /{bucket}/upload?uploadId={upload}", "body", {}, (), ("partNumber",)),
    "CreateMultipartUpload": (
        *("POST /{bucket}/begun?uploads", "", {}),
        ("x-amz-checksum-algorithm", "x-amz-checksum-type", "x-amz-tagging", "x-amz-meta-a"),
        (),
    ),
    "CompleteMultipartUpload": (
        *("POST /{bucket}/upload", "<CompleteMultipartUpload/>", {}),
        ("x-amz-mp-object-size", "x-amz-checksum-type", "If-Match"),
        ("uploadId",),
    ),
    "AbortMultipartUpload": ("DELETE /{bucket}/upload", "", {}, (), ("uploadId",)),
    "DeleteObject": (
        *("DELETE /{bucket}/absent", "", {}),
        ("If-Match", "x-amz-if-match-last-modified-time", "x-amz-if-match-size", "x-amz-mfa"),
        ("versionId",),
    ),
    "DeleteObjects": (
        *("POST /{bucket}?delete", BODY.decode(), {"Content-MD5": md5_base64(BODY)}),
        ("x-amz-bypass-governance-retention", "x-amz-checksum-sha256"),
        (),
    ),
    "RenameObject": (
        *("PUT /{bucket}/new?renameObject", "", {"x-amz-rename-source": "{bucket}/absent"}),
        ("x-amz-rename-source", "x-amz-client-token", "x-amz-rename-source-if-modified-since"),
        (),
    ),
    "CreateBucket": (
        *("PUT /{bucket}", "", {}),
        ("x-amz-bucket-object-lock-enabled", "x-amz-object-ownership", "x-amz-acl"),
        ("x-id",),
    ),
}


def escaped(value: str) -> str:
    return quote(value.encode("utf-8", "surrogateescape"), safe="")


def requests_of(front: Front, name: str, place: dict[str, str]) -> list[Wire]:
    """The call with odd values, in headers and in parameters, and of headers in a presigned URL."""
    line, content, headers, tried_headers, parameters = CALLS[name]
    method, target = line.format(**place).split(" ")
    usual = {header: value.format(**place) for header, value in headers.items()}
    body, draw, made = content.encode(), random.Random(name), []
    mark = "&" if "?" in target else "?"
    for parameter in parameters:
        for value in draw.sample(VALUES, VALUES_OF_ONE):
            odd = f"{target}{mark}{parameter}={escaped(value)}"
            made.append(sign(front, method, odd, body, usual))
    for header in tried_headers:
        for value in draw.sample(VALUES, VALUES_OF_ONE):
            made.append(sign(front, method, target, body, {**usual, header: value}))
            if header.startswith("x-amz-"):
                hoisted = {**usual, header: value}
                query = "&".join(f"{each}={escaped(text)}" for each, text in hoisted.items())
                made.append(presigned(front, method, f"{target}{mark}{query}", body))
    return made


def presigned(front: Front, method: str, target: str, body: bytes) -> Wire:
    path, _, query = target.partition("?")
    head = RequestHead(method, path, query, {"host": host_of(front)})
    signed = f"{path}?{presign(head, OWNER, datetime.now(UTC), 60)}"
    headers = {"Host": host_of(front), "Content-Length": str(len(body))}
    return wire(method, signed, headers, body)


@pytest.fixture
def place(front: Front, bucket: str) -> dict[str, str]:
    """A bucket with an object and an upload under way."""
    assert call(front, "PUT", f"/{bucket}/key", b"body").status == 200
    upload = call(front, "POST", f"/{bucket}/upload?uploads").xml.findtext("UploadId")
    return {"bucket": bucket, "upload": upload or ""}


@pytest.mark.parametrize("name", CALLS)
def test_odd_values_are_answered(front: Front, place: dict[str, str], name: str) -> None:
    for request in requests_of(front, name, place):
        response = answer(front, request)
        assert response.status in range(200, 500) or response.status == 501, request.head


def answer(front: Front, request: Wire) -> Response:
    with Connection(front) as connection:
        return connection.exchange(request)


def test_an_upload_of_a_long_id_there_is_not(s3: Any, front: Front, bucket: str) -> None:
    for method in ("GET", "DELETE", "POST"):
        error = call(front, method, f"/{bucket}/key?uploadId={'u' * 2000}", b"").error
        assert (error["status"], error["Code"]) in (
            ("404", "NoSuchUpload"),
            ("400", "InvalidRequest"),  # a completion without a part
        )
    part = f"/{bucket}/key?partNumber=1&uploadId={'u' * 2000}"
    assert call(front, "PUT", part, b"part").error["Code"] == "NoSuchUpload"


@pytest.mark.parametrize("host", ["\udcff", "a b", "a/b", "u@h"])
def test_a_host_that_there_cannot_be(front: Front, host: str) -> None:
    with Connection(front) as connection:
        connection.send(wire("GET", "/bucket", {"Host": host}))
        assert connection.receive().error["Code"] == "BadRequest"
