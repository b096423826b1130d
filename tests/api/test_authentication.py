"""Signatures: in the header, in the query, right, wrong and out of date."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
import requests

from s3front.auth.signing import sign_string, signing_key
from s3front.auth.sigv4 import (
    EMPTY_SHA256,
    AccessKey,
    RequestHead,
    canonical_request,
    presign,
    string_to_sign,
)
from s3front.bodies.checksums import Algorithm
from tests.api.support import checksum_of, keys_in, md5_hex, put_all
from tests.clients_boto3 import s3_client
from tests.raw_http import (
    FOREIGNER,
    OWNER,
    Response,
    Wire,
    anonymous,
    call,
    connected,
    exchange,
    host_of,
    sign,
    wire,
    with_header,
)
from tests.servers import Front

pytestmark = pytest.mark.usefixtures("undisturbed")

UNSIGNED = "UNSIGNED-PAYLOAD"


def later(**by: float) -> datetime:
    return datetime.now(UTC) + timedelta(**by)


def refusal(response: Response) -> tuple[int, str]:
    """Status and code."""
    return int(response.error["status"]), response.error["Code"]


def altered(request: Wire, pattern: str, replacement: str) -> Wire:
    """The request with one thing changed after it was signed."""
    head, count = re.subn(pattern, replacement, request.head.decode(), count=1)
    assert count == 1, head
    return Wire(request.method, head.encode(), request.body)


# --- The Authorization header -------------------------------------------------------------------


def test_a_wrong_signature_is_explained(front: Front) -> None:
    """Whoever looks for the mistake gets what the server computed."""
    request = sign(front, "GET", "/bucket/k%20ey?b=2&a=1", key=AccessKey(OWNER.access_key, "wrong"))
    error = exchange(front, request).error
    assert (error["status"], error["Code"]) == ("403", "SignatureDoesNotMatch")
    assert error["AWSAccessKeyId"] == OWNER.access_key
    sent = dict(line.split(": ", 1) for line in request.head.decode().split("\r\n")[1:-2])
    canonical = canonical_request(
        RequestHead(
            "GET", "/bucket/k%20ey", "b=2&a=1", {name.lower(): sent[name] for name in sent}
        ),
        ("host", "x-amz-content-sha256", "x-amz-date"),
        EMPTY_SHA256,
    )
    assert error["CanonicalRequest"] == canonical
    assert bytes.fromhex(error["CanonicalRequestBytes"]).decode() == canonical
    assert error["StringToSign"].startswith(f"AWS4-HMAC-SHA256\n{sent['x-amz-date']}\n")
    assert bytes.fromhex(error["StringToSignBytes"]).decode() == error["StringToSign"]
    assert sent["authorization"].endswith(f"Signature={error['SignatureProvided']}")


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        ("^PUT", "GET"),
        ("/key", "/kez"),
        ("a=1", "a=2"),
        ("a=1", "a=1&b=1"),
        ("a=1", ""),
        ("x-amz-meta-a: value", "x-amz-meta-a: other"),
        ("x-amz-meta-a: value\r\n", ""),
        ("Content-Type: text/plain", "Content-Type: text/html"),
        (r"Host: localhost:\d+", "Host: localhost:1"),
        (r"Signature=(..)", r"Signature=ff\\1"),
        (r"x-amz-content-sha256: \w+", f"x-amz-content-sha256: {EMPTY_SHA256}"),
        (r"x-amz-content-sha256: \w+", f"x-amz-content-sha256: {UNSIGNED}"),
    ],
)
def test_what_was_signed_cannot_be_changed(
    front: Front, bucket: str, pattern: str, replacement: str
) -> None:
    headers = {"x-amz-meta-a": "value", "Content-Type": "text/plain"}
    request = sign(front, "PUT", f"/{bucket}/key?a=1", b"body", headers)
    changed = altered(request, pattern, replacement)
    assert refusal(exchange(front, changed)) == (403, "SignatureDoesNotMatch")
    assert call(front, "HEAD", f"/{bucket}/key").status == 404


def test_a_changed_body_is_noticed(front: Front, bucket: str) -> None:
    request = sign(front, "PUT", f"/{bucket}/key", b"body")
    error = exchange(front, Wire("PUT", request.head, b"BODY")).error
    assert (error["status"], error["Code"]) == ("400", "XAmzContentSHA256Mismatch")
    assert call(front, "HEAD", f"/{bucket}/key").status == 404


@pytest.mark.parametrize("name", ["x-amz-meta-new", "x-amz-acl", "X-Amz-Unknown"])
def test_a_header_of_amazon_must_be_signed(front: Front, bucket: str, name: str) -> None:
    request = with_header(sign(front, "PUT", f"/{bucket}/key", b"body"), name, "private")
    error = exchange(front, request).error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")
    assert error["HeadersNotSigned"] == name.lower()


def test_other_headers_need_not_be_signed(front: Front, bucket: str) -> None:
    request = with_header(
        sign(front, "PUT", f"/{bucket}/key", b"body"), "Cache-Control", "no-store"
    )
    assert exchange(front, request).status == 200
    assert call(front, "HEAD", f"/{bucket}/key").headers["Cache-Control"] == "no-store"


def test_an_unknown_key(front: Front) -> None:
    error = call(front, "GET", "/", key=AccessKey("nobody", "secret")).error
    assert (error["status"], error["Code"]) == ("403", "InvalidAccessKeyId")
    assert error["AWSAccessKeyId"] == "nobody"


def test_a_session_token_is_no_token_of_ours(front: Front) -> None:
    key = AccessKey(OWNER.access_key, OWNER.secret, session_token="token")
    assert refusal(call(front, "GET", "/", key=key)) == (400, "InvalidToken")


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1", "anything"])
def test_any_region_will_do(front: Front, region: str) -> None:
    key = AccessKey(OWNER.access_key, OWNER.secret, region)
    assert call(front, "GET", "/", key=key).status == 200


@pytest.mark.parametrize("minutes", [-15.1, 15.1, -60 * 24 * 365, 60 * 24])
def test_a_clock_that_is_wrong(front: Front, minutes: float) -> None:
    request = sign(front, "GET", "/", now=later(minutes=minutes))
    error = exchange(front, request).error
    assert (error["status"], error["Code"]) == ("403", "RequestTimeTooSkewed")
    assert error["MaxAllowedSkewMilliseconds"] == "900000"
    assert error["RequestTime"].encode() in request.head
    assert abs(datetime.fromisoformat(error["ServerTime"]) - datetime.now(UTC)).seconds < 60


@pytest.mark.parametrize("minutes", [-14.9, 14.9])
def test_a_clock_that_is_nearly_right(front: Front, minutes: float) -> None:
    assert exchange(front, sign(front, "GET", "/", now=later(minutes=minutes))).status == 200


TODAY = f"{datetime.now(UTC):%Y%m%d}"
SCOPE = "us-east-1/s3/aws4_request"
SIGNED = "SignedHeaders=host;x-amz-date,Signature=" + "0" * 64


@pytest.mark.parametrize(
    ("authorization", "code"),
    [
        ("", "InvalidArgument"),
        ("AWS4-HMAC-SHA256", "InvalidArgument"),
        ("Basic dXNlcjpwYXNz", "InvalidArgument"),
        ("Bearer token", "InvalidArgument"),
        ("AWS4-HMAC-SHA512 Credential=a", "InvalidArgument"),
        ("AWS4-ECDSA-P256-SHA256 Credential=a", "InvalidArgument"),
        ("AWS accessKey1", "InvalidArgument"),
        ("AWS4-HMAC-SHA256 nonsense", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a", "AuthorizationHeaderMalformed"),
        ("AWS4-HMAC-SHA256 Credential=a,b=c,d=e", "AuthorizationHeaderMalformed"),
        (f"AWS4-HMAC-SHA256 Credential=,{SIGNED}", "AuthorizationHeaderMalformed"),
        (f"AWS4-HMAC-SHA256 Credential=accessKey1,{SIGNED}", "AuthorizationHeaderMalformed"),
        (f"AWS4-HMAC-SHA256 Credential=a/2/{SCOPE},{SIGNED}", "AuthorizationHeaderMalformed"),
        (
            f"AWS4-HMAC-SHA256 Credential=a/{TODAY}/us-east-1/iam/aws4_request,{SIGNED}",
            "AuthorizationHeaderMalformed",
        ),
        (
            f"AWS4-HMAC-SHA256 Credential=a/{TODAY}/us-east-1/s3/aws5_request,{SIGNED}",
            "AuthorizationHeaderMalformed",
        ),
        (
            f"AWS4-HMAC-SHA256 Credential=a/20000101/{SCOPE},{SIGNED}",
            "AuthorizationHeaderMalformed",
        ),
        ("\udcff\udcfe", "InvalidArgument"),
        ("AWS4-HMAC-SHA256 \udcff=\udcff", "AuthorizationHeaderMalformed"),
    ],
)
def test_a_malformed_header(front: Front, authorization: str, code: str) -> None:
    headers = {
        "Host": host_of(front),
        "x-amz-date": f"{later():%Y%m%dT%H%M%SZ}",
        "x-amz-content-sha256": EMPTY_SHA256,
        "Authorization": authorization,
    }
    assert refusal(exchange(front, wire("GET", "/", headers))) == (400, code)


@pytest.mark.parametrize("name", ["host", "x-amz-date", "x-amz-content-sha256"])
def test_what_every_signature_covers(front: Front, name: str) -> None:
    """Leaving one out of SignedHeaders makes a signature that is not that of the request."""
    request = altered(sign(front, "GET", "/"), f"{name};|;{name}", "")
    status, code = refusal(exchange(front, request))
    assert status == 403
    assert code in ("AccessDenied", "SignatureDoesNotMatch")


def test_a_content_hash_is_required(front: Front) -> None:
    request = altered(sign(front, "GET", "/"), r"x-amz-content-sha256: \w+\r\n", "")
    error = exchange(front, request).error
    assert (error["status"], error["Code"]) == ("400", "InvalidRequest")
    assert error["Message"].endswith("x-amz-content-sha256")


@pytest.mark.parametrize("value", ["", "abc", "unsigned-payload", EMPTY_SHA256[:-1], "\udcff"])
def test_a_content_hash_that_is_none(front: Front, value: str) -> None:
    line = b"x-amz-content-sha256: "
    request = sign(front, "GET", "/")
    head = request.head.replace(
        line + EMPTY_SHA256.encode(), line + value.encode("utf-8", "surrogateescape")
    )
    error = exchange(front, Wire("GET", head)).error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert error["ArgumentName"] == "x-amz-content-sha256"


@pytest.mark.parametrize(
    "line", ["", "x-amz-date: \r\n", "x-amz-date: yesterday\r\n", "Date: x\r\n"]
)
def test_a_date_is_required(front: Front, line: str) -> None:
    request = altered(sign(front, "GET", "/"), r"x-amz-date: \w+\r\n", line)
    assert refusal(exchange(front, request)) == (403, "AccessDenied")


def test_the_date_header_will_do(front: Front) -> None:
    """Signed by a client of its own, as the usual ones prefer ``x-amz-date``."""
    now = datetime.now(UTC)
    date = format_datetime(now, usegmt=True)
    headers = {"host": host_of(front), "date": date, "x-amz-content-sha256": EMPTY_SHA256}
    signature = signature_of(RequestHead("GET", "/", "", headers), now)
    names = ";".join(sorted(headers))
    credential = f"{OWNER.access_key}/{now:%Y%m%d}/{SCOPE}"
    authorization = (
        f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"
    )
    request = wire("GET", "/", {**headers, "Authorization": authorization})
    assert exchange(front, request).status == 200


def signature_of(head: RequestHead, now: datetime) -> str:
    """The signature of all headers given."""
    date = f"{now:%Y%m%d}"
    canonical = canonical_request(head, tuple(head.headers), EMPTY_SHA256)
    text = string_to_sign(f"{now:%Y%m%dT%H%M%SZ}", f"{date}/{SCOPE}", canonical)
    return sign_string(signing_key(OWNER.secret, date, "us-east-1"), text)


@pytest.mark.parametrize(
    "target",
    [
        "/bucket/a%20b",
        "/bucket/a%2fb",
        "/bucket/a%2Fb",
        "/bucket//a/../b/.",
        "/bucket/%E2%82%AC+$!'()*,;=:@&",
        "/bucket?prefix=a%20b+c&delimiter=%2F&empty&list-type=2",
        "/bucket?list-type=2&prefix=%C3%BC&prefix=2",
        "/bucket?a=b=c",
    ],
)
def test_targets_that_are_written_in_many_ways(front: Front, target: str) -> None:
    """The signature is right, whatever the escapes; the bucket does not exist."""
    assert refusal(call(front, "GET", target)) == (404, "NoSuchBucket")


def test_keep_alive_survives_refusals(front: Front) -> None:
    with connected(front) as connection:
        for request in (
            sign(front, "GET", "/", key=AccessKey("nobody", "secret")),
            sign(front, "GET", "/", now=later(hours=1)),
            wire("GET", "/bucket/key", {"Host": "x", "Authorization": "nonsense"}),
            wire("HEAD", "/bucket/key", {"Host": "x", "Authorization": "nonsense"}),
        ):
            assert connection.exchange(request).status >= 400


# --- Presigned URLs -----------------------------------------------------------------------------


def presigned(
    front: Front,
    method: str,
    path: str,
    *,
    key: AccessKey = OWNER,
    now: datetime | None = None,
    expires_seconds: int = 60,
    headers: Mapping[str, str] | None = None,
) -> str:
    """The target of a presigned request."""
    path, _, query = path.partition("?")
    head = RequestHead(method, path, query, {"host": host_of(front), **(headers or {})})
    return f"{path}?{presign(head, key, now or datetime.now(UTC), expires_seconds)}"


@pytest.fixture
def stored(s3: Any, bucket: str) -> str:
    """The path of an object."""
    put_all(s3, bucket, ["a b"], b"body")
    return f"/{bucket}/a%20b"


def presigner(front: Front, **options: Any) -> Any:
    """A client that presigns in version 4; by default, boto3 still does it in version 2."""
    return s3_client(front, signature_version="s3v4", **options)


@pytest.mark.parametrize("options", [{}, {"signature_version": "s3v4"}])
def test_boto3_presigns_reads_and_writes(
    front: Front, bucket: str, options: dict[str, str]
) -> None:
    s3 = s3_client(front, **options)
    asked = {"Bucket": bucket, "Key": "a b/ü"}
    put_url = s3.generate_presigned_url("put_object", asked, 60)
    ask = partial(requests.request, timeout=10, verify=front.verify)
    assert ask("PUT", put_url, data=b"body").headers["ETag"] == f'"{md5_hex(b"body")}"'
    get_url = s3.generate_presigned_url("get_object", asked, 60)
    assert ask("GET", get_url).content == b"body"
    head_url = s3.generate_presigned_url("head_object", asked, 60)
    assert ask("HEAD", head_url).headers["Content-Length"] == "4"
    delete_url = s3.generate_presigned_url("delete_object", asked, 60)
    assert ask("DELETE", delete_url).status_code == 204
    assert keys_in(s3, bucket) == []


def test_boto3_presigns_over_https(tls_front: Front, bucket: str) -> None:
    client = presigner(tls_front)
    url = client.generate_presigned_url("list_objects_v2", {"Bucket": bucket}, 60)
    response = requests.get(url, timeout=10, verify=tls_front.verify)
    assert b"<KeyCount>0</KeyCount>" in response.content


def test_a_presigned_url_of_a_virtual_host(front: Front, bucket: str) -> None:
    client = presigner(front, s3={"addressing_style": "virtual"})
    url = urlsplit(client.generate_presigned_url("list_objects_v2", {"Bucket": bucket}, 60))
    assert url.netloc == f"{bucket}.localhost:{front.port}"
    response = anonymous(front, "GET", f"/?{url.query}", headers={"Host": url.netloc})
    assert response.parsed("ListObjectsV2")["Name"] == bucket


def test_a_presigned_header_must_be_sent(front: Front, bucket: str) -> None:
    signed = {"content-type": "text/plain", "x-amz-meta-a": "b"}
    target = presigned(front, "PUT", f"/{bucket}/a", headers=signed)
    assert refusal(anonymous(front, "PUT", target, b"body")) == (403, "SignatureDoesNotMatch")
    assert anonymous(front, "PUT", target, b"body", signed).status == 200
    assert call(front, "HEAD", f"/{bucket}/a").headers["Content-Type"] == "text/plain"


def test_a_header_of_amazon_must_be_presigned(front: Front, bucket: str) -> None:
    target = presigned(front, "PUT", f"/{bucket}/a")
    response = anonymous(front, "PUT", target, b"body", {"x-amz-meta-a": "b"})
    assert refusal(response) == (403, "AccessDenied")
    assert response.error["HeadersNotSigned"] == "x-amz-meta-a"


def test_a_presigned_checksum_is_verified(front: Front, bucket: str) -> None:
    url = presigner(front).generate_presigned_url(
        "put_object", {"Bucket": bucket, "Key": "a", "ChecksumSHA256": "A" * 43 + "="}, 60
    )
    headers = {"x-amz-checksum-sha256": "A" * 43 + "="}
    response = requests.put(url, b"body", headers=headers, timeout=10, verify=front.verify)
    assert response.status_code == 400
    assert b"<Code>BadDigest</Code>" in response.content
    assert call(front, "HEAD", f"/{bucket}/a").status == 404


@pytest.mark.parametrize(
    ("parameters", "status"),
    [
        ("x-amz-meta-a=b", 200),
        # That of no bytes, as nobody knows the body yet.
        ("x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32", 200),
        ("X-Amz-Checksum-Sha256=nonsense", 200),
        ("x-amz-trailer=x-amz-checksum-crc32", 200),
        ("x-amz-expected-bucket-owner=123456789012", 200),
        ("x-amz-expected-bucket-owner=123456789013", 403),
        ("x-amz-acl=public-read", 400),
        ("x-amz-copy-source=%2Fother%2Fkey", 404),
    ],
)
def test_headers_that_an_sdk_moves_into_the_url(
    front: Front, bucket: str, parameters: str, status: int
) -> None:
    """The AWS SDK for JavaScript presigns a PUT's headers as parameters."""
    target = presigned(front, "PUT", f"/{bucket}/key?{parameters}")
    assert anonymous(front, "PUT", target, b"body").status == status
    found = call(front, "HEAD", f"/{bucket}/key")
    assert found.status == (200 if status == 200 else 404)
    assert found.headers.get("x-amz-meta-a") == ("b" if "meta" in parameters else None)


