"""How a bucket begins: who owns its objects, what of it is blocked, and its list. Pure.

Amazon S3 API reference, CreateBucket; user guide, "Default settings for new S3 buckets". AWS blocks
all public access to a new bucket, CloudServer none: here a setting says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from s3front.authz.acl_limits import require_fits_ownership, require_unblocked
from s3front.authz.ownership import ENFORCED, OWNERSHIP_MEMBER, WRITER
from s3front.authz.public_block import BLOCK_MEMBER, FULL_BLOCK, NO_BLOCK, PublicBlock
from shared.records.bucket import BucketRecord

OWNERSHIP_HEADER: Final = "x-amz-object-ownership"


class NewBuckets(msgspec.Struct, frozen=True):
    """What the configuration says. ``ownership`` is that of a bucket whose request says nothing of
    it; where it is ``ObjectWriter``, nothing is stored, as with CloudServer."""

    ownership: str = ENFORCED
    blocks_public_access: bool = False

    def begun(
        self,
        record: BucketRecord,
        ownership: str | None,
        acl: Mapping[str, Any] | None,
        account: PublicBlock = NO_BLOCK,
    ) -> BucketRecord:
        """The record of a new bucket, as its request wants it. ``account`` is the block of its
        owner's account. Raises InvalidBucketAclWithObjectOwnership, AccessDenied."""
        members: dict[str, Any] = {}
        setting = ownership or self.ownership
        if ownership is not None or setting != WRITER:
            members[OWNERSHIP_MEMBER] = setting
        if self.blocks_public_access:
            members[BLOCK_MEMBER] = msgspec.to_builtins(FULL_BLOCK)
        record = record.changed(members)
        if acl is None:
            return record
        require_fits_ownership(acl, record.owner_id, setting)
        require_unblocked(record, acl, account)
        return record.changed({"acl": acl})


NEW_BUCKETS: Final = NewBuckets()
"""As AWS has them, but for the block."""
