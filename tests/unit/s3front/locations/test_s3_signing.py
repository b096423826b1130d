"""Requests that are signed for another S3 service verify there."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from s3front.auth.sigv4 import RequestHead, fold_headers, verify
from s3front.auth.sigv4_claim import header_claim
from s3front.locations.s3_signing import (
    UNSIGNED_PAYLOAD,
    Keys,
    Signer,
    encoded_path,
    encoded_query,
)
from shared.config.values import Secret

KEYS = Keys("AKIDEXAMPLE", Secret("s+cret"))


@pytest.mark.parametrize("key", ["a b+c%20", "ü/日本", "a//../b/", "~!*'()", "\x01\\"])
def test_every_key_and_query(key: str) -> None:
    path = encoded_path("bucket", key)
    query = encoded_query([("versionId", "a+b/c="), ("tagging", "")])
    headers = {"Host": "there:9000", "x-amz-meta-Colour": "light   grey", "Range": "bytes=1-2"}
    sent = Signer(KEYS, "eu-west-3").sign("GET", path, query, headers, UNSIGNED_PAYLOAD)
    head = RequestHead("GET", path, query, fold_headers(sent.items()))
    claim = header_claim(head, datetime.now(UTC))
    assert claim.credential.region == "eu-west-3"
    verify(head, claim, "s+cret")


def test_a_token_goes_with_it() -> None:
    keys = Keys("AKIDEXAMPLE", Secret("s+cret"), Secret("t/oken="))
    sent = Signer(keys, "us-east-1").sign("GET", "/b", "", {"Host": "x"}, UNSIGNED_PAYLOAD)
    assert sent["x-amz-security-token"] == "t/oken="
    assert "x-amz-security-token" in sent["authorization"]


def test_another_service_than_s3() -> None:
    """As AWS's own library signs for it."""
    headers = {"Host": "kms.eu-west-3.amazonaws.com", "X-Amz-Target": "TrentService.Decrypt"}
    body = b'{"CiphertextBlob":"AQ=="}'
    sent = Signer(KEYS, "eu-west-3", service="kms").sign(
        "POST", "/", "", headers, hashlib.sha256(body).hexdigest()
    )
    request = AWSRequest("POST", "https://kms.eu-west-3.amazonaws.com/", headers, body)
    request.headers["x-amz-content-sha256"] = hashlib.sha256(body).hexdigest()
    request.context["timestamp"] = sent["x-amz-date"]
    signer = SigV4Auth(Credentials("AKIDEXAMPLE", "s+cret"), "kms", "eu-west-3")
    request.headers["X-Amz-Date"] = sent["x-amz-date"]
    text = signer.string_to_sign(request, signer.canonical_request(request))

    assert sent["authorization"].endswith(f"Signature={signer.signature(text, request)}")
    assert "/eu-west-3/kms/aws4_request" in sent["authorization"]
