"""The conditions of a policy as it is set: whether they are such as can be asked. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from s3front.policies.condition_block import condition_test, texts_of

_NAMES: Final = frozenset(
    (
        "StringEquals",
        "StringNotEquals",
        "StringEqualsIgnoreCase",
        "StringNotEqualsIgnoreCase",
        "StringLike",
        "StringNotLike",
        "NumericEquals",
        "NumericNotEquals",
        "NumericLessThan",
        "NumericLessThanEquals",
        "NumericGreaterThan",
        "NumericGreaterThanEquals",
        "DateEquals",
        "DateNotEquals",
        "DateLessThan",
        "DateLessThanEquals",
        "DateGreaterThan",
        "DateGreaterThanEquals",
        "Bool",
        "BinaryEquals",
        "BinaryNotEquals",
        "IpAddress",
        "NotIpAddress",
        "ArnEquals",
        "ArnNotEquals",
        "ArnLike",
        "ArnNotLike",
        "Null",
    )
)
"""Operators, as they have to be written when a policy is set."""


class Condition(msgspec.Struct, frozen=True):
    """One key under one operator; ``base`` is the operator without what goes before and after."""

    operator: str
    base: str
    key: str
    values: list[str]

    def understood(self, *, variables: bool) -> bool:
        """Whether its values are such as its operator compares."""
        try:
            condition_test(self.operator, self.key, self.values, deny=False, variables=variables)
        except ValueError:
            return False
        return True


class ConditionsError(ValueError):
    """An element has not the form of conditions; ``operator`` is the name of one that there is
    not, where that is why."""

    def __init__(self, operator: str | None = None) -> None:
        super().__init__(operator)
        self.operator = operator


def conditions_of(element: Any) -> Iterator[Condition]:
    """The conditions of an element. Raises ``ConditionsError``."""
    if not isinstance(element, Mapping):
        raise ConditionsError
    for operator, keys in element.items():
        base = base_operator(operator)
        if base is None:
            raise ConditionsError(operator)
        if not isinstance(keys, Mapping):
            raise ConditionsError
        for key, values in keys.items():
            try:
                yield Condition(operator, base, key, texts_of(values))
            except ValueError as error:
                raise ConditionsError from error


def base_operator(operator: str) -> str | None:
    """An operator without ``ForAllValues:`` or ``ForAnyValue:`` and ``IfExists``; None: there is no
    such operator."""
    base = operator
    for prefix in ("ForAllValues:", "ForAnyValue:"):
        if operator.startswith(prefix):
            base = operator.removeprefix(prefix)
            break
    bare = base.removesuffix("IfExists")
    if bare not in _NAMES or (bare == "Null" and bare != base):
        return None
    return bare
