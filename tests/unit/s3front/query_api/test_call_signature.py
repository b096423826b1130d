"""Signatures of calls, made by botocore."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3front.auth.sigv4 import RequestHead, fold_headers
from s3front.port.target import parse_target
from s3front.query_api.call_signature import CallClaim, claim_of, verify_call
from s3front.query_api.errors import QueryError

KEY, SECRET = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BODY = b"Action=GetUser&Version=2010-05-08&UserName=Anna%20B"


def signed(service: str = "iam", body: bytes = BODY, token: str | None = None) -> RequestHead:
    headers = {"Host": "s3.lan", "Content-Type": "application/x-www-form-urlencoded"}
    request = AWSRequest("POST", "http://s3.lan/", headers, body)
    SigV4Auth(Credentials(KEY, SECRET, token), service, "us-east-1").add_auth(request)
    return RequestHead("POST", "/", "", fold_headers(request.headers.items()))


def claimed(head: RequestHead, now: datetime | None = None, service: str = "iam") -> CallClaim:
    query = parse_target(f"/?{head.raw_query}", "s3.lan", ("s3.lan",)).query
    claim = claim_of(head, query, service, now or datetime.now(UTC))
    assert claim is not None
    return claim


def refusal(call: object) -> QueryError:
    assert callable(call)
    with pytest.raises(QueryError) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("service", ["iam", "sts"])
@pytest.mark.parametrize("token", [None, "a-token"])
def test_what_an_sdk_signs(service: str, token: str | None) -> None:
    head = signed(service, token=token)
    claim = claimed(head, service=service)
    assert (claim.credential.access_key, claim.security_token) == (KEY, token)
    verify_call(head, claim, BODY, SECRET)


def test_presigned() -> None:
    url = "http://s3.lan/?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("GET", url, {"Host": "s3.lan"})
    SigV4QueryAuth(Credentials(KEY, SECRET, "token+/="), "sts", "us-east-1", 60).add_auth(request)
    head = RequestHead("GET", "/", urlsplit(request.url).query, {"host": "s3.lan"})
    claim = claimed(head, service="sts")
    assert claim.security_token == "token+/="
    verify_call(head, claim, b"", SECRET)
    late = datetime.now(UTC) + timedelta(seconds=70)
    assert "Signature expired" in refusal(lambda: claimed(head, late, "sts")).message


@pytest.mark.parametrize(
    ("body", "secret"), [(BODY + b"&Path=/", SECRET), (BODY, SECRET + "x"), (b"", SECRET)]
)
def test_another_body_or_secret(body: bytes, secret: str) -> None:
    head = signed()
    error = refusal(lambda: verify_call(head, claimed(head), body, secret))
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert secret not in error.message


@pytest.mark.parametrize(
    ("minutes", "told"), [(-16, "Signature not yet current"), (16, "Signature expired")]
)
def test_another_time(minutes: int, told: str) -> None:
    head, now = signed(), datetime.now(UTC) + timedelta(minutes=minutes)
    error = refusal(lambda: claimed(head, now))
    assert error.code == "SignatureDoesNotMatch"
    assert error.message.startswith(told)


def test_a_signature_of_another_service() -> None:
    error = refusal(lambda: claimed(signed("s3")))
    assert error.message == "Credential should be scoped to correct service: 'iam'. "


def test_a_header_that_nobody_signed() -> None:
    head = signed()
    with_more = RequestHead("POST", "/", "", {**head.headers, "x-amz-security-token": "other"})
    error = refusal(lambda: claimed(with_more))
    assert "'x-amz-security-token' must be a 'SignedHeader'" in error.message


def test_no_signature_is_no_claim() -> None:
    assert (
        claim_of(RequestHead("POST", "/", "", {"host": "x"}), {}, "iam", datetime.now(UTC)) is None
    )


@pytest.mark.parametrize(
    "authorization",
    [
        "Basic eDp5",
        "AWS4-HMAC-SHA256 Credential=a",
        "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host, Signature=0",
        "AWS4-HMAC-SHA256",
        "",
    ],
)
def test_half_a_signature(authorization: str) -> None:
    headers = {"host": "x", "authorization": authorization, "x-amz-date": "20260101T000000Z"}
    head = RequestHead("POST", "/", "", headers)
    error = refusal(lambda: claim_of(head, {}, "iam", datetime.now(UTC)))
    assert (error.code, error.status) == ("IncompleteSignature", 400)


def altered(head: RequestHead, old: str, new: str) -> RequestHead:
    """With other words in its Authorization header."""
    authorization = head.headers["authorization"]
    assert old in authorization
    return RequestHead(
        "POST", "/", "", {**head.headers, "authorization": authorization.replace(old, new)}
    )


def test_a_key_of_another_day() -> None:
    head = signed()
    today = head.headers["x-amz-date"][:8]
    error = refusal(lambda: claimed(altered(head, f"/{today}/", "/20010101/")))
    assert error.message.startswith("Date in Credential scope does not match")


def test_a_host_that_nobody_signed() -> None:
    error = refusal(lambda: claimed(altered(signed(), "host;", "")))
    assert error.message.startswith("'Host' or ':authority' must be a 'SignedHeader'")


@pytest.mark.parametrize("expires", ["604801", "x", "-1", ""])
def test_a_url_that_is_to_be_good_for_too_long(expires: str) -> None:
    now = datetime.now(UTC)
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    query = (
        f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={KEY}/{stamp[:8]}/x/sts/aws4_request"
        f"&X-Amz-Date={stamp}&X-Amz-SignedHeaders=host&X-Amz-Signature=0&X-Amz-Expires={expires}"
    )
    head = RequestHead("GET", "/", query, {"host": "s3.lan"})
    error = refusal(lambda: claimed(head, now, "sts"))
    assert "X-Amz-Expires" in error.message
