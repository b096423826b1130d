"""From a request to an identity: the one place that verifies signatures.

Signature Version 4 or 2, in the Authorization header or the query; a request with none is
anonymous.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import msgspec

from s3front.auth import sigv2, sigv4, sigv4_claim
from s3front.auth.hoisted import carried_headers
from s3front.auth.identity import UNSIGNED, Identity, Principal
from s3front.port.forwarded import signed_hosts
from s3front.port.request import Request
from s3front.port.target import Target, Undecided
from s3front.s3_errors import S3Error
from shared.config import Account, Accounts
from shared.config.accounts import Credential

_IN_QUERY_V4 = ("X-Amz-Algorithm", "X-Amz-Signature")
_IN_QUERY_V2 = ("AWSAccessKeyId", "Signature")


def authenticate(request: Request, target: Target, accounts: Accounts, now: datetime) -> Identity:
    """The verified sender; raises S3Error with AWS's codes."""
    authorization = request.headers.get("Authorization")
    presigned_v4 = any(name in target.query for name in _IN_QUERY_V4)
    presigned_v2 = any(name in target.query for name in _IN_QUERY_V2)
    if authorization is not None:
        if presigned_v4 or presigned_v2:
            raise only_one_signature("Authorization", authorization)
        if authorization.startswith(f"{sigv2.ALGORITHM} "):
            return _version_2(request, target, accounts, now, presigned=False)
        return _version_4(request, target, accounts, now, presigned=False)
    if presigned_v4:
        return _version_4(request, target, accounts, now, presigned=True)
    if presigned_v2:
        return _version_2(request, target, accounts, now, presigned=True)
    return UNSIGNED


def is_version_2(request: Request, query: Mapping[str, str]) -> bool:
    """Whether a request carries a signature of Version 2, right or wrong."""
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        return authorization.startswith(f"{sigv2.ALGORITHM} ")
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


def _version_4(
    request: Request, target: Target, accounts: Accounts, now: datetime, *, presigned: bool
) -> Identity:
    sent = sigv4.fold_headers(request.headers.items())
    head = sigv4.RequestHead(request.method, target.raw_path, target.raw_query, sent)
    read = sigv4_claim.presigned_claim if presigned else sigv4_claim.header_claim
    claim = read(head, now)
    credential = find_credential(accounts, claim.credential.access_key, claim.security_token)
    if presigned:
        absent = [name for name in claim.signed_headers if name not in sent]
        if absent:
            carried = sigv4.fold_headers(carried_headers(target, absent).items())
            head = msgspec.structs.replace(head, headers={**sent, **carried})
    mismatch: S3Error | None = None
    for host in signed_hosts(request):
        headers = head.headers
        if headers.get("host") != host:
            headers = {**headers, "host": host}
        try:
            tried = msgspec.structs.replace(head, headers=headers)
            stream_key = sigv4.verify(tried, claim, credential.secret)
        except S3Error as error:
            if error.code != "SignatureDoesNotMatch":
                raise
            mismatch = mismatch or error
        else:
            return Identity(principal_of(credential.account), stream_key, claim.payload_hash, host)
    assert mismatch is not None
    raise mismatch


def _version_2(
    request: Request, target: Target, accounts: Accounts, now: datetime, *, presigned: bool
) -> Identity:
    head = sigv2.RequestHead(
        request.method,
        f"/{target.bucket}{target.raw_path}" if target.virtual_host else target.raw_path,
        target.raw_query,
        sigv2.trimmed_headers(request.headers.items()),
    )
    read = sigv2.presigned_claim if presigned else sigv2.header_claim
    claim = read(head, now)
    credential = find_credential(accounts, claim.access_key, claim.security_token)
    sigv2.verify(head, claim, credential.secret)
    return Identity(principal_of(credential.account), None, claim.payload_hash)


def principal_of(account: Account) -> Principal:
    """An account itself, as it asks for something."""
    return Principal(account.canonical_id, account.name, account.short_id, account.arn)


def find_credential(accounts: Accounts, access_key: str, security_token: str | None) -> Credential:
    """The key that a request was signed with; raises InvalidToken and InvalidAccessKeyId."""
    if security_token is not None:
        # Temporary credentials are not issued here, so no token can be valid.
        raise S3Error("InvalidToken", fields={"Token-0": security_token})
    credential = accounts.credential(access_key)
    if credential is None:
        raise S3Error("InvalidAccessKeyId", fields={"AWSAccessKeyId": access_key})
    return credential