def test_conditions_in_a_url(front: Front, bucket: str) -> None:
    target = presigned(front, "PUT", f"/{bucket}/key?If-None-Match=%2A")
    assert anonymous(front, "PUT", target, b"body").status == 200
    assert anonymous(front, "PUT", target, b"body").status == 412
    target = presigned(front, "PUT", f"/{bucket}/key?if-match=d41d8cd98f00b204e9800998ecf8427e")
    assert anonymous(front, "PUT", target, b"body").status == 412


@pytest.mark.parametrize(
    "sent", [{}, {"x-amz-meta-a": "b c", "x-amz-storage-class": "STANDARD_IA"}]
)
def test_signed_headers_that_are_in_the_url(
    front: Front, bucket: str, sent: dict[str, str]
) -> None:
    """So the AWS SDK for JavaScript 2 signs them; whoever uses the URL need not send them."""
    headers = {"x-amz-meta-a": "b c", "x-amz-storage-class": "STANDARD_IA"}
    query = "x-amz-meta-a=b%20%20c&X-Amz-Storage-Class=STANDARD_IA"
    target = presigned(front, "PUT", f"/{bucket}/key?{query}", headers=headers)
    assert "SignedHeaders=host%3Bx-amz-meta-a%3Bx-amz-storage-class" in target
    other = target.replace("STANDARD_IA", "STANDARD")
    assert refusal(anonymous(front, "PUT", other, b"body")) == (403, "SignatureDoesNotMatch")
    assert anonymous(front, "PUT", target, b"body", sent).status == 200
    found = call(front, "HEAD", f"/{bucket}/key").headers
    assert found["x-amz-storage-class"] == "STANDARD_IA"
    assert found["x-amz-meta-a"] in ("b c", "b  c")


