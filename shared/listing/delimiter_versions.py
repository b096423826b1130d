"""Listing all versions of a bucket's objects: ``DelimiterVersions``. Pure.

Rules (reference/dmd-wire.md, sections 5, 6 and 8; Amazon S3 API reference, ListObjectVersions):

1. Entries come by name, and of one name the newest first: version IDs sort that way.
2. The master, at the key itself, is a copy of the newest version: a version is listed once,
   however many records of it there are.
3. The null version may be the master, a version of its own ID that says ``isNull``, or the null
   key (the name and an empty version ID); the null key is listed where its own version ID belongs,
   and not at all beside a master that is the null version: there is one at most.
4. A placeholder is not listed; the next version is then the latest.
5. Delete markers are versions like others.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from shared.listing.page import BEHIND_VERSIONS, VERSION_SEPARATOR, Page, Verdict, successor
from shared.records.projection_fields import ListedObject

NULL: Final = "null"
"""What the null version is called outside, as a marker, too."""


class VersionsQuery(msgspec.Struct, frozen=True):
    """What to list: everything behind version ``version_id_marker`` of ``key_marker``, or behind
    all versions of ``key_marker`` without the former. Version IDs are internal ones, or ``null``.
    """

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    version_id_marker: str | None = None
    keys_max: int = 1000


class ListedVersion(msgspec.Struct, frozen=True):
    """One version. ``version_id`` is internal, None for an object that was never versioned."""

    name: str
    version_id: str | None
    is_latest: bool
    value: ListedObject

    @property
    def marker(self) -> str:
        """What names this version outside."""
        return NULL if self.version_id is None or self.value.is_null else self.version_id


class DelimiterVersions(Page):
    """One page. Give it keys in order with ``offer``, then ``finish``."""

    def __init__(self, query: VersionsQuery) -> None:
        super().__init__(query.prefix, query.delimiter, query.keys_max)
        self._query = query
        self.versions: list[ListedVersion] = []
        self.next_key_marker = ""
        self.next_version_id_marker: str | None = None
        self._name: str | None = None
        self._has_latest = False
        self._master_id: str | None = None
        self._master_is_null = False
        self._null: ListedObject | None = None
        self._null_id: str | None = None
        # Behind which version of ``key_marker`` to begin; NULL until the null version is met.
        self._behind = query.version_id_marker
        marker = query.key_marker
        self._printed = self.common_prefix(marker) if marker.startswith(query.prefix) else None

    @property
    def first_key(self) -> str:
        query = self._query
        marker = query.key_marker
        if not marker:
            return query.prefix
        if self._printed is not None:
            return max(query.prefix, successor(self._printed) or marker)
        start = marker if query.version_id_marker is not None else marker + BEHIND_VERSIONS
        return max(query.prefix, start)

    def offer(self, key: str, value: ListedObject) -> Verdict:
        if self._skip_to is not None and key < self._skip_to:
            return Verdict.SKIPPED
        self._skip_to = None
        self._last_key = key
        name, separator, version_id = key.partition(VERSION_SEPARATOR)
        if name != self._name:
            if self._end_name() is Verdict.FINISHED:
                return Verdict.FINISHED
            self._begin(name)
        if not name.startswith(self._prefix):
            return Verdict.SKIPPED
        if not separator:
            return self._offer_master(value)
        if not version_id:
            self._null = value
            return Verdict.SKIPPED
        if self._flush_null(version_id) is Verdict.FINISHED:
            return Verdict.FINISHED
        if version_id in (self._master_id, self._null_id) or value.is_placeholder:
            return Verdict.SKIPPED
        if self._was_listed(version_id, value, is_null=False):
            self._skip_to_marker(version_id)
            return self._pass(version_id, value)
        return self._add(version_id, value)

    def finish(self) -> None:
        self._end_name()

    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = {
            "Versions": [
                (version.name, version.version_id, version.is_latest, version.value)
                for version in self.versions
            ],
            "CommonPrefixes": self.common_prefixes,
            "IsTruncated": self.is_truncated,
        }
        if self.is_truncated:
            result["NextKeyMarker"] = self.next_key_marker
            if self.next_version_id_marker is not None:
                result["NextVersionIdMarker"] = self.next_version_id_marker
        return result

    def _entries(self) -> int:
        return len(self.versions)

    def _begin(self, name: str) -> None:
        self._name = name
        self._master_id = None
        self._master_is_null = False
        self._null_id = None
        # Who goes on behind a version has seen the latest one.
        self._has_latest = self._goes_on()

    def _end_name(self) -> Verdict:
        """There are no more keys of the name; what was held back is listed."""
        return self._flush_null(None)

    def _goes_on(self) -> bool:
        """Whether this is the key of the marker, of which the page before has listed something."""
        return self._name == self._query.key_marker and self._query.version_id_marker is not None

    def _offer_master(self, value: ListedObject) -> Verdict:
        if value.is_placeholder:
            return Verdict.SKIPPED
        self._master_id = value.version_id
        self._master_is_null = value.is_null or value.version_id is None
        if self._goes_on():
            # A master comes first, whatever its ID is: the page before has listed it.
            if self._behind == NULL and self._master_is_null:
                self._behind = value.version_id or ""
            return self._pass(value.version_id, value)
        return self._add(value.version_id, value)

    def _flush_null(self, before: str | None) -> Verdict:
        """List the null key that is held back, when its place comes before that version."""
        held = self._null
        if held is None or (before is not None and (held.version_id or "") > before):
            return Verdict.SKIPPED
        self._null = None
        if held.is_placeholder or self._master_is_null:
            return Verdict.SKIPPED  # a version of the same ID has its own place
        self._null_id = held.version_id
        if held.version_id is not None and held.version_id == self._master_id:
            return Verdict.SKIPPED
        if self._was_listed(held.version_id, held, is_null=True):
            return self._pass(held.version_id, held)
        return self._add(held.version_id, held)

    def _add(self, version_id: str | None, value: ListedObject) -> Verdict:
        name = self._name
        assert name is not None
        common = self.common_prefix(name)
        if common is not None and common == self._printed:
            return Verdict.SKIPPED
        if len(self.versions) + len(self.common_prefixes) >= self._keys_max:
            return self._truncate()
        if common is not None:
            return self._add_prefix(common)
        listed = ListedVersion(name, version_id, not self._has_latest, value)
        self._has_latest = True
        self.versions.append(listed)
        self.next_key_marker = name
        # Not NULL for one that has an ID: whatever a store holds, a page goes on behind the last.
        self.next_version_id_marker = NULL if version_id is None else version_id
        return Verdict.ACCEPTED

    def _add_prefix(self, common: str) -> Verdict:
        self.common_prefixes.append(common)
        self.next_key_marker, self.next_version_id_marker = common, None
        self._printed = common
        self._skip_to = successor(common)
        return Verdict.ACCEPTED if self._skip_to is not None else Verdict.FINISHED

    def _pass(self, version_id: str | None, value: ListedObject) -> Verdict:
        """Leave out a version that the page before has listed; the last one is ``_behind``."""
        return Verdict.SKIPPED

    def _skip_to_marker(self, version_id: str) -> None:
        """Pass the versions up to the marked one: a key may have more of them than pages have
        entries. The null key came before them all."""
        behind = self._behind or ""
        if behind != NULL and behind > version_id:
            self._skip_to = f"{self._name}{VERSION_SEPARATOR}{behind}"

    def _was_listed(self, version_id: str | None, value: ListedObject, *, is_null: bool) -> bool:
        """Whether the page before has listed this version, which is not the master."""
        if not self._goes_on():
            return False
        if self._behind == NULL:
            if is_null or value.is_null:
                # From here on the version ID tells; without one, everything else is older.
                self._behind = version_id or ""
            return True
        if self._behind == self._master_id:
            return False  # nothing but the master
        # A null key without an ID comes directly behind the master.
        return version_id is None or version_id <= (self._behind or "")
