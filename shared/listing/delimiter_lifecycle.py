"""What lifecycle rules may act on: ``DelimiterCurrent``, ``DelimiterNonCurrent`` and
``DelimiterOrphanDeleteMarker``. Pure.

Rules (reference/dmd-wire.md, section 8; Amazon S3 user guide, "Lifecycle configuration elements"):

1. Which versions there are, their order, and which is the latest, is as in the listings of objects
   and of versions (``shared.listing.delimiter``, ``shared.listing.delimiter_versions``).
2. A page looks at so many entries and no more, whether it lists them or not; then it is truncated,
   and may be short, or empty. The next one goes on behind the last that was looked at.
3. A version became noncurrent when its successor, the next newer version, was last modified: its
   stale date. The version of the marker is read again to learn that. Without it, the first version
   behind it is not listed.
4. A delete marker is an orphan when it is the only version of its key.
5. What has no last-modified is never listed. Dates are compared as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from shared import limits
from shared.listing.delimiter import DelimiterMaster, Query
from shared.listing.delimiter_versions import NULL, DelimiterVersions, VersionsQuery
from shared.listing.page import BEHIND_VERSIONS, Values, Verdict
from shared.records.lifecycle import LifecycleObject


class Criteria(msgspec.Struct, frozen=True):
    """What is listed: versions that were modified, or became noncurrent, strictly before a moment,
    and whose data is not in a certain location; any, when these are None. ``scanned_max`` is how
    many entries a page looks at."""

    before: str | None = None
    excluded_data_store: str | None = None
    scanned_max: int = limits.LIFECYCLE_SCANNED_MAX

    def is_old(self, date: str | None) -> bool:
        if not date:
            return False
        return self.before is None or date < self.before

    def is_elsewhere(self, value: LifecycleObject) -> bool:
        """Whether the data is not where it is not wanted."""
        return self.excluded_data_store is None or value.data_store != self.excluded_data_store


class DelimiterCurrent(DelimiterMaster):
    """One page of current objects. Looked at are all objects, and delete markers. There are no
    common prefixes in these listings, whatever the query says."""

    def __init__(self, query: Query, criteria: Criteria) -> None:
        super().__init__(replace(query, delimiter=""))
        self._criteria = criteria
        self._scanned = 0

    def result(self) -> dict[str, Any]:
        return _result(self.contents, self.is_truncated, NextMarker=self.last_entry)

    def _offer_object(self, name: str, value: Any) -> Verdict:
        criteria = self._criteria
        if self._scanned >= criteria.scanned_max:
            return self._truncate()
        listed = not value.is_delete_marker and criteria.is_old(value.last_modified)
        if listed and criteria.is_elsewhere(value):
            if not self.room:
                return self._truncate()
            self.contents.append((name, value))
        self._scanned += 1
        self.last_entry = name
        return Verdict.ACCEPTED

    def _offer_run(self, keys: Sequence[str], start: int, stop: int, values: Values) -> Verdict:
        return self._offer_each(keys, start, stop, values)


class DelimiterNonCurrent(DelimiterVersions):
    """One page of noncurrent versions, delete markers among them; ``contents`` has name, version
    ID, stale date and value. Looked at are versions, the latest of each key, too."""

    def __init__(self, query: VersionsQuery, criteria: Criteria) -> None:
        super().__init__(replace(query, delimiter=""))
        self.contents: list[tuple[str, str | None, str, LifecycleObject]] = []
        self._criteria = criteria
        self._scanned = 0
        # Of the version that was looked at last; None before the first one of a key.
        self._last_modified: str | None = None

    def result(self) -> dict[str, Any]:
        return _result(
            self.contents,
            self.is_truncated,
            NextKeyMarker=self.next_key_marker,
            NextVersionIdMarker=self.next_version_id_marker,
        )

    def _entries(self) -> int:
        return len(self.contents)

    def _begin(self, name: str) -> None:
        super()._begin(name)
        self._last_modified = None

    def _pass(self, version_id: str | None, value: Any) -> Verdict:
        if (version_id or "") == self._behind:
            self._last_modified = value.last_modified
        return super()._pass(version_id, value)

    def _add(self, version_id: str | None, value: Any) -> Verdict:
        criteria, name, stale_date = self._criteria, self._name, self._last_modified
        assert name is not None
        if self._scanned >= criteria.scanned_max:
            return self._truncate()
        if stale_date is not None and criteria.is_old(stale_date) and criteria.is_elsewhere(value):
            if not self.room:
                return self._truncate()
            self.contents.append((name, version_id, stale_date, value))
        self._scanned += 1
        self._last_modified = value.last_modified
        self.next_key_marker = name
        self.next_version_id_marker = NULL if version_id is None else version_id
        return Verdict.ACCEPTED


class DelimiterOrphanDeleteMarker(DelimiterVersions):
    """One page of delete markers that are the only version of their key. Looked at are keys."""

    def __init__(self, query: Query, criteria: Criteria) -> None:
        super().__init__(VersionsQuery(query.prefix, "", query.after, None, query.keys_max))
        self.contents: list[tuple[str, LifecycleObject]] = []
        self._criteria = criteria
        self._scanned = 0
        self._only: LifecycleObject | None = None
        self._has_version = False

    def result(self) -> dict[str, Any]:
        return _result(self.contents, self.is_truncated, NextMarker=self.next_key_marker)

    def _entries(self) -> int:
        return len(self.contents)

    def _begin(self, name: str) -> None:
        super()._begin(name)
        self._only, self._has_version = None, False

    def _add(self, version_id: str | None, value: Any) -> Verdict:
        if self._scanned >= self._criteria.scanned_max:
            return self._truncate()
        is_only = not self._has_version and value.is_delete_marker
        self._only, self._has_version = value if is_only else None, True
        if not is_only:
            self._skip_to = f"{self._name}{BEHIND_VERSIONS}"
        return Verdict.ACCEPTED

    def _end_name(self) -> Verdict:
        verdict = super()._end_name()  # the null key may be one more version
        self._skip_to = None  # that was said of the name that ends
        if verdict is Verdict.FINISHED or not self._has_version:
            return verdict
        name, only = self._name, self._only
        assert name is not None
        if only is not None and self._criteria.is_old(only.last_modified):
            if not self.room:
                return self._truncate()
            self.contents.append((name, only))
        self._scanned += 1
        self.next_key_marker = name
        return Verdict.ACCEPTED

    def _offer_run(self, keys: Sequence[str], start: int, stop: int, values: Values) -> Verdict:
        return self._offer_each(keys, start, stop, values)


def _result(contents: list[Any], is_truncated: bool, **markers: str | None) -> dict[str, Any]:
    result: dict[str, Any] = {"Contents": contents, "IsTruncated": is_truncated}
    if is_truncated:
        result |= {name: marker for name, marker in markers.items() if marker is not None}
    return result
