"""Signature Version 2: the vectors of its documentation, claims, and what is signed."""

from __future__ import annotations

import hmac
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from msgspec.structs import replace

from s3front.auth.sigv2 import (
    RequestHead,
    authorization,
    canonical_resource,
    header_claim,
    presigned_claim,
    string_to_sign,
    trimmed_headers,
    verify,
)
from s3front.port.sub_resources import SUB_RESOURCES
from s3front.s3_errors import S3Error

ACCESS_KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2007, 3, 27, 19, 36, 42, tzinfo=UTC)
DATE = "Tue, 27 Mar 2007 19:36:42 +0000"
GET = RequestHead("GET", "/bucket/key", "", {"date": format_datetime(NOW)})

# "Signing and authenticating REST requests", its examples.
VECTORS = [
    (
        RequestHead("GET", "/awsexamplebucket1/photos/puppy.jpg", "", {"date": DATE}),
        "qgk2+6Sv9/oM7G3qLEjTH1a1l1g=",
    ),
    (
        RequestHead(
            "PUT",
            "/awsexamplebucket1/photos/puppy.jpg",
            "",
            {
                "content-type": "image/jpeg",
                "content-length": "94328",
                "date": "Tue, 27 Mar 2007 21:15:45 +0000",
            },
        ),
        "iqRzw+ileNPu1fhspnRs8nOjjIA=",
    ),
    (
        RequestHead(
            "GET",
            "/awsexamplebucket1/",
            "prefix=photos&max-keys=50&marker=puppy",
            {"date": "Tue, 27 Mar 2007 19:42:41 +0000"},
        ),
        "m0WP8eCtspQl5Ahe6L1SozdX9YA=",
    ),
    (
        RequestHead(
            "GET", "/awsexamplebucket1/", "acl", {"date": "Tue, 27 Mar 2007 19:44:46 +0000"}
        ),
        "82ZHiFIjc+WbcwFKGUVEQspPn+0=",
    ),
    (
        RequestHead(
            "GET",
            "/dictionary/fran%C3%A7ais/pr%c3%a9f%c3%a8re",
            "",
            {"date": "Wed, 28 Mar 2007 01:49:49 +0000"},
        ),
        "DNEZGsoieTZ92F3bUfSPQcbGmlM=",
    ),
    (
        RequestHead("GET", "/", "", {"date": "Wed, 28 Mar 2007 01:29:59 +0000"}),
        "qGdzdERIC03wnaRNKh6OqZehG9s=",
    ),
]


def signed(head: RequestHead, secret: str = SECRET) -> RequestHead:
    value = authorization(head, ACCESS_KEY, secret)
    return replace(head, headers={**head.headers, "authorization": value})


def presigned(head: RequestHead, expires: str) -> RequestHead:
    text = string_to_sign(head, expires)
    signature = b64encode(hmac.digest(SECRET.encode(), text.encode(), "sha1")).decode()
    escaped = signature.replace("+", "%2B")
    parts = [head.raw_query, f"AWSAccessKeyId={ACCESS_KEY}&Expires={expires}&Signature={escaped}"]
    return replace(head, raw_query="&".join(filter(None, parts)))


def check(head: RequestHead) -> None:
    claim = (presigned_claim if "Signature=" in head.raw_query else header_claim)(head, NOW)
    assert claim.access_key == ACCESS_KEY
    verify(head, claim, SECRET)


def refusal(head: RequestHead) -> S3Error:
    with pytest.raises(S3Error) as caught:
        check(head)
    return caught.value


@pytest.mark.parametrize(("head", "signature"), VECTORS)
def test_the_documented_examples(head: RequestHead, signature: str) -> None:
    assert authorization(head, ACCESS_KEY, SECRET) == f"AWS {ACCESS_KEY}:{signature}"


# --- What is signed -------------------------------------------------------------------------------


def test_every_sub_resource_is_signed() -> None:
    head = RequestHead("GET", "/b/k", "", {})
    assert all(head.covers(name) for name in SUB_RESOURCES)
    assert not head.covers("colour")


def test_a_sub_resource_of_the_table_s_own_is_signed() -> None:
    head = RequestHead("GET", "/b/k", "colour=red&prefix=a&acl", {}, SUB_RESOURCES | {"colour"})
    assert canonical_resource(head) == "/b/k?acl&colour=red"


@pytest.mark.parametrize(
    ("query", "resource"),
    [
        ("", "/b/k"),
        ("prefix=a&list-type=2", "/b/k"),
        ("acl", "/b/k?acl"),
        ("acl=", "/b/k?acl"),
        ("uploadId=x&partNumber=2&other=1", "/b/k?partNumber=2&uploadId=x"),
        ("response-content-type=text%2Fplain%20x", "/b/k?response-content-type=text/plain x"),
        ("uploadId=first&uploadId=second", "/b/k?uploadId=first"),
    ],
)
def test_the_canonical_resource(query: str, resource: str) -> None:
    assert canonical_resource(RequestHead("GET", "/b/k", query, {})) == resource


@pytest.mark.parametrize(
    "query",
    [
        "response-content-type=text%2Fplain%26versionId%3Dx",
        "acl=%26uploads",
        "response-expires=a%26b%26uploadId%3D",
        "partNumber=1%26tagging",
    ],
)
def test_a_value_that_holds_another_parameter(query: str) -> None:
    """Signed, it reads like two parameters, so that one could be turned into the other."""
    with pytest.raises(S3Error) as caught:
        canonical_resource(RequestHead("GET", "/b/k", query, {}))
    assert (caught.value.code, caught.value.status) == ("InvalidArgument", 400)


