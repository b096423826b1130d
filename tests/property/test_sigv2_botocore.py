"""botocore as the oracle of Signature Version 2: what it signs verifies, and only that."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import HmacV1Auth, HmacV1PostAuth, HmacV1QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from s3front.auth.sigv2 import (
    ALSO_SIGNED,
    RequestHead,
    header_claim,
    presigned_claim,
    trimmed_headers,
    verify,
    verify_policy,
)
from s3front.port.sub_resources import SUB_RESOURCES
from s3front.s3_errors import S3Error

SECRET = "s+cret/é"
# Those of today that botocore does not know, and so does not sign.
KNOWN = sorted((SUB_RESOURCES | ALSO_SIGNED) & set(HmacV1Auth.QSAOfInterest))

keys = st.text(
    st.sampled_from("aZ09-._~/+ %!$&'()*,:;=@?#[]\\\"<>|éüß\u3042\U0001f600\x7f\u200b"), max_size=30
)
# A parameter may come but once: which one counts is not the signature's affair. An empty one is
# sent without "=".
parameters = st.dictionaries(
    st.sampled_from([*KNOWN, "prefix", "marker", "max-keys"]), keys, max_size=4
)
values = st.text(st.sampled_from('aZ09 \t,;:="é+%/'), max_size=20)
headers = st.dictionaries(
    st.sampled_from(["X-Amz-Meta-a", "x-amz-meta-B", "X-AMZ-ACL", "Content-Type", "Content-MD5"]),
    values,
)


def signed_by_botocore(
    method: str, key: str, query: dict[str, str], sent: dict[str, str], signer: type[HmacV1Auth]
) -> RequestHead:
    pairs = [f"{name}={quote(value, safe='~')}" if value else name for name, value in query.items()]
    url = f"http://localhost/b/{quote(key, safe='/~')}{'?' if pairs else ''}{'&'.join(pairs)}"
    request = AWSRequest(method, url, headers=sent)
    signer(Credentials("AK/é", SECRET)).add_auth(request)
    parts = urlsplit(request.url)
    # A URL is all that the user of a presigned request gets.
    with_it = request.headers.items() if signer is HmacV1Auth else ()
    return RequestHead(method, parts.path, parts.query, trimmed_headers(with_it))


def check(head: RequestHead) -> None:
    now = datetime.now(UTC)
    claim = (presigned_claim if "Signature=" in head.raw_query else header_claim)(head, now)
    assert claim.access_key == "AK/é"
    verify(head, claim, SECRET)


@pytest.mark.parametrize("signer", [HmacV1Auth, HmacV1QueryAuth])
@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD"]),
    key=keys,
    query=parameters,
    sent=headers,
)
def test_what_botocore_signs_verifies(
    signer: type[HmacV1Auth], method: str, key: str, query: dict[str, str], sent: dict[str, str]
) -> None:
    head = signed_by_botocore(method, key, query, sent, signer)
    check(head)
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        check(replace(head, resource=head.resource + "x"))
    added = "encryption" if not head.raw_query else f"{head.raw_query}&encryption"
    with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
        check(replace(head, raw_query=added))


@given(fields=st.dictionaries(st.sampled_from(["acl", "key", "x-amz-meta-a"]), keys))
def test_a_form_that_botocore_signs_verifies(fields: dict[str, str]) -> None:
    request = AWSRequest("POST", "http://localhost/b")
    request.context["s3-presign-post-fields"] = dict(fields)
    request.context["s3-presign-post-policy"] = {
        "conditions": [{name: text} for name, text in fields.items()]
    }
    HmacV1PostAuth(Credentials("AK/é", SECRET)).add_auth(request)
    form = request.context["s3-presign-post-fields"]
    assert form["AWSAccessKeyId"] == "AK/é"
    policy, signature = form["policy"], form["signature"]
    verify_policy(policy, "AK/é", signature, SECRET)
    for wrong in (
        (policy + "=", "AK/é", signature, SECRET),
        (policy, "AK/é", signature[::-1], SECRET),
        (policy, "AK/é", "", SECRET),
        (policy, "AK/é", signature, SECRET + "x"),
    ):
        with pytest.raises(S3Error, match="SignatureDoesNotMatch"):
            verify_policy(*wrong)