def test_a_checksum_of_the_url_that_is_a_signed_header(front: Front, bucket: str) -> None:
    """It is verified: the signer knew the body."""
    for checksum, status in ((checksum_of(Algorithm.CRC32, b"body"), 200), ("AAAAAA==", 400)):
        query = f"x-amz-checksum-crc32={quote(checksum, safe='')}"
        headers = {"x-amz-checksum-crc32": checksum}
        target = presigned(front, "PUT", f"/{bucket}/key?{query}", headers=headers)
        assert anonymous(front, "PUT", target, b"body").status == status


def test_the_host_of_a_url_is_no_parameter(front: Front, stored: str) -> None:
    target = presigned(front, "GET", f"{stored}?host=elsewhere", headers={"host": "elsewhere"})
    assert refusal(anonymous(front, "GET", target)) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
def test_the_owner_that_a_url_expects(front: Front, stored: str, method: str) -> None:
    target = presigned(front, method, f"{stored}?x-amz-expected-bucket-owner=123456789013")
    assert anonymous(front, method, target).status == 403
    assert call(front, "GET", stored).status == 200


def test_the_checksum_of_a_document_in_a_url_is_verified(front: Front, bucket: str) -> None:
    """Its signer knows it."""
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    for checksum, status in ((checksum_of(Algorithm.CRC32, body), 200), ("AAAAAA==", 400)):
        query = f"delete&x-amz-checksum-crc32={quote(checksum, safe='')}"
        target = presigned(front, "POST", f"/{bucket}?{query}")
        assert anonymous(front, "POST", target, body).status == status


