"""Whom a statement of a resource's policy is about. Pure.

Source: IAM user guide, "AWS JSON policy elements: Principal" and "NotPrincipal".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from s3front.policies.condition_operators import in_partition
from s3front.policies.question import CallerNames
from s3front.policies.verdict import How

ACCOUNT_ID: Final = re.compile(r"[0-9]{12}\Z")
ROOT: Final = re.compile(r"arn:aws:iam::([0-9]{12}):root\Z")
NAMED: Final = re.compile(
    r"arn:aws:(?:iam::[0-9]{12}:(?:user|role)/[^*?]+|sts::[0-9]{12}:"
    r"(?:assumed-role/[^*?/]+/[^*?/]+|federated-user/[^*?/]+))\Z"
)
UNIQUE_ID: Final = re.compile(r"A[A-Z]{3}[A-Z0-9]{12,28}\Z")
"""What AWS puts in the place of an identity that has been deleted: it names nobody any more."""


class Principals(msgspec.Struct, frozen=True):
    """``arns`` are those of users, roles and sessions; ``accounts`` are account IDs."""

    everybody: bool = False
    accounts: frozenset[str] = frozenset()
    arns: frozenset[str] = frozenset()
    canonical_ids: frozenset[str] = frozenset()
    federated: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()

    def how(self, names: CallerNames) -> How | None:
        """By what they name a caller most closely; None: not at all."""
        if (
            names.arn in self.arns
            or (names.federated is not None and names.federated in self.federated)
            or (names.service is not None and names.service in self.services)
        ):
            return How.ITSELF
        if self.everybody:
            return How.EVERYBODY
        if names.role_arn is not None and names.role_arn in self.arns:
            return How.ROLE
        return How.ACCOUNT if self._account(names) else None

    def whole(self, names: CallerNames) -> bool:
        """Whether they name all that a caller is: the account, the role, and itself. Those that a
        Deny leaves out have to be named so, as AWS has it."""
        if self.everybody:
            return True
        if names.federated in self.federated or names.service in self.services:
            return True
        if not self._account(names):
            return False
        if names.role_arn is not None and names.role_arn not in self.arns:
            return False
        return names.arn in self.arns or ROOT.match(names.arn) is not None

    def _account(self, names: CallerNames) -> bool:
        if names.account_id is None:
            return False
        return names.account_id in self.accounts or names.canonical_id in self.canonical_ids


def principals_of_element(element: Any) -> tuple[Principals, bool]:
    """What a ``Principal`` or ``NotPrincipal`` names, and whether all of it was understood."""
    if element == "*":
        return Principals(everybody=True), True
    if not isinstance(element, Mapping) or not element:
        return Principals(), False
    everybody, understood = False, True
    accounts: set[str] = set()
    arns: set[str] = set()
    others: dict[str, set[str]] = {"CanonicalUser": set(), "Federated": set(), "Service": set()}
    for kind, values in element.items():
        entries = values if isinstance(values, list) else [values]
        for entry in entries:
            if not isinstance(entry, str) or (kind != "AWS" and kind not in others):
                understood = False
            elif kind != "AWS":
                others[kind].add(entry)
            elif entry == "*":
                everybody = True
            else:
                arn = in_partition(entry)
                root = ROOT.match(arn)
                if root is not None:
                    accounts.add(root[1])
                elif ACCOUNT_ID.match(arn):
                    accounts.add(arn)
                elif NAMED.match(arn):
                    arns.add(arn)
                elif not UNIQUE_ID.match(arn):
                    understood = False
    named = Principals(
        everybody,
        frozenset(accounts),
        frozenset(arns),
        frozenset(others["CanonicalUser"]),
        frozenset(others["Federated"]),
        frozenset(others["Service"]),
    )
    return named, understood
