"""From a request to an identity: the one place that verifies signatures.

Signature Version 4 in the Authorization header or the query; a request with neither is anonymous.
"""

from __future__ import annotations

from datetime import datetime

from s3front.auth.identity import ANONYMOUS, Identity
from s3front.request import Request
from s3front.target import Target
from shared import sigv4
from shared.config import Accounts
from shared.errors import ServiceError
from shared.sigv4_claim import header_claim, presigned_claim

_V2_ONLY = (
    "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
)


def authenticate(request: Request, target: Target, accounts: Accounts, now: datetime) -> Identity:
    """The verified sender; raises ServiceError with AWS's codes."""
    head = sigv4.RequestHead(
        request.method,
        target.raw_path,
        target.raw_query,
        sigv4.fold_headers(request.headers.items()),
    )
    authorization = request.headers.get("Authorization")
    presigned = "X-Amz-Algorithm" in target.query or "X-Amz-Signature" in target.query
    if authorization is not None:
        if presigned:
            raise ServiceError(
                "InvalidArgument",
                "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, "
                "Signature query string parameter or the Authorization header should be specified",
                {"ArgumentName": "Authorization", "ArgumentValue": authorization},
            )
        if authorization.startswith("AWS "):
            raise ServiceError("InvalidRequest", _V2_ONLY)
        claim = header_claim(head, now)
    elif presigned:
        claim = presigned_claim(head, now)
    elif "AWSAccessKeyId" in target.query:
        raise ServiceError("InvalidRequest", _V2_ONLY)
    else:
        return ANONYMOUS
    if claim.security_token is not None:
        # Temporary credentials are not issued here, so no token can be valid.
        raise ServiceError("InvalidToken", fields={"Token-0": claim.security_token})
    access_key = claim.credential.access_key
    credential = accounts.credential(access_key)
    if credential is None:
        raise ServiceError("InvalidAccessKeyId", fields={"AWSAccessKeyId": access_key})
    stream_key = sigv4.verify(head, claim, credential.secret)
    return Identity(credential.account, stream_key, claim.payload_hash)