def test_a_foreign_presigned_url(front: Front, stored: str) -> None:
    target = presigned(front, "GET", stored, key=FOREIGNER)
    assert refusal(anonymous(front, "GET", target)) == (403, "AccessDenied")


def test_a_presigned_url_is_for_one_method(front: Front, stored: str) -> None:
    target = presigned(front, "GET", stored)
    assert anonymous(front, "GET", target).body == b"body"
    assert refusal(anonymous(front, "DELETE", target)) == (403, "SignatureDoesNotMatch")


@pytest.mark.parametrize(
    ("tamper", "status", "code"),
    [
        (lambda url: url.replace("a%20b", "a%20c"), 403, "SignatureDoesNotMatch"),
        (lambda url: url.replace("Expires=60", "Expires=61"), 403, "SignatureDoesNotMatch"),
        (lambda url: url + "&response-content-type=a", 403, "SignatureDoesNotMatch"),
        (lambda url: re.sub("Signature=.{4}", "Signature=0000", url), 403, "SignatureDoesNotMatch"),
        (lambda url: url.replace("accessKey1", "nobody"), 403, "InvalidAccessKeyId"),
    ],
)
def test_a_tampered_url(
    front: Front, stored: str, tamper: Callable[[str], str], status: int, code: str
) -> None:
    target = tamper(presigned(front, "GET", stored))
    assert refusal(anonymous(front, "GET", target)) == (status, code)


