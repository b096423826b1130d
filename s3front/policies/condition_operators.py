"""The operators of conditions: what a value of a request is compared with. Pure.

Source: IAM user guide, "IAM JSON policy elements: Condition operators".
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

import msgspec

from s3front.policies.policy_variables import Piece, Template, Variable, patterns_of, pieces_of
from s3front.policies.question import Question
from s3front.policies.statement_principals import in_partition
from s3front.policies.wildcards import Pattern, describes, pattern_of, tokens_of
from s3front.policies.work import ARN, VALUE

Comparison = Callable[[str, Question], bool | None]
"""Whether a value of the request is, or is to, one of the policy's as the operator says; None
where that cannot be said, as the value is none of its kind or that of a variable is missing. Raises
OutOfWorkError."""


class Operator(msgspec.Struct, frozen=True):
    """``make`` takes the texts of a policy's values and whether they may have variables, and raises
    ``ValueError`` where one is none of its kind. ``negated``: holds where the comparison does
    not."""

    make: Callable[[Sequence[str], bool], Comparison]
    negated: bool = False


def _text(*, wildcards: bool = False, folded: bool = False) -> Callable[..., Comparison]:
    def make(texts: Sequence[str], variables: bool) -> Comparison:
        patterns = patterns_of(texts, variables=variables, wildcards=wildcards, folded=folded)
        if patterns.templates or folded:
            return patterns.matched_by
        fixed = patterns.fixed
        return lambda value, question: fixed.matched_by(value, question.work)

    return make


_ARN_PARTS: Final = 6


def _arn(texts: Sequence[str], variables: bool) -> Comparison:
    """Each of the six parts of an ARN is compared by itself: no ``*`` reaches over a colon, but for
    those in the last part."""
    wanted = [
        tuple(_part(part, variables) for part in _arn_parts(in_partition(text)))
        for text in texts
        if text != "*"
    ]
    any_arn = "*" in texts

    def compare(value: str, question: Question) -> bool | None:
        parts = value.split(":", _ARN_PARTS - 1)
        if len(parts) != _ARN_PARTS:
            return None
        if any_arn:
            return True
        question.work.spend(ARN * len(wanted))
        answer: bool | None = False
        for patterns in wanted:
            found = _described(patterns, parts, question)
            if found:
                return True
            if found is None:
                answer = None
        return answer

    return compare


def _part(text: str, variables: bool) -> Pattern | Template:
    """The pattern of a part of an ARN."""
    pieces: list[Piece] = pieces_of(text) if variables else [*tokens_of(text)]
    plain = [piece for piece in pieces if not isinstance(piece, Variable)]
    if len(plain) < len(pieces):
        return Template.of(pieces, folded=False)
    return pattern_of(plain)


def _described(
    patterns: Sequence[Pattern | Template], parts: Sequence[str], question: Question
) -> bool | None:
    """Whether each describes its part; None where it might, had a variable a value."""
    answer: bool | None = True
    for pattern, part in zip(patterns, parts, strict=True):
        if isinstance(pattern, Template):
            found = pattern.matched_by(part, question)
        else:
            found = describes(pattern, part, question.work)
        if found is False:
            return False
        if found is None:
            answer = None
    return answer


def _arn_parts(text: str) -> list[str]:
    """Colons inside a variable separate nothing."""
    parts: list[str] = []
    begin = at = 0
    while len(parts) < _ARN_PARTS - 1:
        colon = text.find(":", at)
        if colon < 0:
            break
        opened = text.find("${", at, colon)
        closed = -1 if opened < 0 else text.find("}", opened)
        if closed >= 0:
            at = closed + 1
        else:
            parts.append(text[begin:colon])
            begin = at = colon + 1
    parts.append(text[begin:])
    if len(parts) < _ARN_PARTS and text.endswith("*"):
        # A ``*`` at the end of a part reaches over the colons behind it.
        parts += ["*"] * (_ARN_PARTS - len(parts))
    if len(parts) < _ARN_PARTS:
        raise ValueError(text)
    return parts


_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,2})?\Z")


def _number(text: str) -> Decimal:
    if _NUMBER.match(text) is None:
        raise ValueError(text)
    return Decimal(text)


_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}(?:-[0-9]{2}(?:[Tt][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?"
    r"(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?)?)?)?\Z"
)


def _time(text: str) -> Decimal:
    """Seconds since 1970, of which a policy may also write the number."""
    if _TIME.match(text) is None:
        return _number(text)
    moment = datetime.fromisoformat(f"{text}-01" if len(text) == 7 else text.upper())
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return Decimal(str(moment.timestamp()))


def _ordered(
    read: Callable[[str], Decimal], holds: Callable[[Decimal, Decimal], bool]
) -> Callable[[Sequence[str], bool], Comparison]:
    def make(texts: Sequence[str], variables: bool) -> Comparison:
        wanted = [read(text) for text in texts]

        def compare(value: str, question: Question) -> bool | None:
            question.work.spend(VALUE * len(wanted))
            try:
                known = read(value)
            except ValueError:
                return None
            return True in [holds(known, each) for each in wanted]

        return compare

    return make


def _bool(texts: Sequence[str], variables: bool) -> Comparison:
    wanted = [_truth(text) for text in texts]
    if None in wanted:
        raise ValueError(texts)

    def compare(value: str, question: Question) -> bool | None:
        question.work.spend(len(value))
        truth = _truth(value)
        return None if truth is None else truth in wanted

    return compare


_TRUTHS: Final = {"true": True, "false": False}


def _truth(text: str) -> bool | None:
    return _TRUTHS.get(text.lower())


def _binary(texts: Sequence[str], variables: bool) -> Comparison:
    wanted = [b64decode(text, validate=True) for text in texts]

    def compare(value: str, question: Question) -> bool | None:
        question.work.spend(len(value) + VALUE * len(wanted))
        try:
            return b64decode(value, validate=True) in wanted
        except (binascii.Error, ValueError):
            return None

    return compare


@lru_cache(1024)
def _address(text: str) -> tuple[int, int] | None:
    """Its version and its number; None for what is no address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if address.version == 6 else None
    known = address if mapped is None else mapped
    return known.version, int(known)


