"""The policies of identities, read from their texts, and kept: many have the same."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import orjson

from s3front.metadata.kept_records import KeptRecords
from s3front.policies.policy import Policy

KEPT_MAX: Final = 4096
"""Policies that are kept, and"""
KEPT_CHARACTERS_MAX: Final = 4 * 1024 * 1024
"""the text of which they are made, all in all."""

NOTHING: Final = Policy({"Version": "2012-10-17", "Statement": []})
"""It gives nothing."""


class _KeptPolicy(msgspec.Struct, frozen=True):
    policy: Policy
    size: int


class PolicyTexts:
    """See the module. What is kept is bounded: what was not asked for the longest time goes."""

    def __init__(self) -> None:
        self._kept: KeptRecords[str, _KeptPolicy] = KeptRecords(KEPT_MAX, KEPT_CHARACTERS_MAX)

    def policy(self, text: str) -> Policy:
        """The policy of a text; it gives nothing where that cannot be understood."""
        found = self._kept.get(text)
        if found is None:
            found = _KeptPolicy(_read(text), len(text))
            self._kept.keep(text, found)
        return found.policy


def _read(text: str) -> Policy:
    try:
        document: Any = orjson.loads(text)
    except ValueError:
        return NOTHING
    return Policy(document) if isinstance(document, dict) else NOTHING
