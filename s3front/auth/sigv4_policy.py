"""What form uploads sign: their policy, in Signature Version 4. Pure.

Source: Amazon S3 API reference, "Authenticating Requests: Browser-Based Uploads Using POST".
"""

from __future__ import annotations

import msgspec

from s3front.auth.signing import sign_string, signatures_equal, signing_key, to_bytes
from s3front.auth.sigv4 import Credential
from s3front.s3_errors import S3Error


class PolicyClaim(msgspec.Struct, frozen=True):
    """Who a form upload says its policy is from: ``policy`` is the text that is signed."""

    policy: str
    credential: Credential
    signature: str
    security_token: str | None = None


def verify_policy(claim: PolicyClaim, secret: str) -> None:
    """Check the signature of a form upload; raises SignatureDoesNotMatch."""
    credential = claim.credential
    key = signing_key(secret, credential.date, credential.region, credential.service)
    if not signatures_equal(sign_string(key, claim.policy), claim.signature):
        raise policy_mismatch(credential.access_key, claim.policy, claim.signature)


def policy_mismatch(access_key: str, policy: str, signature: str) -> S3Error:
    """What a wrong signature of a policy is answered with, in either version."""
    return S3Error(
        "SignatureDoesNotMatch",
        fields={
            "AWSAccessKeyId": access_key,
            "StringToSign": policy,
            "SignatureProvided": signature,
            "StringToSignBytes": to_bytes(policy).hex(" "),
        },
    )
