"""Who sent a request. Pure."""

from __future__ import annotations

from typing import Final

import msgspec

from s3front.auth.sigv4 import StreamKey

ALL_USERS: Final = "http://acs.amazonaws.com/groups/global/AllUsers"
"""The group of everybody, as ACLs and records name it (Amazon S3 user guide, "ACL overview")."""


class Principal(msgspec.Struct, frozen=True):
    """Who asks for something: an account, or anybody. What they may, ``s3front.authz`` decides, and
    nothing else does.

    ``canonical_id`` and ``name`` are the owner that records name; ``account_id`` has 12 digits, and
    is None of who is not known.
    """

    canonical_id: str
    name: str
    account_id: str | None
    arn: str

    @property
    def is_anonymous(self) -> bool:
        return self.account_id is None


ANONYMOUS: Final = Principal(ALL_USERS, "", None, "*")
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
