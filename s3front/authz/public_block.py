"""The block of public access: of a bucket, and of an account for all of its buckets. Pure.

Amazon S3 user guide, "Blocking public access to your Amazon S3 storage".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

BLOCK_MEMBER: Final = "publicAccessBlock"
"""Where the record of a bucket, or of an account, has it (ours)."""


class PublicBlock(msgspec.Struct, frozen=True, rename="pascal"):
    """The four settings, by the names that the API has for them."""

    block_public_acls: bool = False
    """No list of grants may be set that gives to everybody."""
    ignore_public_acls: bool = False
    """Grants to everybody give nothing."""
    block_public_policy: bool = False
    """No policy may be set that is public."""
    restrict_public_buckets: bool = False
    """A policy that is public gives nothing to other accounts."""

    def __or__(self, other: PublicBlock) -> PublicBlock:
        """What is blocked by either."""
        if self is NO_BLOCK:
            return other
        if other is NO_BLOCK:
            return self
        return PublicBlock(
            self.block_public_acls or other.block_public_acls,
            self.ignore_public_acls or other.ignore_public_acls,
            self.block_public_policy or other.block_public_policy,
            self.restrict_public_buckets or other.restrict_public_buckets,
        )


NO_BLOCK: Final = PublicBlock()
FULL_BLOCK: Final = PublicBlock(True, True, True, True)


def block_of(document: Mapping[str, Any]) -> PublicBlock:
    """The block of a record. One that cannot be read blocks everything."""
    stored = document.get(BLOCK_MEMBER)
    if stored is None:
        return NO_BLOCK
    try:
        return msgspec.convert(stored, PublicBlock)
    except msgspec.ValidationError:
        return FULL_BLOCK
