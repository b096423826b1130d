"""Listing names, and the current objects of a bucket: ``Delimiter`` and ``DelimiterMaster``. Pure.

Rules (reference/dmd-wire.md, section 8; Amazon S3 API reference, ListObjects):

1. A common prefix counts as one entry (``shared.listing.page``).
2. A listing is truncated when one more entry exists than was asked for, but never when none was
   asked for.
3. In a bucket, a key that contains NUL is a version of an object; ``DelimiterMaster`` lists none,
   and no delete markers.
4. A page passes so many delete markers and no more: there may be millions of them.
5. A placeholder stands where the newest version was deleted and its successor has not taken its
   place yet. Then the next version is the object: the null key, which sorts before all others,
   belongs where its own version ID does. (Our daemon leaves none behind; another one's store may
   hold them.)
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec

from shared import limits
from shared.listing.page import (
    BEHIND_VERSIONS,
    VERSION_SEPARATOR,
    Page,
    Values,
    Verdict,
    successor,
)
from shared.records.projection_fields import ListedObject

_is_placeholder = attrgetter("is_placeholder")
_is_delete_marker = attrgetter("is_delete_marker")
_is_always_shown = attrgetter("is_always_shown")


class Query(msgspec.Struct, frozen=True):
    """What to list. ``after`` excludes itself and everything before it.

    ``hidden_max`` is how many delete markers a page passes; then it ends, and may be short, or
    empty. Where it ends may lie in a common prefix that was not listed yet, and a marker that lies
    in one says otherwise that it was. So it does not end there when ``within`` is None. Who gives a
    boolean is told of such an end, and says of ``after`` whether it is one.
    """

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    keys_max: int = 1000
    within: bool | None = None
    hidden_max: int = limits.LIST_HIDDEN_MAX


class Delimiter(Page):
    """One page of names; values are not looked at.

    ``contents`` has names with their values, in order; ``last_entry`` is where the next page goes
    on when ``is_truncated``.
    """

    def __init__(self, query: Query) -> None:
        super().__init__(query.prefix, query.delimiter, query.keys_max)
        self.contents: list[tuple[str, Any]] = []
        self.last_entry = ""
        self._after = after = query.after
        # The common prefix that ``after`` lies in: the page before has printed it.
        self._printed = None
        if after.startswith(query.prefix) and not query.within:
            self._printed = self.common_prefix(after)

    @property
    def first_key(self) -> str:
        if not self._after:
            return self._prefix
        if self._printed is not None:
            # There may be no string behind a whole common prefix; then its keys are skipped one
            # by one.
            return max(self._prefix, successor(self._printed) or self._after)
        return max(self._prefix, self._behind(self._after))

    def offer(self, key: str, value: Any) -> Verdict:
        if self._skip_to is not None and key < self._skip_to:
            return Verdict.SKIPPED
        self._skip_to = None
        self._last_key = key
        return self._add(key, value)

    def result(self) -> dict[str, Any]:
        result: dict[str, Any] = {
            "Contents": self.contents,
            "CommonPrefixes": self.common_prefixes,
            "IsTruncated": self.is_truncated,
        }
        if self.is_truncated:
            result["NextMarker"] = self.last_entry
        return result

    def _behind(self, after: str) -> str:
        """The first key that can follow ``after``."""
        return after + "\0"

    def _entries(self) -> int:
        return len(self.contents)

    def _add(self, name: str, value: Any) -> Verdict:
        if not name.startswith(self._prefix):
            return Verdict.SKIPPED
        common = self.common_prefix(name)
        if common is not None and common == self._printed:
            return Verdict.SKIPPED
        if len(self.contents) + len(self.common_prefixes) >= self._keys_max:
            return self._truncate()
        if common is None:
            self.contents.append((name, value))
            self.last_entry = name
            return Verdict.ACCEPTED
        self.common_prefixes.append(common)
        self.last_entry = common
        self._skip_to = successor(common)
        return Verdict.ACCEPTED if self._skip_to is not None else Verdict.FINISHED


class DelimiterMaster(Delimiter):
    """One page of the current objects of a bucket; values are ``ListedObject``.

    Keys are those of the bucket's sub-level, versions included.
    """

    def __init__(self, query: Query) -> None:
        super().__init__(query)
        self.ends_within = False
        self._query = query
        self._hidden = 0
        # The key of a placeholder that was met last, and its null key.
        self._awaited: str | None = None
        self._null: ListedObject | None = None

    def result(self) -> dict[str, Any]:
        return super().result() | ({"Within": True} if self.ends_within else {})

    @property
    def resume_key(self) -> str:
        if self._skip_to is not None or self._awaited is not None:
            return super().resume_key
        return self._behind(self._last_key.partition(VERSION_SEPARATOR)[0])

    @property
    def is_behind_versions(self) -> bool:
        name = self._last_key.partition(VERSION_SEPARATOR)[0]
        return self._awaited is None and self._skip_to in (None, self._behind(name))

    def offer_apart(self, keys: Sequence[str], values: Values) -> Verdict:
        found: Sequence[ListedObject] = values(range(len(keys)))
        # The versions of a placeholder are wanted.
        stop = next((i + 1 for i, each in enumerate(found) if each.is_placeholder), len(keys))
        return self.offer_many(keys[:stop], lambda indexes: [found[index] for index in indexes])

    def offer(self, key: str, value: ListedObject) -> Verdict:
        if self._skip_to is not None and key < self._skip_to:
            return Verdict.SKIPPED
        self._skip_to = None
        self._last_key = key
        name, separator, version_id = key.partition(VERSION_SEPARATOR)
        if name != self._awaited:
            if self._null is not None:
                return Verdict.FINISHED if self._is_full_with_null() else self.offer(key, value)
            if separator:
                self._skip_to = self._behind(name)
                return Verdict.SKIPPED
        if not separator:
            self._awaited = name if value.is_placeholder else None
            return Verdict.SKIPPED if value.is_placeholder else self._offer_object(name, value)
        if not version_id:
            self._null = value
            return Verdict.SKIPPED
        if self._null is not None and (self._null.version_id or "") < version_id:
            value = self._null
        self._awaited = self._null = None
        return Verdict.SKIPPED if value.is_placeholder else self._offer_object(name, value)

    def finish(self) -> None:
        self._is_full_with_null()

    def _is_full_with_null(self) -> bool:
        """List the null key that is held back, which is the only version; whether there is no room
        for it."""
        name, held = self._awaited, self._null
        self._awaited = self._null = None
        if name is None or held is None or held.is_placeholder:
            return False
        return self._offer_object(name, held) is Verdict.FINISHED

    def _offer_object(self, name: str, value: ListedObject) -> Verdict:
        """Take the latest version of an object."""
        return self._hide(1, name) if value.is_delete_marker else self._add(name, value)

    def _hide(self, count: int, name: str) -> Verdict:
        """Pass some delete markers; ``name`` was looked at last."""
        self._hidden += count
        if self._hidden < self._query.hidden_max:
            return Verdict.SKIPPED
        common = self.common_prefix(name)
        in_unlisted = common not in (None, self._printed, *self.common_prefixes[-1:])
        if in_unlisted and self._query.within is None:
            return Verdict.SKIPPED
        self.last_entry, self.ends_within = name, in_unlisted and self._keys_max > 0
        return self._truncate()

    def _offer_run(self, keys: Sequence[str], start: int, stop: int, values: Values) -> Verdict:
        """As ``offer`` for each, but the values of versions are not read, and what nearly all keys
        are, an object that is listed, takes no call."""
        if self._awaited is not None or self.common_prefix(keys[start]) is not None:
            return self._offer_each(keys, start, stop, values)
        masters: Sequence[int] = range(start, stop)
        if VERSION_SEPARATOR in "".join(keys[start:stop]):
            masters = [index for index in masters if VERSION_SEPARATOR not in keys[index]]
        taken = masters[: self.room]
        found: Sequence[ListedObject] = values(taken)
        hidden = 0
        if not all(map(_is_always_shown, set(map(type, found)))):
            if any(map(_is_placeholder, found)):
                return self._offer_each(keys, start, stop, values)
            hidden = sum(map(_is_delete_marker, found))
        listed = zip(_at(keys, taken), found, strict=True)
        if hidden < len(found):
            self.contents += (
                [row for row in listed if not row[1].is_delete_marker] if hidden else listed
            )
            self.last_entry = self.contents[-1][0]
        self._skip_to = None
        self._last_key = keys[stop - 1]
        if hidden and self._hide(hidden, keys[taken[-1]]) is Verdict.FINISHED:
            return Verdict.FINISHED
        if len(taken) == len(masters):
            return Verdict.SKIPPED
        return self._offer_each(keys, masters[len(taken)], stop, values)

    def _behind(self, after: str) -> str:
        return after + BEHIND_VERSIONS


def _at(keys: Sequence[str], indexes: Sequence[int]) -> Sequence[str]:
    """Some of the keys."""
    if isinstance(indexes, range):
        return keys[indexes.start : indexes.stop]
    return [keys[index] for index in indexes]
