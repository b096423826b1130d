"""The policies of identities, read from their texts: checked when they are set, and kept when they
are used, as many identities have the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec
import orjson

from s3front.iam.iam_errors import IamError
from s3front.metadata.kept_records import KeptRecords
from s3front.policies.grammar import parse_policy, stored_policy
from s3front.policies.policy import Kind, Policy
from s3front.policies.policy_error import PolicyError
from s3front.policies.statement_principals import NO_IDS

KEPT_MAX: Final = 4096
"""Policies that are kept, and"""
KEPT_BYTES_MAX: Final = 32 * 1024 * 1024
"""the memory that they take, as far as can be said, all in all."""

_CHARACTER: Final = 4
"""Bytes of one, at most."""

_WHITE_SPACE_FREE: Final = 256

ALL_DENIED: Final = Policy({})
"""What stands in the place of a policy that cannot be had or read: it may deny anything."""


_Key: TypeAlias = tuple[Kind, str, tuple[tuple[str, str], ...]]


class _KeptPolicy(msgspec.Struct, frozen=True):
    policy: Policy
    size: int


class PolicyTexts:
    """See the module. What is kept is bounded: what was not asked for the longest time goes."""

    def __init__(self) -> None:
        self._kept: KeptRecords[_Key, _KeptPolicy] = KeptRecords(KEPT_MAX, KEPT_BYTES_MAX)

    def policy(
        self, text: str, kind: Kind = Kind.IDENTITY, ids: Mapping[str, str] = NO_IDS
    ) -> Policy:
        """The policy of a text, that means those who have these unique IDs (``Policy.ids``).
        What is no document denies everything."""
        key = (kind, text, tuple(ids.items()))
        found = self._kept.get(key)
        if found is None:
            policy = _read(text, kind, ids)
            found = _KeptPolicy(policy, policy.memory + _CHARACTER * len(text))
            self._kept.keep(key, found)
        return found.policy


def check_policy(text: str, kind: Kind) -> Policy:
    """The policy of a text; refuses what is none of a kind. Raises MalformedPolicyDocument."""
    try:
        return parse_policy(text, kind)
    except PolicyError as error:
        raise IamError("MalformedPolicyDocument", error.message) from error


def kept_text(text: str) -> str:
    """The text of a checked policy, as it is kept: as it was given, unless most of it is white
    space, which quotas do not count and memory does."""
    return _without_blanks(text) if _is_mostly_blank(text) else text


def policy_size(text: str) -> int:
    """What counts for quotas: white space does not (IAM user guide, "IAM and AWS STS quotas").
    Where most of a text is white space, and that cannot be left out, half of the text counts."""
    size = _size(text)
    return max(size, len(_without_blanks(text)) // 2) if _is_mostly_blank(text) else size


def _size(text: str) -> int:
    return len("".join(text.split()))


def _is_mostly_blank(text: str) -> bool:
    size = _size(text)
    return len(text) - size > 2 * size + _WHITE_SPACE_FREE


def _without_blanks(text: str) -> str:
    try:
        document = json.loads(text)
    except ValueError:
        return text  # it is refused for that, or was stored by others
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _read(text: str, kind: Kind, ids: Mapping[str, str]) -> Policy:
    try:
        document: Any = orjson.loads(text)
    except ValueError:
        return ALL_DENIED
    return stored_policy(document, kind, ids) if isinstance(document, dict) else ALL_DENIED