QUERY_ERROR = "AuthorizationQueryParametersError"


@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (lambda url: re.sub("&X-Amz-Expires=60", "", url), QUERY_ERROR),
        (lambda url: re.sub("&X-Amz-Date=[^&]*", "", url), QUERY_ERROR),
        (lambda url: re.sub("&X-Amz-SignedHeaders=[^&]*", "", url), QUERY_ERROR),
        (lambda url: re.sub("&X-Amz-Credential=[^&]*", "", url), QUERY_ERROR),
        (lambda url: re.sub("&X-Amz-Signature=.*", "", url), QUERY_ERROR),
        (lambda url: re.sub("X-Amz-Algorithm=[^&]*", "", url), QUERY_ERROR),
        (lambda url: re.sub("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256", url), QUERY_ERROR),
        (lambda url: re.sub("Expires=60", "Expires=604801", url), QUERY_ERROR),
        (lambda url: re.sub("Expires=60", "Expires=-1", url), QUERY_ERROR),
        (lambda url: re.sub("Expires=60", "Expires=1h", url), QUERY_ERROR),
        (lambda url: re.sub("Date=[^&]*", "Date=today", url), QUERY_ERROR),
        (lambda url: re.sub("%2Fs3%2F", "%2Fiam%2F", url), QUERY_ERROR),
        (lambda url: re.sub("%2Faws4_request", "", url), QUERY_ERROR),
    ],
)
def test_parameters_that_are_wrong(
    front: Front, stored: str, tamper: Callable[[str], str], code: str
) -> None:
    target = tamper(presigned(front, "GET", stored))
    assert refusal(anonymous(front, "GET", target)) == (400, code)


