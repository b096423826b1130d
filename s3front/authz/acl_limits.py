"""Which access control lists may be set in a bucket. Pure.

Where lists do not count, none may be set that gives what they do not give; where public ones are
blocked, none that gives strangers anything (Amazon S3 user guide, "Controlling ownership of
objects" and "Blocking public access").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from s3front.authz.acl import OWNER_FULL_CONTROL, grants_of, is_private_acl, is_public_acl
from s3front.authz.ownership import ENFORCED, acls_count
from s3front.authz.public_block import PublicBlock, block_of
from s3front.s3_errors import S3Error
from shared.records.bucket import BucketRecord


def require_settable(bucket: BucketRecord, acl: Mapping[str, Any], block: PublicBlock) -> None:
    """Let a list be set, of the bucket or of an object in it. ``block`` is that of the owner's
    account. Raises AccessControlListNotSupported, AccessDenied."""
    if not acls_count(bucket) and not _gives_bucket_owner_all(acl, bucket.owner_id):
        raise S3Error("AccessControlListNotSupported")
    require_unblocked(bucket, acl, block)


def require_unblocked(bucket: BucketRecord, acl: Mapping[str, Any], block: PublicBlock) -> None:
    """The same of a list that was set before: only what strangers would get is looked at. Raises
    AccessDenied."""
    if is_public_acl(acl) and (block | block_of(bucket.document)).block_public_acls:
        raise S3Error("AccessDenied")


def require_fits_ownership(acl: Any, owner_id: str, ownership: str) -> None:
    """Let a bucket that ``owner_id`` owns have both this list and this setting; raises
    InvalidBucketAclWithObjectOwnership."""
    if ownership == ENFORCED and not is_private_acl(acl, owner_id):
        raise S3Error("InvalidBucketAclWithObjectOwnership")


def _gives_bucket_owner_all(acl: Mapping[str, Any], owner_id: str) -> bool:
    """Whether it is ``bucket-owner-full-control``, or what says the same one by one."""
    if acl.get("Canned"):
        return bool(acl["Canned"] == OWNER_FULL_CONTROL)
    return list(grants_of(acl, owner_id, owner_id)) == [(owner_id, "FULL_CONTROL")]
