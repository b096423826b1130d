"""The access control list that the headers of a request ask for. Pure.

Either the name of a canned list, or the grantees of each permission:
``x-amz-grant-read: id="79a5…", emailAddress="bart@example.com", uri="http://…/AllUsers"``, quotes
or none. Amazon S3 API reference, PutBucketAcl and PutObjectAcl.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from s3front.authz.acl import CANNED_OF_BUCKETS, CANNED_OF_OBJECTS, canned_acl, explicit_acl
from s3front.configurations.grantees import (
    KnownAccounts,
    grantee_by_email,
    grantee_by_id,
    group_by_uri,
)
from s3front.port.request import Headers, names_of
from s3front.s3_errors import S3Error, not_implemented
from shared import limits

CANNED_HEADER: Final = "x-amz-acl"
GRANT_HEADERS: Final[Mapping[str, str]] = {
    "x-amz-grant-full-control": "FULL_CONTROL",
    "x-amz-grant-write": "WRITE",
    "x-amz-grant-write-acp": "WRITE_ACP",
    "x-amz-grant-read": "READ",
    "x-amz-grant-read-acp": "READ_ACP",
}
"""The permission that each header gives."""
ACL_HEADERS: Final = frozenset((CANNED_HEADER, *GRANT_HEADERS))

_OF_EC2: Final = "aws-exec-read"
"""A list that lets a service of AWS's read, which is not here."""

_GRANTEE: Final = re.compile(
    r'\s*(?P<kind>\w+)\s*=(?:\s*"(?P<quoted>[^"]*)"\s*|(?P<bare>[^",]*))(?:,|\Z)'
)


@lru_cache(maxsize=64)
def _any_acl(names: str) -> bool:
    """Whether one of these names, a line each, is of a list. Clients send the same again and
    again."""
    return not ACL_HEADERS.isdisjoint(names.lower().split("\n"))


def has_acl_headers(headers: Headers) -> bool:
    """Whether a request asks for a list."""
    return _any_acl(names_of(headers))


def acl_of_headers(
    headers: Headers, accounts: KnownAccounts, *, of_bucket: bool
) -> dict[str, Any] | None:
    """The list as records have it; None for a request that asks for none. Raises InvalidArgument,
    InvalidRequest, UnresolvableGrantByEmailAddress and NotImplemented."""
    if not has_acl_headers(headers):
        return None
    grants = [
        (grantee, permission)
        for header, permission in GRANT_HEADERS.items()
        if header in headers
        for grantee in _grantees(header, ",".join(headers.getall(header)), accounts)
    ]
    canned = headers.get(CANNED_HEADER)
    if canned is None:
        if len(grants) > limits.ACL_GRANTS_MAX:
            raise S3Error("InvalidRequest", _TOO_MANY)
        return explicit_acl(grants, of_bucket=of_bucket)
    if grants:
        raise S3Error(
            "InvalidRequest", "Specifying both Canned ACLs and Header Grants is not allowed"
        )
    if canned == _OF_EC2:
        raise not_implemented(f"{CANNED_HEADER}: {canned}", CANNED_HEADER)
    if canned not in (CANNED_OF_BUCKETS if of_bucket else CANNED_OF_OBJECTS):
        raise S3Error("InvalidArgument", fields=_argument(CANNED_HEADER, canned))
    return canned_acl(canned, of_bucket=of_bucket)


_TOO_MANY: Final = f"An access control list can have at most {limits.ACL_GRANTS_MAX} grants."


def _grantees(header: str, text: str, accounts: KnownAccounts) -> Iterator[str]:
    position = 0
    while position < len(text):
        match = _GRANTEE.match(text, position)
        if match is None:
            raise _not_recognised(header, text)
        position = match.end()
        named = (match["quoted"] or match["bare"] or "").strip()
        match match["kind"]:
            case "id":
                yield grantee_by_id(accounts, named, "id")
            case "uri":
                yield group_by_uri(named, "uri")
            case "emailAddress":
                yield grantee_by_email(accounts, named)
            case _:
                raise _not_recognised(header, match[0].strip().rstrip(","))
    if not text.strip():
        raise _not_recognised(header, text)


def _not_recognised(header: str, text: str) -> S3Error:
    return S3Error("InvalidArgument", "Argument format not recognized", _argument(header, text))


def _argument(name: str, value: str) -> dict[str, str]:
    return {"ArgumentName": name, "ArgumentValue": value}
