"""Whether a policy is public, as AWS means it. Pure.

A policy is taken for public, unless each statement that allows something allows it to fixed
principals, or binds the request to fixed values of a key that tells who asks or where from. A value
is fixed without wildcards and variables. A range of addresses counts as fixed up to a size.

Sources: Amazon S3 user guide, "Blocking public access to your Amazon S3 storage", "The meaning of
'public'"; GetBucketPolicyStatus.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from s3front.policies.condition_block import texts_of
from s3front.policies.condition_grammar import (
    Condition,
    ConditionsError,
    conditions_of,
)
from s3front.policies.condition_operators import address_range
from s3front.policies.policy import Policy
from s3front.policies.statement_principals import principals_of_element

_BINDING_KEYS: Final = frozenset(
    (
        "aws:principalaccount",
        "aws:principalarn",
        "aws:principalorgid",
        "aws:sourceaccount",
        "aws:sourcearn",
        "aws:sourceowner",
        "aws:sourcevpc",
        "aws:sourcevpce",
        "aws:userid",
        "s3:dataaccesspointaccount",
        "s3:dataaccesspointarn",
        "s3:x-amz-server-side-encryption-aws-kms-key-id",
    )
)
_EQUALITY: Final = frozenset(
    ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike")
)
_PREFIX_BITS_MIN: Final = {4: 8, 6: 32}
"""Of a range of addresses that is not everybody's, by the version of the protocol."""

_ANYBODY: Final = "anonymous"
"""What ``aws:userid`` is of everybody who does not sign."""

_OF_ACCESS_POINTS: Final = re.compile(r"arn:[a-z-]+:s3:[^:*?$]*:[0-9]{12}:accesspoint/\*\Z")
"""Any access point of one account."""


def is_public(policy: Policy) -> bool:
    """Whether a statement allows something to everybody."""
    return bool(public_statements(policy))


def public_statements(policy: Policy) -> list[int]:
    """The statements that allow something to everybody, counted from 0. What cannot be understood
    allows nothing (``s3front.policies.statements``), and so makes nothing public."""
    written = policy.document.get("Statement")
    statements = written if isinstance(written, list) else [written]
    return [index for index, each in enumerate(statements) if _is_public(each)]


def _is_public(statement: Any) -> bool:
    if not isinstance(statement, Mapping) or statement.get("Effect") != "Allow":
        return False
    if "NotPrincipal" not in statement:
        principals, _ = principals_of_element(statement.get("Principal"))
        if not principals.everybody:
            return False
    try:
        return not any(map(_binds, conditions_of(statement.get("Condition", {}))))
    except ConditionsError:
        return False


def _binds(condition: Condition) -> bool:
    """Whether a condition holds for fixed values alone, and so never for a request without one."""
    operator = condition.operator
    if operator.endswith("IfExists") or operator.startswith("ForAllValues:"):
        return False
    key, values = condition.key.lower(), texts_of(condition.values)
    if key == "aws:sourceip":
        return condition.base == "IpAddress" and all(map(_is_narrow, values))
    if key not in _BINDING_KEYS or condition.base not in _EQUALITY:
        return False
    return all(_is_fixed(key, value) for value in values)


def _is_narrow(value: str) -> bool:
    try:
        found = address_range(value)
    except ValueError:
        return True  # No address is in it.
    return found.prefixlen >= _PREFIX_BITS_MIN[found.version]


def _is_fixed(key: str, value: str) -> bool:
    if key == "s3:dataaccesspointarn" and _OF_ACCESS_POINTS.match(value):
        return True
    if key == "aws:userid" and value.lower() == _ANYBODY:
        return False
    return not any(sign in value for sign in ("*", "?", "${"))