def test_the_longest_validity(front: Front, stored: str) -> None:
    target = presigned(front, "GET", stored, now=later(days=-6, hours=-23), expires_seconds=604800)
    assert anonymous(front, "GET", target).body == b"body"


def test_a_validity_that_has_not_begun_but_nearly(front: Front, stored: str) -> None:
    target = presigned(front, "GET", stored, now=later(minutes=14.9), expires_seconds=1)
    assert anonymous(front, "GET", target).body == b"body"


@pytest.mark.parametrize(
    ("seconds", "expires_seconds", "message"),
    [
        (-120, 60, "Request has expired"),
        (-1, 0, "Request has expired"),
        (-7 * 24 * 3600 - 1, 604800, "Request has expired"),
        (15 * 60 + 6, 60, "Request is not yet valid"),
    ],
)
def test_a_url_out_of_date(
    front: Front, stored: str, seconds: float, expires_seconds: int, message: str
) -> None:
    now = later(seconds=seconds)
    target = presigned(front, "GET", stored, now=now, expires_seconds=expires_seconds)
    error = anonymous(front, "GET", target).error
    assert (error["status"], error["Code"]) == ("403", "AccessDenied")
    assert error["Message"] == message
    assert "ServerTime" in error
    assert "Expires" in error


def test_only_one_signature(front: Front, stored: str) -> None:
    target = presigned(front, "GET", stored)
    error = call(front, "GET", target).error
    assert (error["status"], error["Code"]) == ("400", "InvalidArgument")
    assert error["ArgumentName"] == "Authorization"
    assert error["Message"].startswith("Only one auth mechanism allowed")