def address_range(text: str) -> IPv4Network | IPv6Network:
    """The range of addresses that a text is, or the one address. Raises ``ValueError``."""
    prefix = text.partition("/")[2]
    if prefix and not prefix.isdecimal():
        raise ValueError(text)
    return ip_network(text, strict=False)


def _network(text: str) -> tuple[int, int, int]:
    """The version, the number and the mask of a range of addresses."""
    network = address_range(text)
    return network.version, int(network.network_address), int(network.netmask)


def _in_network(texts: Sequence[str], variables: bool) -> Comparison:
    wanted = [_network(text) for text in texts]

    def compare(value: str, question: Question) -> bool | None:
        question.work.spend(VALUE * len(wanted))
        address = _address(value)
        if address is None:
            return None
        version, number = address
        for of_version, network, mask in wanted:
            if number & mask == network and version == of_version:
                return True
        return False

    return compare


_ORDERS: Final[dict[str, tuple[Callable[[Any, Any], bool], bool]]] = {
    "equals": (lambda known, wanted: known == wanted, False),
    "notequals": (lambda known, wanted: known == wanted, True),
    "lessthan": (lambda known, wanted: known < wanted, False),
    "lessthanequals": (lambda known, wanted: known <= wanted, False),
    "greaterthan": (lambda known, wanted: known > wanted, False),
    "greaterthanequals": (lambda known, wanted: known >= wanted, False),
}

_EQUALS: Final = _text()
_EQUALS_FOLDED: Final = _text(folded=True)
_LIKE: Final = _text(wildcards=True)

OPERATORS: Final[dict[str, Operator]] = {
    "stringequals": Operator(_EQUALS),
    "stringnotequals": Operator(_EQUALS, negated=True),
    "stringequalsignorecase": Operator(_EQUALS_FOLDED),
    "stringnotequalsignorecase": Operator(_EQUALS_FOLDED, negated=True),
    "stringlike": Operator(_LIKE),
    "stringnotlike": Operator(_LIKE, negated=True),
    **{
        f"numeric{name}": Operator(_ordered(_number, holds), no)
        for name, (holds, no) in _ORDERS.items()
    },
    **{
        f"date{name}": Operator(_ordered(_time, holds), no) for name, (holds, no) in _ORDERS.items()
    },
    "bool": Operator(_bool),
    "binaryequals": Operator(_binary),
    "binarynotequals": Operator(_binary, negated=True),
    "ipaddress": Operator(_in_network),
    "notipaddress": Operator(_in_network, negated=True),
    "arnequals": Operator(_arn),
    "arnlike": Operator(_arn),
    "arnnotequals": Operator(_arn, negated=True),
    "arnnotlike": Operator(_arn, negated=True),
}
"""By their names in lower case; ``Null`` is none of them, as it compares nothing."""