def test_a_value_with_an_ampersand() -> None:
    query = "response-content-disposition=attachment%3B%20filename%3D%22a%26b%26prefix%3D.txt%22"
    signed = '/b/k?response-content-disposition=attachment; filename="a&b&prefix=.txt"'
    assert canonical_resource(RequestHead("GET", "/b/k", query, {})) == signed


def test_headers_of_amazon_are_sorted_and_joined() -> None:
    headers = trimmed_headers(
        [("X-Amz-Meta-B", " two  words "), ("x-amz-meta-a", "1"), ("X-AMZ-Meta-A", "2\t")]
    )
    text = string_to_sign(RequestHead("PUT", "/b/k", "", headers))
    assert text == "PUT\n\n\n\nx-amz-meta-a:1,2\nx-amz-meta-b:two  words\n/b/k"


def test_the_date_of_amazon_replaces_the_date() -> None:
    headers = {"date": DATE, "x-amz-date": DATE}
    text = string_to_sign(RequestHead("GET", "/", "", headers))
    assert text == f"GET\n\n\n\nx-amz-date:{DATE}\n/"


def test_a_presigned_url_carries_headers() -> None:
    query = "x-amz-acl=private&content-type=a%2Fb&content-md5=c"
    head = RequestHead("PUT", "/b/k", query, {"content-md5": "real"})
    assert string_to_sign(head, "9") == "PUT\nreal\na/b\n9\nx-amz-acl:private\n/b/k"


# --- Verifying ------------------------------------------------------------------------------------


def test_a_signature_verifies() -> None:
    check(signed(GET))


@pytest.mark.parametrize(("sent", "meant"), [("/b", "/b/"), ("/b/", "/b")])
def test_a_bucket_may_end_with_a_slash(sent: str, meant: str) -> None:
    head = signed(replace(GET, resource=meant))
    check(replace(head, resource=sent))


@pytest.mark.parametrize(("sent", "meant"), [("/b/k", "/b/k/"), ("/b/k/", "/b/k"), ("//", "/")])
def test_a_key_is_not_the_one_with_a_slash(sent: str, meant: str) -> None:
    head = signed(replace(GET, resource=meant))
    assert refusal(replace(head, resource=sent)).code == "SignatureDoesNotMatch"


def test_hmac_sha256_verifies() -> None:
    digest = hmac.digest(SECRET.encode(), string_to_sign(GET).encode(), "sha256")
    value = f"AWS {ACCESS_KEY}:{b64encode(digest).decode()}"
    check(replace(GET, headers={**GET.headers, "authorization": value}))


@pytest.mark.parametrize(
    "changed",
    [
        {"method": "PUT"},
        {"resource": "/bucket/other"},
        {"raw_query": "acl"},
        {"raw_query": "renameObject"},
        {"raw_query": "versionId=1"},
    ],
)
def test_a_signature_is_for_one_request(changed: dict[str, str]) -> None:
    error = refusal(replace(signed(GET), **changed))
    assert error.code == "SignatureDoesNotMatch"
    assert error.fields["StringToSign"].startswith(changed.get("method", "GET"))


@pytest.mark.parametrize("name", ["x-amz-acl", "content-md5", "content-type", "x-amz-date"])
def test_an_added_header_is_not_signed(name: str) -> None:
    head = signed(GET)
    changed = replace(head, headers={**head.headers, name: head.headers["date"]})
    assert refusal(changed).code == "SignatureDoesNotMatch"


def test_another_secret_is_refused() -> None:
    assert refusal(signed(GET, "other")).code == "SignatureDoesNotMatch"


def test_a_presigned_request_verifies_until_it_expires() -> None:
    seconds = int(NOW.timestamp())
    head = RequestHead("GET", "/bucket/key", "", {})
    check(presigned(head, str(seconds)))
    error = refusal(presigned(head, str(seconds - 1)))
    assert (error.code, error.message) == ("AccessDenied", "Request has expired")
    assert error.fields == {"Expires": "2007-03-27T19:36:41Z", "ServerTime": "2007-03-27T19:36:42Z"}


@pytest.mark.parametrize("expires", ["", "x", "-1", "1e9", "9" * 13, "\u0661"])
def test_an_expiry_is_a_number_of_seconds(expires: str) -> None:
    assert refusal(presigned(RequestHead("GET", "/b/k", "", {}), expires)).code == "AccessDenied"


# --- Claims ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", ["AWS ", "AWS nonsense", "AWS :signature", "AWS key:", f"AWS {ACCESS_KEY}"]
)
def test_a_malformed_header(value: str) -> None:
    error = refusal(replace(GET, headers={**GET.headers, "authorization": value}))
    assert error.code == "InvalidArgument"
    assert error.fields["ArgumentValue"] == value


def test_an_access_key_may_hold_a_colon() -> None:
    headers = {**GET.headers, "authorization": "AWS a:b:c="}
    assert header_claim(replace(GET, headers=headers), NOW).access_key == "a:b"


@pytest.mark.parametrize(
    ("date", "code"),
    [
        ("", "AccessDenied"),
        ("yesterday", "AccessDenied"),
        (format_datetime(NOW - timedelta(minutes=16)), "RequestTimeTooSkewed"),
        (format_datetime(NOW + timedelta(minutes=16)), "RequestTimeTooSkewed"),
    ],
)
def test_a_date_out_of_time(date: str, code: str) -> None:
    assert refusal(signed(replace(GET, headers={"date": date}))).code == code


def test_chunk_signatures_need_version_4() -> None:
    headers = {**GET.headers, "x-amz-content-sha256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}
    assert refusal(signed(replace(GET, headers=headers))).code == "InvalidRequest"


def test_the_payload_hash_is_kept_for_the_body() -> None:
    headers = {**GET.headers, "x-amz-content-sha256": "0" * 64}
    assert header_claim(signed(replace(GET, headers=headers)), NOW).payload_hash == "0" * 64
