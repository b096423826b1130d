"""What a policy is asked: who wants to do what to which resource, and what else is known. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

from s3front.policies.work import Work
from shared.records.derived import derived

_SESSION: Final = ":assumed-role/"


class CallerNames(msgspec.Struct, frozen=True, dict=True):
    """What the principals of a statement may name a caller by.

    ``arn`` is that of the account, user or session itself, ``*`` of anybody; ``account_id`` has 12
    digits, None of anybody. ``role_arn`` is that of the role which a session has taken on;
    ``federated`` the identity provider that vouched for it; ``service`` a service's name;
    ``unique_id`` the unique ID of the user or role, which no other of its name has, and which
    stays when it gets another name; ``whose`` is the user that has vouched for a federated session.
    What does not apply is None.
    """

    arn: str
    account_id: str | None
    canonical_id: str
    role_arn: str | None = None
    federated: str | None = None
    service: str | None = None
    unique_id: str | None = None
    whose: CallerNames | None = None

    @derived
    def itself(self) -> tuple[str, ...]:
        """The labels of the very user, session or account."""
        if self.unique_id is None:
            return (self.arn,)
        return (self.arn, label_of_id(self.arn, self.unique_id))

    @derived
    def vouched_for(self) -> tuple[str, ...]:
        """The labels of the provider and of the service."""
        labels = []
        if self.federated is not None:
            labels.append(label("Federated", self.federated))
        if self.service is not None:
            labels.append(label("Service", self.service))
        return tuple(labels)

    @derived
    def own(self) -> tuple[str, ...]:
        """Both of these."""
        return self.itself + self.vouched_for

    @derived
    def role(self) -> tuple[str, ...]:
        """The labels of the role, or of the user, whose session it is."""
        if self.whose is not None:
            return self.whose.itself
        if self.role_arn is None:
            return ()
        return (self.role_arn,) if self.unique_id is None else (self.role_arn, self.unique_id)

    @derived
    def of_account(self) -> tuple[str, ...]:
        """The labels of the account, which anybody has none of."""
        if self.account_id is None:
            return ()
        return (self.account_id, label("CanonicalUser", self.canonical_id))

    @derived
    def labels(self) -> tuple[str, ...]:
        """All by which it may be named, as ``label`` writes them."""
        return (*self.own, *self.role, *self.of_account)


def label(kind: str, name: str) -> str:
    """How ``CallerNames`` and principals write the name of a caller: that of kind ``AWS``, an ARN
    or an account ID, as it is; those of other kinds, which may look like any, with it."""
    return name if kind == "AWS" else f"{kind} {name}"


def label_of_id(arn: str, unique_id: str) -> str:
    """The label of one that has this ARN and is known by a unique ID: of a user or role the ID
    alone, as it may get another ARN; of a session of a role its ARN with the ID of the role."""
    return f"{arn} {unique_id}" if _SESSION in arn else unique_id


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

    @property
    def work(self) -> Work:
        """What is left of the work of the decision that it is asked for."""

    def values(self, key: str) -> Sequence[str] | None:
        """What is known of a condition key, in any case but for the names of tags; None where the
        request has no such key. More than one value only of keys that are multivalued."""
