"""Why an access was allowed, or refused: what named policy, statement or grant decided. Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec


class Why(StrEnum):
    """The kinds of reasons, by the names that they are stored and shown by."""

    FOR_ANYBODY = "for-anybody"
    """It asks for no action."""
    ACCOUNT = "account"
    """It is about the account that asks."""
    OWNER = "owner"
    """What it is about belongs to the account that asks."""
    POLICY_ALLOWS = "policy-allows"
    GRANT_ALLOWS = "grant-allows"
    """A list of grants (ACL)."""

    NO_BUCKET = "no-bucket"
    """There is nothing to decide on."""
    OTHER_OWNER = "other-owner"
    """The bucket belongs to another account than the request says."""
    SUSPENDED = "account-suspended"
    POLICY_DENIES = "policy-denies"
    NOTHING_ALLOWS = "nothing-allows"
    """No policy, grant or ownership does."""
    NOT_WITHIN = "not-within"
    """What policies allow is beyond the boundary of permissions, or the policies of the session."""
    RESTRICTED = "public-access-blocked"
    """A policy that allows is public, which the bucket is closed to (RestrictPublicBuckets)."""
    OWNERS_ONLY = "owners-only"
    """It is allowed, and yet only for the account that owns the bucket: its policy."""
    NO_KEY = "no-key"
    """The key is not there, and who asks may list it; what he asks for he might not have."""
    HIDDEN = "key-hidden"
    """The key is not there, and who asks may not list the bucket, so is not told."""


class Layer(StrEnum):
    """Which kind of policy it was, as AWS calls it in its messages."""

    NONE = ""
    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"


class Reason(msgspec.Struct, frozen=True):
    """``policy`` names the policy, and ``statement`` its statement, or ``policy`` is the grant that
    decided; ``action`` is the one of the access that was decided on. Empty is what does not
    apply."""

    why: Why
    layer: Layer = Layer.NONE
    policy: str = ""
    statement: str = ""
    action: str = ""

    @property
    def text(self) -> str:
        """The reason in words, for whoever runs the server."""
        place = self.policy
        if self.statement:
            place = f"{self.statement} of {place}" if place else self.statement
        of_action = f" {self.action}" if self.action else ""
        match self.why:
            case Why.POLICY_ALLOWS:
                return f"allowed{of_action} by {place} ({self.layer})"
            case Why.POLICY_DENIES:
                return f"denied{of_action} by {place} ({self.layer})"
            case Why.GRANT_ALLOWS:
                return f"allowed{of_action} by the grant {place}"
            case Why.NOT_WITHIN:
                return f"{place or 'nothing'} ({self.layer}) does not allow{of_action}"
            case Why.NOTHING_ALLOWS if self.layer is not Layer.NONE:
                return f"no {self.layer} allows{of_action}"
        return _IN_WORDS[self.why] + (f" ({self.action})" if self.action else "")


_IN_WORDS: Final = {
    Why.FOR_ANYBODY: "anybody may",
    Why.ACCOUNT: "it is about the account that asks",
    Why.OWNER: "the account that asks owns it",
    Why.NO_BUCKET: "there is no such bucket",
    Why.OTHER_OWNER: "the bucket belongs to another account than the request says",
    Why.SUSPENDED: "the account is suspended",
    Why.NOTHING_ALLOWS: "no policy and no grant allows it",
    Why.RESTRICTED: "the policy of the bucket is public, which RestrictPublicBuckets closes to "
    "other accounts",
    Why.OWNERS_ONLY: "only the account that owns the bucket reads and changes its policy",
    Why.NO_KEY: "there is no such key, and what was asked for is not allowed",
    Why.HIDDEN: "there is no such key, which only who may list the bucket is told",
}


class Decision(msgspec.Struct, frozen=True):
    """What was decided, and why."""

    allowed: bool
    reason: Reason
