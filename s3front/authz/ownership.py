"""Who owns the objects of a bucket, and whether ACLs count in it. Pure.

*Rules*

With ``BucketOwnerEnforced`` no ACL counts, and all in the bucket is its owner's. Otherwise an
object is the account's that has written it; with ``BucketOwnerPreferred`` it is the bucket owner's
when its writer has asked for ``bucket-owner-full-control``. What nobody in particular has written
is the bucket owner's.

A bucket without the setting is as one of CloudServer's, or as one of AWS's from before April 2023:
``ObjectWriter``. A setting that is not known here counts as ``BucketOwnerEnforced``: it gives
nobody anything.

Amazon S3 user guide, "Controlling ownership of objects and disabling ACLs".
"""

from __future__ import annotations

from typing import Final, NamedTuple

from s3front.auth.identity import ALL_USERS, Principal
from s3front.authz.acl import OWNER_FULL_CONTROL
from shared.records.bucket import BucketRecord

OWNERSHIP_MEMBER: Final = "objectOwnership"
"""Where the record of a bucket has it."""

ENFORCED: Final = "BucketOwnerEnforced"
PREFERRED: Final = "BucketOwnerPreferred"
WRITER: Final = "ObjectWriter"
OWNERSHIPS: Final = (ENFORCED, PREFERRED, WRITER)


class Owner(NamedTuple):
    """An account, as records name it."""

    id: str
    name: str


def ownership_of(bucket: BucketRecord) -> str:
    """Which of the three settings counts."""
    found = bucket.document.get(OWNERSHIP_MEMBER) or WRITER
    return found if found in OWNERSHIPS else ENFORCED


def acls_count(bucket: BucketRecord) -> bool:
    """Whether lists of the bucket and of its objects give anybody anything, and can be set."""
    return ownership_of(bucket) != ENFORCED


def owner_of_bucket(bucket: BucketRecord) -> Owner:
    return Owner(bucket.owner_id, str(bucket.document.get("ownerDisplayName") or ""))


def sole_owner(bucket: BucketRecord) -> Owner | None:
    """Who owns all that is in a bucket, whoever has written it; None where each object says it."""
    return None if acls_count(bucket) else owner_of_bucket(bucket)


def owner_of_new(bucket: BucketRecord, writer: Principal | Owner, canned: str | None) -> Owner:
    """Whose an object is that ``writer`` makes with this canned list, None for no such header."""
    if isinstance(writer, Principal):
        writer = Owner(writer.canonical_id, writer.name)
    setting = ownership_of(bucket)
    given_up = setting == PREFERRED and canned == OWNER_FULL_CONTROL
    if setting == ENFORCED or given_up or writer.id in ("", ALL_USERS):
        return owner_of_bucket(bucket)
    return writer


def owner_id_of(bucket: BucketRecord, object_owner_id: str) -> str:
    """Whose an object is that says ``object_owner_id``, by what counts in its bucket now."""
    if object_owner_id in ("", ALL_USERS) or not acls_count(bucket):
        return bucket.owner_id
    return object_owner_id
