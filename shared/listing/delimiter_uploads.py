"""Listing the multipart uploads of a bucket: ``Uploads``, in the RPC ``MPU``. Pure.

Rules (reference/dmd-wire.md, sections 5 and 8; Amazon S3 API reference, ListMultipartUploads):

1. Uploads come by key, and those of one key by age. Behind the marked key, or of that key behind
   the marked upload.
2. A marked upload that is not there any more has a place all the same if its ID tells it
   (``shared.records.upload``): whoever ends the uploads of each page loses none of the next.
3. A common prefix counts as one entry (``shared.listing.page``).
4. Keys are those of overviews, ``overview..|..<key>..|..<uploadId>``, taken apart from the right.

Theory of operation. The store's order is not that of keys: ``a!`` lies before ``a``, because what
follows ``a`` is the splitter, and ``!`` is less than that. So a page keeps the least entries that
it has met, one more than it was asked for, and is complete when none that is less can follow. That
could only be the upload of a key which the greatest of them begins with, and these are soon passed.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.listing.page import Page, Verdict, successor
from shared.records.names import SPLITTER
from shared.records.upload import OVERVIEW_PREFIX, ListedUpload, began_at, parse_overview_key

_SPLITTER_STARTS = tuple(SPLITTER[:length] for length in range(1, len(SPLITTER) + 1))


class UploadsQuery(msgspec.Struct, frozen=True):
    """What to list: keys behind ``key_marker``, and of that key, when ``upload_id_marker`` names
    one of its uploads, those behind it."""

    prefix: str = ""
    delimiter: str = ""
    key_marker: str = ""
    upload_id_marker: str = ""
    uploads_max: int = 1000


@dataclass(frozen=True, slots=True, order=True)
class _Entry:
    """An upload, or a common prefix, which has no ID. In the order of a page."""

    name: str
    initiated: str
    upload_id: str


class Uploads(Page):
    """One page. Give it keys in the store's order, with a ``ListedUpload`` each, then ``finish``.

    ``uploads`` has keys, upload IDs and values; ``next_key_marker`` and ``next_upload_id_marker``
    are those of the last entry, where the next page goes on when ``is_truncated``.
    """

    def __init__(self, query: UploadsQuery) -> None:
        # Delimiters are looked for in keys of objects, not in those that are offered.
        super().__init__(OVERVIEW_PREFIX + query.prefix, "", query.uploads_max)
        self._query = query
        self.uploads: list[tuple[str, str, ListedUpload]] = []
        self.next_key_marker = ""
        self.next_upload_id_marker = ""
        self._values: dict[_Entry, ListedUpload] = {}
        self._marked: list[_Entry] = []
        self._least: list[_Entry] = []
        # From this key on, nothing follows that is less than the greatest of the least.
        self._complete_at: str | None = None
        marker = query.key_marker
        self._printed = marker if marker and self._common(marker) == marker else None

    @property
    def first_key(self) -> str:
        query = self._query
        behind = None if self._printed is None else successor(self._printed)
        return OVERVIEW_PREFIX + max(query.prefix, behind or query.key_marker)

    def offer(self, key: str, value: ListedUpload) -> Verdict:
        if self._skip_to is not None and key < self._skip_to:
            return Verdict.SKIPPED
        self._skip_to = None
        self._last_key = key
        if self._complete_at is not None and key >= self._complete_at:
            self.finish()
            return Verdict.FINISHED
        name, upload_id = parse_overview_key(key)
        if not name.startswith(self._query.prefix) or not name:
            return Verdict.SKIPPED
        self._take(name, upload_id, value)
        return Verdict.ACCEPTED

    def finish(self) -> None:
        entries = [*self._behind_the_marked(), *self._least]
        self.is_truncated = len(entries) > self._keys_max > 0
        for entry in entries[: self._keys_max]:
            value = self._values.get(entry)
            if value is None:
                self.common_prefixes.append(entry.name)
            else:
                self.uploads.append((entry.name, entry.upload_id, value))
            self.next_key_marker, self.next_upload_id_marker = entry.name, entry.upload_id

    def result(self) -> dict[str, Any]:
        return {
            "Uploads": self.uploads,
            "CommonPrefixes": self.common_prefixes,
            "IsTruncated": self.is_truncated,
            "NextKeyMarker": self.next_key_marker,
            "NextUploadIdMarker": self.next_upload_id_marker,
        }

    def _entries(self) -> int:
        return len(self.uploads)

    def _common(self, name: str) -> str | None:
        delimiter, prefix = self._query.delimiter, self._query.prefix
        if not delimiter or not name.startswith(prefix):
            return None
        index = name.find(delimiter, len(prefix))
        return None if index < 0 else name[: index + len(delimiter)]

    def _take(self, name: str, upload_id: str, value: ListedUpload) -> None:
        marker, common = self._query.key_marker, self._common(name)
        if common is not None:
            if name > marker and common != self._printed:
                self._skip_to = _behind_common_prefix(common)
                self._keep(_Entry(common, "", ""))
            return
        entry = _Entry(name, value.initiated or "", upload_id)
        if name > marker:
            if self._keep(entry):
                self._values[entry] = value
        elif name == marker and self._query.upload_id_marker:
            self._marked.append(entry)
            self._values[entry] = value

    def _keep(self, entry: _Entry) -> bool:
        """Put an entry among the least ones; whether it is one, and was not there before."""
        least = self._least
        index = bisect_left(least, entry)
        if index > self._keys_max or (index < len(least) and least[index] == entry):
            return False
        least.insert(index, entry)
        if len(least) > self._keys_max + 1:
            self._values.pop(least.pop(), None)
        if len(least) > self._keys_max:
            self._complete_at = _complete_at(least[-1].name)
        return True

    def _behind_the_marked(self) -> list[_Entry]:
        """The uploads of the marked key behind the marked one; none when nobody knows where that
        was."""
        marked = sorted(self._marked)
        upload_id = self._query.upload_id_marker
        for index, entry in enumerate(marked):
            if entry.upload_id == upload_id:
                return marked[index + 1 :]
        began = began_at(upload_id, self._query.key_marker)
        if began is None:
            return []
        return marked[bisect_right(marked, _Entry(self._query.key_marker, began, upload_id)) :]


def _complete_at(name: str) -> str:
    """The store's key from which on no key of an upload is less than ``name``, or equal to it.

    Whatever is less and does not begin ``name``, lies before it in the store too.
    """
    behind = successor(SPLITTER)
    assert behind is not None
    starts = (name[:length] + behind for length in range(1, len(name) + 1))
    return OVERVIEW_PREFIX + max(name, *starts)


def _behind_common_prefix(common: str) -> str | None:
    """The store's key behind all uploads of a common prefix. None when an upload of another key can
    lie among them, because the common prefix is that key and the splitter, or begins so."""
    if SPLITTER in common or common.endswith(_SPLITTER_STARTS):
        return None
    behind = successor(common)
    return None if behind is None else OVERVIEW_PREFIX + behind
