"""Listing a range of any sub-level as it is: ``Basic``. Pure.

The original's algorithm of that name (reference/dmd-wire.md, section 8): entries are listed in the
order of their keys, all of them, or those whose record has a certain custom attribute.
"""

from __future__ import annotations

from typing import Any

import msgspec

from shared.listing.page import Page, Verdict


class BasicQuery(msgspec.Struct, frozen=True):
    """What to list: keys from ``first`` to below ``end`` (None: no bound), and of these the ones
    whose record has a custom attribute named ``attribute``, or beginning with
    ``attribute_prefix``; all, when both are None. The answer has keys, records, or both."""

    first: str = ""
    end: str | None = None
    keys_max: int = 10_000
    attribute: str | None = None
    attribute_prefix: str | None = None
    with_keys: bool = True
    with_values: bool = True


class _Document(msgspec.Struct, frozen=True):
    attributes: dict[str, msgspec.Raw] | None = msgspec.field(default=None, name="customAttributes")


_decode = msgspec.json.Decoder(_Document).decode


class Basic(Page):
    """One page of keys and records (JSON text); ``entries`` has them in order."""

    def __init__(self, query: BasicQuery) -> None:
        super().__init__("", "", query.keys_max)
        self._query = query
        self.entries: list[tuple[str, str]] = []

    @property
    def first_key(self) -> str:
        return self._query.first

    @property
    def end_key(self) -> str | None:
        return self._query.end

    def offer(self, key: str, value: Any) -> Verdict:
        self._last_key = key
        if self.room == 0:
            return Verdict.FINISHED
        if not self._is_wanted(value):
            return Verdict.SKIPPED
        self.entries.append((key, value))
        return Verdict.ACCEPTED

    def result(self) -> list[Any]:
        if not self._query.with_values:
            return [key for key, _ in self.entries]
        if not self._query.with_keys:
            return [record for _, record in self.entries]
        return [{"key": key, "value": record} for key, record in self.entries]

    def _entries(self) -> int:
        return len(self.entries)

    def _is_wanted(self, record: str) -> bool:
        name, prefix = self._query.attribute, self._query.attribute_prefix
        if name is None and prefix is None:
            return True
        try:
            attributes = _decode(record).attributes or {}
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            return False  # what is no such document has no attributes
        if name is not None and name in attributes:
            return True
        return prefix is not None and any(each.startswith(prefix) for each in attributes)
