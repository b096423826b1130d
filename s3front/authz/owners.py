"""What is known of the accounts that buckets and objects belong to. Pure."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from s3front.authz.public_block import NO_BLOCK, PublicBlock


class OwnerFacts(msgspec.Struct, frozen=True):
    """``account_id`` has 12 digits, and is None of an account whose record cannot be read;
    ``block`` is what the account has blocked for all of its buckets, or may have."""

    account_id: str | None
    block: PublicBlock = NO_BLOCK


class Owners(Protocol):
    """All accounts there are."""

    def owner(self, canonical_id: str) -> OwnerFacts | None:
        """An account by its canonical ID; None where there is none. It never waits."""


class _NoOwners:
    def owner(self, canonical_id: str) -> OwnerFacts | None:
        return None


NO_OWNERS: Final[Owners] = _NoOwners()
"""Where nothing is known of accounts but what a principal says of its own."""
