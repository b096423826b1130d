"""May they: the one place that says yes. Pure.

Until access control lists and policies exist, the owner of a bucket may do everything in it and
everybody else nothing; every account may make buckets, and see its own.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import Final

import msgspec

from s3front.authz.access import Access
from s3front.s3_errors import S3Error

_OF_ACCOUNTS: Final = frozenset(("s3:CreateBucket", "s3:ListAllMyBuckets"))
"""Actions that are about an account, and about no bucket that there is."""

_ACCOUNT_ID: Final = re.compile(r"[0-9]{12}\Z")


class Reason(Enum):
    """Why an access was allowed, or refused."""

    FOR_ANYBODY = auto()
    """It asks for no action."""
    ACCOUNT = auto()
    """It is about the account that asks."""
    OWNER = auto()
    """The bucket belongs to who asks."""
    NO_BUCKET = auto()
    """There is nothing to decide on."""
    NOTHING_ALLOWS = auto()
    """Nothing says that they may."""
    OTHER_OWNER = auto()
    """The bucket belongs to another account than the request says."""


class Decision(msgspec.Struct, frozen=True):
    """What was decided, and why."""

    allowed: bool
    reason: Reason


_FOR_ANYBODY: Final = Decision(True, Reason.FOR_ANYBODY)
_ACCOUNT: Final = Decision(True, Reason.ACCOUNT)
_OWNER: Final = Decision(True, Reason.OWNER)
_NO_BUCKET: Final = Decision(False, Reason.NO_BUCKET)
_NOTHING_ALLOWS: Final = Decision(False, Reason.NOTHING_ALLOWS)
_OTHER_OWNER: Final = Decision(False, Reason.OTHER_OWNER)


def decide(access: Access) -> Decision:
    """Whether an access is allowed."""
    if not access.actions:
        return _FOR_ANYBODY
    principal, bucket = access.principal, access.bucket
    if _OF_ACCOUNTS.issuperset(access.actions):
        return _NOTHING_ALLOWS if principal.is_anonymous else _ACCOUNT
    if bucket is None:
        return _NO_BUCKET
    if bucket.owner_id != principal.canonical_id or principal.is_anonymous:
        return _NOTHING_ALLOWS
    for expected in access.expected_owners:
        # The owner is who asks, by now.
        if expected != principal.account_id:
            return _OTHER_OWNER
    return _OWNER


def authorize(access: Access) -> None:
    """Let an access pass; raises NoSuchBucket, AccessDenied or, of an expected owner that is no
    account ID, InvalidBucketOwnerAWSAccountID."""
    decision = decide(access)
    if not decision.allowed:
        raise _refusal(access, decision.reason)


def _refusal(access: Access, reason: Reason) -> S3Error:
    if reason is Reason.NO_BUCKET:
        return S3Error("NoSuchBucket", fields={"BucketName": access.bucket_name})
    if reason is Reason.OTHER_OWNER:
        account_id = access.principal.account_id
        wrong = next(each for each in access.expected_owners if each != account_id)
        if _ACCOUNT_ID.match(wrong) is None:
            return S3Error(
                "InvalidBucketOwnerAWSAccountID",
                "The value of the expected bucket owner parameter must be an AWS Account ID... "
                f"[{wrong}]",
            )
    return S3Error("AccessDenied")
