"""Who sent a request. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from s3front.auth.sigv4 import StreamKey
from s3front.policies.policy import NamedPolicy
from s3front.policies.question import CallerNames
from shared.records.derived import derived

ALL_USERS: Final = "http://acs.amazonaws.com/groups/global/AllUsers"
"""The group of everybody, as ACLs and records name it (Amazon S3 user guide, "ACL overview")."""


ALL_ACCOUNTS: Final = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
"""The group of everybody who signs."""


ISSUED_KEY: Final = "aws:tokenissuetime"
"""The condition key that says when temporary credentials were given out."""


class Rights(msgspec.Struct, frozen=True):
    """What a user's or a session's own policies are: ``policies`` give, each of them alone;
    ``boundary`` and ``session`` limit what they give, where there are any (IAM user guide, "Policy
    evaluation logic"). ``session`` gives what any of its policies gives."""

    policies: Sequence[NamedPolicy] = ()
    boundary: NamedPolicy | None = None
    session: Sequence[NamedPolicy] | None = None


class Principal(msgspec.Struct, frozen=True, dict=True):
    """Who asks for something: an account, a user or session of one, or anybody. What they may,
    ``s3front.authz`` decides, and nothing else does.

    ``canonical_id`` and ``name`` are the owner that records name, and so those of the account, of
    users and sessions as well; ``account_id`` has 12 digits, and is None of who is not known.
    ``rights`` is None of an account itself, which may all that its account may.

    ``user_id`` and ``user_name`` are ``aws:userid`` and ``aws:username``; ``kind`` is
    ``aws:PrincipalType``. ``role_arn`` and ``federated`` are those of a session; ``keys`` has
    condition keys that were settled when it began, in lower case (``aws:tokenissuetime``, those of
    an identity provider), ``tags`` what ``aws:PrincipalTag`` knows; those named in
    ``transitive_tags`` are those of sessions that begin from this one as well. ``whose`` is the
    user who has vouched for a federated session. ``suspended``: its account may do nothing at
    present.
    """

    canonical_id: str
    name: str
    account_id: str | None
    arn: str
    rights: Rights | None = None
    user_id: str = ""
    user_name: str | None = None
    kind: str = "Account"
    role_arn: str | None = None
    federated: str | None = None
    keys: Mapping[str, Sequence[str]] = msgspec.field(default_factory=dict)
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    suspended: bool = False
    transitive_tags: Sequence[str] = ()
    whose: CallerNames | None = None

    @property
    def is_anonymous(self) -> bool:
        return self.account_id is None

    @property
    def is_temporary(self) -> bool:
        """Whether it signs with temporary credentials."""
        return ISSUED_KEY in self.keys

    @derived
    def names(self) -> CallerNames:
        """What policies may name it by."""
        is_of_iam = self.kind in ("User", "AssumedRole")
        return CallerNames(
            self.arn,
            self.account_id,
            self.canonical_id,
            self.role_arn,
            self.federated,
            unique_id=self.user_id.partition(":")[0] or None if is_of_iam else None,
            whose=self.whose,
        )


ANONYMOUS: Final = Principal(ALL_USERS, "", None, "*", user_id="anonymous", kind="Anonymous")
"""Anybody: the sender of a request without a signature."""


class Identity(msgspec.Struct, frozen=True):
    """A principal, and what its signature says. ``stream_key`` is what the chunks of a streamed
    body must be signed with; ``payload`` the request's ``x-amz-content-sha256``, verified where a
    signature covers it; ``host`` the one that was signed, where the signature covers it."""

    principal: Principal
    stream_key: StreamKey | None = None
    payload: str | None = None
    host: str | None = None


UNSIGNED: Final = Identity(ANONYMOUS)
"""Of a request without a signature."""
