"""From a request to an identity: the one place that verifies signatures.

Signature Version 4 or 2, in the Authorization header or the query; a request with none is
anonymous.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import msgspec

from s3front.auth import sigv2, sigv4, sigv4_claim
from s3front.auth.credential_sources import Credentials, Signer, known
from s3front.auth.hoisted import carried_headers
from s3front.auth.identity import ANONYMOUS, UNSIGNED, Identity
from s3front.port.forwarded import signed_hosts
from s3front.port.request import Request
from s3front.port.target import Target, Undecided
from s3front.s3_errors import S3Error

_VERSION_2 = f"{sigv2.ALGORITHM} "
_IN_QUERY_V4 = ("X-Amz-Algorithm", "X-Amz-Signature")
_IN_QUERY_V2 = ("AWSAccessKeyId", "Signature")


async def authenticate(
    request: Request,
    target: Target,
    credentials: Credentials,
    now: datetime,
    sub_resources: Collection[str],
) -> Identity:
    """The verified sender; raises S3Error with AWS's codes, and what ``credentials`` do.

    ``sub_resources`` are the query parameters that select operations: each has to be signed.
    """
    authorization = request.headers.get("authorization")
    query = target.query
    presigned = presigned_v4 = False
    if query:
        presigned_v4 = any(name in query for name in _IN_QUERY_V4)
        presigned = presigned_v4 or any(name in query for name in _IN_QUERY_V2)
    if authorization is not None:
        if presigned:
            raise only_one_signature("Authorization", authorization)
        version_2 = authorization.startswith(_VERSION_2)
    elif not presigned:
        return _unsigned(request)
    else:
        version_2 = not presigned_v4
    if version_2:
        head_2 = _head_2(request, target, sub_resources)
        claim_2 = (sigv2.presigned_claim if presigned else sigv2.header_claim)(head_2, now)
        found = await credentials.find(claim_2.access_key, claim_2.security_token)
        signer = known(found, claim_2.access_key)
        sigv2.verify(head_2, claim_2, signer.secret)
        signer.used()
        return Identity(signer.principal, None, claim_2.payload_hash)
    head, claim = _claim_4(request, target, now, presigned=presigned)
    access_key = claim.credential.access_key
    signer = known(await credentials.find(access_key, claim.security_token), access_key)
    return _verified_4(request, target, head, claim, signer)


def is_version_2(request: Request, query: Mapping[str, str]) -> bool:
    """Whether a request carries a signature of Version 2, right or wrong."""
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        return authorization.startswith(_VERSION_2)
    return any(name in query for name in _IN_QUERY_V2) and not any(
        name in query for name in _IN_QUERY_V4
    )


def is_signed(request: Request, target: Target | Undecided) -> bool:
    """Whether a request carries a signature of its own, right or wrong."""
    named = any(name in target.query for name in (*_IN_QUERY_V4, *_IN_QUERY_V2))
    return named or "Authorization" in request.headers


def only_one_signature(name: str, value: str) -> S3Error:
    """What a request is answered with that carries two signatures."""
    return S3Error(
        "InvalidArgument",
        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature "
        "query string parameter or the Authorization header should be specified",
        {"ArgumentName": name, "ArgumentValue": value},
    )


def _unsigned(request: Request) -> Identity:
    """Anybody. What the form of the body is, is no question of who sent it; it is looked at when
    the body is read."""
    payload = request.headers.get("x-amz-content-sha256")
    return UNSIGNED if payload is None else Identity(ANONYMOUS, None, payload)


def _claim_4(
    request: Request, target: Target, now: datetime, *, presigned: bool
) -> tuple[sigv4.RequestHead, sigv4.Claim]:
    """What is signed in Version 4, and by whom, as the request says."""
    sent = request.folded
    if sent is None:
        sent = sigv4.fold_headers(request.headers.items())
    head = sigv4.RequestHead(request.method, target.raw_path, target.raw_query, sent)
    read = sigv4_claim.presigned_claim if presigned else sigv4_claim.header_claim
    return head, read(head, now)


def _verified_4(
    request: Request, target: Target, head: sigv4.RequestHead, claim: sigv4.Claim, signer: Signer
) -> Identity:
    """The sender, if the signature is right for one of the hosts that may have been signed."""
    if claim.presigned:
        absent = [name for name in claim.signed_headers if name not in head.headers]
        if absent:
            carried = sigv4.fold_headers(carried_headers(target, absent).items())
            head = msgspec.structs.replace(head, headers={**head.headers, **carried})
    mismatch: S3Error | None = None
    sent = head.headers.get("host")
    for host in signed_hosts(request):
        tried = head
        if sent != host:
            tried = msgspec.structs.replace(head, headers={**head.headers, "host": host})
        try:
            stream_key = sigv4.verify(tried, claim, signer.secret)
        except S3Error as error:
            if error.code != "SignatureDoesNotMatch":
                raise
            mismatch = mismatch or error
        else:
            signer.used("s3", claim.credential.region)
            return Identity(signer.principal, stream_key, claim.payload_hash, host)
    assert mismatch is not None
    raise mismatch


def _head_2(request: Request, target: Target, sub_resources: Collection[str]) -> sigv2.RequestHead:
    """What is signed in Version 2."""
    return sigv2.RequestHead(
        request.method,
        f"/{target.bucket}{target.raw_path}" if target.virtual_host else target.raw_path,
        target.raw_query,
        sigv2.trimmed_headers(request.headers.items()),
        sub_resources,
    )
