"""A policy that was read and checked. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import Any

import msgspec

from s3front.policies.policy_memory import document_memory, policy_memory
from s3front.policies.statement_principals import NO_IDS
from s3front.policies.statements import CompiledPolicy, compile_policy
from shared.records.derived import derived


class Kind(Enum):
    """What a policy is attached to, which says what its statements must and may not have."""

    BUCKET = auto()
    """A bucket: names principals and resources."""
    IDENTITY = auto()
    """A user, group or role, and the boundary of one: names no principals."""
    SESSION = auto()
    """A session: as that of an identity."""
    TRUST = auto()
    """A role: names who may take it on, and no resources."""

    @property
    def names_principals(self) -> bool:
        return self in (Kind.BUCKET, Kind.TRUST)

    @property
    def names_resources(self) -> bool:
        return self is not Kind.TRUST


class Policy(msgspec.Struct, frozen=True, dict=True):
    """A policy. The document, and what is derived from it, is shared: never change it.

    ``ids`` are the unique IDs of users and roles, by the ARNs that it names them by: it is about
    these, and not about others that come to have their names. Whoever is not in it is named by the
    ARN alone."""

    document: Mapping[str, Any]
    kind: Kind = Kind.IDENTITY
    ids: Mapping[str, str] = NO_IDS

    @derived
    def memory(self) -> int:
        """Bytes that it takes, as far as can be said (``s3front.policies.policy_memory``)."""
        return policy_memory(self.document) + document_memory(self.ids)

    @derived
    def compiled(self) -> CompiledPolicy:
        """What ``s3front.policies.judge`` asks."""
        return compile_policy(
            self.document,
            names_principals=self.kind.names_principals,
            names_resources=self.kind.names_resources,
            ids=self.ids,
        )


class NamedPolicy(msgspec.Struct, frozen=True):
    """A policy, and what a refusal calls it: the ARN of a managed one, ``user/Anna/policy`` of one
    that is inline."""

    name: str
    policy: Policy
