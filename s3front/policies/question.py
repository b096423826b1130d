"""What a policy is asked: who wants to do what to which resource, and what else is known. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec


class CallerNames(msgspec.Struct, frozen=True):
    """What the principals of a statement may name a caller by.

    ``arn`` is that of the account, user or session itself, ``*`` of anybody; ``account_id`` has 12
    digits, None of anybody. ``role_arn`` is that of the role which a session has taken on;
    ``federated`` the identity provider that vouched for it; ``service`` a service's name. What does
    not apply is None.
    """

    arn: str
    account_id: str | None
    canonical_id: str
    role_arn: str | None = None
    federated: str | None = None
    service: str | None = None


class Question(Protocol):
    """One action on one resource."""

    @property
    def names(self) -> CallerNames: ...

    @property
    def action(self) -> str:
        """As IAM writes it: ``s3:GetObject``."""

    @property
    def resource(self) -> str:
        """Its ARN."""

    def values(self, key: str) -> Sequence[str] | None:
        """What is known of a condition key, in any case but for the names of tags; None where the
        request has no such key. More than one value only of keys that are multivalued."""
