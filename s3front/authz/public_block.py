"""The public access block of a bucket: what of it is public all the same is refused. Pure.

*Rules*

``BlockPublicAcls`` refuses ACLs that give strangers anything, and ``BlockPublicPolicy`` policies
that do, when they are set. ``IgnorePublicAcls`` lets such ACLs give strangers nothing, and
``RestrictPublicBuckets`` lets a public policy count for the account of the bucket alone. Of an
account and of a bucket, what either says counts. What cannot be understood blocks.

Amazon S3 user guide, "Blocking public access to your Amazon S3 storage".
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shared.records.bucket import BucketRecord

PUBLIC_BLOCK_MEMBER: Final = "publicAccessBlock"
"""Where the record of a bucket has it."""

SETTINGS: Final = (
    "BlockPublicAcls",
    "IgnorePublicAcls",
    "BlockPublicPolicy",
    "RestrictPublicBuckets",
)
"""In the order in which they are shown."""


class PublicBlock(msgspec.Struct, frozen=True):
    """Which of them count."""

    block_acls: bool = False
    ignore_acls: bool = False
    block_policy: bool = False
    restrict_buckets: bool = False

    def and_also(self, other: PublicBlock) -> PublicBlock:
        """What either of them says."""
        return PublicBlock(
            self.block_acls or other.block_acls,
            self.ignore_acls or other.ignore_acls,
            self.block_policy or other.block_policy,
            self.restrict_buckets or other.restrict_buckets,
        )


NO_BLOCK: Final = PublicBlock()
FULL_BLOCK: Final = PublicBlock(True, True, True, True)


def block_in(document: Any) -> PublicBlock:
    """What a document of a record says, of which any setting may be missing."""
    if not document:
        return NO_BLOCK
    if not isinstance(document, dict):
        return FULL_BLOCK
    # Of a value that is none of the two nobody knows what it means.
    return PublicBlock(*(document.get(name, False) is not False for name in SETTINGS))


def block_of(bucket: BucketRecord, account: PublicBlock = NO_BLOCK) -> PublicBlock:
    """What counts in a bucket, given that of its owner's account."""
    own = block_in(bucket.document.get(PUBLIC_BLOCK_MEMBER))
    return own if account is NO_BLOCK else own.and_also(account)
