"""Whom a request names as the grantee of an access control list. Pure.

By canonical ID, by the e-mail address of an account, which stands for its canonical ID, or by the
URI of a group. CloudServer's service accounts have URLs for canonical IDs.
"""

from __future__ import annotations

from typing import Protocol

from s3front.authz.acl import KNOWN_GROUPS
from s3front.s3_errors import S3Error
from shared.records.names import SERVICE_ID_PREFIX


class KnownAccount(Protocol):
    """An account, as far as lists show it."""

    @property
    def canonical_id(self) -> str: ...

    @property
    def name(self) -> str: ...


class KnownAccounts(Protocol):
    """All accounts there are. It never waits."""

    def account_by_canonical_id(self, canonical_id: str) -> KnownAccount | None: ...

    def account_by_email(self, email: str) -> KnownAccount | None: ...


def grantee_by_id(accounts: KnownAccounts, canonical_id: str, argument: str) -> str:
    """A canonical ID that somebody has; raises InvalidArgument, which names the argument."""
    if canonical_id.startswith(SERVICE_ID_PREFIX):
        return canonical_id
    if accounts.account_by_canonical_id(canonical_id) is None:
        raise _invalid("Invalid id", argument, canonical_id)
    return canonical_id


def grantee_by_email(accounts: KnownAccounts, email: str) -> str:
    """The canonical ID of an account; raises UnresolvableGrantByEmailAddress."""
    account = accounts.account_by_email(email)
    if account is None:
        raise S3Error("UnresolvableGrantByEmailAddress", fields={"EmailAddress": email})
    return account.canonical_id


def group_by_uri(uri: str, argument: str) -> str:
    """The URI of a group that there is; raises InvalidArgument, which names the argument."""
    if uri not in KNOWN_GROUPS:
        raise _invalid("Invalid group uri", argument, uri)
    return uri


def _invalid(message: str, argument: str, value: str) -> S3Error:
    return S3Error("InvalidArgument", message, {"ArgumentName": argument, "ArgumentValue": value})
