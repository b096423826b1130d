"""Whom a statement of a resource's policy is about. Pure.

Source: IAM user guide, "AWS JSON policy elements: Principal" and "NotPrincipal".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from s3front.policies.question import CallerNames, label, label_of_id
from s3front.policies.verdict import How

_PARTITION: Final = re.compile(r"arn:aws-[a-z0-9-]{1,32}:")
_ACCOUNT_ID: Final = re.compile(r"[0-9]{12}\Z")
_ROOT: Final = re.compile(r"arn:aws:iam::([0-9]{12}):root\Z")
_NAMED: Final = re.compile(
    r"arn:aws:(?:iam::[0-9]{12}:(?:user|role)/[^*?]+|sts::[0-9]{12}:"
    r"(?:assumed-role/[^*?/]+/[^*?/]+|federated-user/[^*?/]+))\Z"
)
_UNIQUE_ID: Final = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,28}\Z")
"""A user or role, by what no other ever has: what is left of one that has been deleted."""

NO_IDS: Final[Mapping[str, str]] = MappingProxyType({})

KINDS: Final = frozenset(("AWS", "CanonicalUser", "Federated", "Service"))


class Principals(msgspec.Struct, frozen=True):
    """Whom an element names: ``named`` has labels as ``CallerNames`` has them."""

    everybody: bool = False
    named: frozenset[str] = frozenset()

    def how(self, names: CallerNames) -> How | None:
        """By what they name a caller most closely; None: not at all."""
        named = self.named
        if named.isdisjoint(names.labels):
            return How.EVERYBODY if self.everybody else None
        if not named.isdisjoint(names.own):
            return How.ITSELF
        if self.everybody:
            return How.EVERYBODY
        return How.ACCOUNT if named.isdisjoint(names.role) else How.ROLE

    def whole(self, names: CallerNames) -> bool:
        """Whether they name all that a caller is: the account, the role, and itself. Those that a
        Deny leaves out have to be named so, as AWS has it."""
        if self.everybody:
            return True
        named = self.named
        if not named.isdisjoint(names.vouched_for):
            return True
        if named.isdisjoint(names.of_account):
            return False
        if names.role_arn is not None and named.isdisjoint(names.role):
            return False
        return not named.isdisjoint(names.itself) or _ROOT.match(names.arn) is not None


def in_partition(arn: str) -> str:
    """An ARN of another partition (``aws-cn``, ``aws-us-gov``) as that of the one there is here."""
    return _PARTITION.sub("arn:aws:", arn, count=1) if arn.startswith("arn:aws-") else arn


def principals_of_element(element: Any, ids: Mapping[str, str] = NO_IDS) -> tuple[Principals, bool]:
    """What a ``Principal`` or ``NotPrincipal`` names, and whether all of it was understood. ``ids``
    are the unique IDs of the users and roles that were meant by their ARNs."""
    if element == "*":
        return Principals(everybody=True), True
    if not isinstance(element, Mapping) or not element:
        return Principals(), False
    everybody, understood = False, True
    named: set[str] = set()
    for kind, values in element.items():
        for entry in values if isinstance(values, list) else [values]:
            if kind == "AWS" and entry == "*":
                everybody = True
            elif kind in KINDS and isinstance(entry, str) and is_principal(kind, entry):
                found = principal_label(kind, entry)
                unique_id = ids.get(found)
                named.add(found if unique_id is None else label_of_id(found, unique_id))
            else:
                understood = False
    return Principals(everybody, frozenset(named)), understood


def is_principal(kind: str, entry: str) -> bool:
    """Whether one name of a kind is one; ``*`` is none."""
    if kind != "AWS":
        return bool(entry) and "*" not in entry
    arn = in_partition(entry)
    patterns = (_ACCOUNT_ID, _ROOT, _NAMED, _UNIQUE_ID)
    return any(pattern.match(arn) is not None for pattern in patterns)


def principal_label(kind: str, entry: str) -> str:
    """The label of one name: that of an account's root is the account's."""
    if kind != "AWS":
        return label(kind, entry)
    arn = in_partition(entry)
    root = _ROOT.match(arn)
    return arn if root is None else root[1]
