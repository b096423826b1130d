"""botocore as the oracle: what it signs verifies here, and both sign alike.

The keys, parameters and header values are those that servers get wrong: empty path segments, dots,
escaped slashes, pluses, blanks, characters outside ASCII, repeated and empty parameters.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4PostAuth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from s3front.auth.post_policy import check_policy, parse_policy
from s3front.auth.sigv4 import (
    AccessKey,
    RequestHead,
    fold_headers,
    presign,
    sign_request,
    verify,
)
from s3front.auth.sigv4_claim import header_claim, policy_claim, presigned_claim
from s3front.auth.sigv4_policy import verify_policy
from s3front.s3_errors import S3Error

NOW = datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC)
HOST = "localhost:8000"
SECRET = "s+cret/é"

keys = st.text(
    st.sampled_from("aZ09-._~/+ %!$&'()*,:;=@?#[]\\\"<>|éüß\u3042\U0001f600\x7f\u200b")
    | st.characters(exclude_categories=["Cs", "Cc"]),
    max_size=30,
) | st.sampled_from(["", "/", "//", "..", "a/../b", "./a", "a//b/", "%2F", "a%2Fb", "a%", "%zz"])
names = st.text(st.sampled_from("aAbz-09_.~ +%/é&="), min_size=1, max_size=6)
pairs = st.lists(st.tuples(names, keys), max_size=5)
values = st.text(st.sampled_from('aZ09 \t,;:="é+%/'), max_size=20)
headers = st.dictionaries(
    st.sampled_from(["X-Amz-Meta-a", "x-amz-meta-B", "X-AMZ-ACL", "Content-Type", "Range"]),
    values,
)
methods = st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"])
bodies = st.binary(max_size=20)


def encode_query(parameters: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='~')}={quote(text, safe='~')}" for name, text in parameters)


def url_of(key: str, parameters: list[tuple[str, str]]) -> str:
    query = encode_query(parameters)
    return f"http://{HOST}/b/{quote(key, safe='/~')}" + (f"?{query}" if query else "")


def head_of(request: AWSRequest) -> RequestHead:
    parts = urlsplit(request.url)
    sent = [("Host", HOST), *request.headers.items()]
    return RequestHead(request.method, parts.path, parts.query, fold_headers(sent))


def signed_by_botocore(request: AWSRequest, token: str | None, signer: str) -> RequestHead:
    credentials = Credentials("AK/é", SECRET, token)
    with patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        if signer == "header":
            S3SigV4Auth(credentials, "s3", "eu-west-3").add_auth(request)
        else:
            S3SigV4QueryAuth(credentials, "s3", "eu-west-3", expires=60).add_auth(request)
    return head_of(request)


def check(head: RequestHead, secret: str = SECRET) -> None:
    claim = (presigned_claim if "X-Amz-Signature" in head.raw_query else header_claim)(head, NOW)
    assert claim.credential.access_key == "AK/é"
    assert claim.credential.region == "eu-west-3"
    verify(head, claim, secret)


@pytest.mark.parametrize("signer", ["header", "query"])
@given(
    method=methods,
    key=keys,
    parameters=pairs,
    sent=headers,
    body=bodies,
    token=st.none() | st.just("token/+="),
)
def test_what_botocore_signs_verifies(
    signer: str,
    method: str,
    key: str,
    parameters: list[tuple[str, str]],
    sent: dict[str, str],
    body: bytes,
    token: str | None,
) -> None:
    # botocore takes a body to be parameters of a form when it presigns.
    data = body if signer == "header" else b""
    request = AWSRequest(method, url_of(key, parameters), headers=sent, data=data)
    head = signed_by_botocore(request, token, signer)
    check(head)
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        check(head, SECRET + "x")
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        check(replace(head, raw_path=head.raw_path + "x"))


@given(
    first=values,
    repeated=st.lists(values, max_size=3),
    blanks=st.text(st.sampled_from(" \t"), max_size=3),
)
def test_blanks_and_repeated_headers_are_signed_as_botocore_has_them(
    first: str, repeated: list[str], blanks: str
) -> None:
    """On the wire a header may have more blanks around its value, and come several times."""
    request = AWSRequest("PUT", url_of("key", []))
    for value in (first, *repeated):
        request.headers["X-Amz-Meta-a"] = value  # adds one more of the name
    head = signed_by_botocore(request, None, "header")
    check(head)
    sent = [(name.upper(), f"{blanks}{value}{blanks}") for name, value in request.headers.items()]
    check(replace(head, headers=fold_headers([*sent, ("host", HOST)])))
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        check(replace(head, headers=fold_headers([*sent, ("host", HOST), ("x-amz-meta-A", "b")])))


@given(
    fields=st.dictionaries(st.sampled_from(["acl", "key", "x-amz-meta-a"]), keys),
    token=st.none() | st.just("token/+="),
)
def test_a_form_that_botocore_signs_verifies(fields: dict[str, str], token: str | None) -> None:
    request = AWSRequest("POST", url_of("", []))
    request.context["s3-presign-post-fields"] = dict(fields)
    request.context["s3-presign-post-policy"] = {
        "expiration": "2024-03-01T00:00:00Z",
        "conditions": [{name: text} for name, text in {**fields, "bucket": "b"}.items()],
    }
    credentials = Credentials("AK/é", SECRET, token)
    with patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        S3SigV4PostAuth(credentials, "s3", "eu-west-3").add_auth(request)
    form = request.context["s3-presign-post-fields"]
    claim = policy_claim(form)
    assert claim.credential.access_key == "AK/é"
    assert claim.security_token == token
    verify_policy(claim, SECRET)
    check_policy(parse_policy(form["policy"]), form, "b", NOW)
    for wrong in (
        replace(claim, policy=claim.policy + "="),
        replace(claim, signature=claim.signature[::-1]),
        replace(claim, credential=replace(claim.credential, region="eu-west-4")),
        replace(claim, credential=replace(claim.credential, date="20240301")),
    ):
        with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
            verify_policy(wrong, SECRET)
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        verify_policy(claim, SECRET + "x")


@given(key=keys, parameters=pairs)
def test_clients_that_escape_less_or_otherwise_verify(
    key: str, parameters: list[tuple[str, str]]
) -> None:
    request = AWSRequest("GET", url_of(key, parameters))
    head = signed_by_botocore(request, None, "header")
    # What other HTTP libraries make of the same URL: lower-case escapes, and sub-delimiters bare.
    lower = quote(key, safe="/~!$&'()*+,:;=@").replace("%C3%A9", "%c3%a9")
    check(replace(head, raw_path=f"/b/{lower}"))
    check(replace(head, raw_path=f"/b/{quote(key, safe='~')}"))
    plus = encode_query(parameters).replace("%20", "+").replace("%2F", "/")
    check(replace(head, raw_query=plus))


@given(method=methods, key=keys, parameters=pairs, sent=headers)
def test_our_header_signature_is_that_of_botocore(
    method: str, key: str, parameters: list[tuple[str, str]], sent: dict[str, str]
) -> None:
    request = AWSRequest(method, url_of(key, parameters), headers=sent)
    theirs = signed_by_botocore(request, None, "header")
    ours = RequestHead(
        method,
        theirs.raw_path,
        theirs.raw_query,
        fold_headers([("Host", HOST), *sent.items()]),
    )
    result = sign_request(ours, AccessKey("AK/é", SECRET, "eu-west-3"), NOW)
    assert result.stream.seed == theirs.headers["authorization"].rpartition("=")[2]


@given(key=keys, parameters=pairs, lifetime=st.integers(0, 604800))
def test_what_we_presign_verifies_until_it_expires(
    key: str, parameters: list[tuple[str, str]], lifetime: int
) -> None:
    parts = urlsplit(url_of(key, parameters))
    head = RequestHead("GET", parts.path, parts.query, {"host": HOST})
    query = presign(head, AccessKey("AK", SECRET), NOW, lifetime)
    head = replace(head, raw_query=query)
    verify(head, presigned_claim(head, NOW + timedelta(seconds=lifetime)), SECRET)
    with pytest.raises(S3Error, match="Request has expired"):
        presigned_claim(head, NOW + timedelta(seconds=lifetime + 1))
