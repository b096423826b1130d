"""Listing names, and the current objects of a bucket: ``Delimiter`` and ``DelimiterMaster``. Pure.

An algorithm is fed keys and values in byte order and says what to do with each, so that it runs
equally next to the data and over a stream of the RPC. Order is that of UTF-8 bytes, which for
Python strings is the order of code points.

Rules (reference/dmd-wire.md, section 8; Amazon S3 API reference, ListObjects):

1. A common prefix is a key up to and including the first delimiter behind the prefix; it counts as
   one entry, and the rest of its keys are skipped.
2. A listing is truncated when one more entry exists than was asked for, but never when none was
   asked for.
3. In a bucket, a key that contains NUL is a version of an object; ``DelimiterMaster`` lists none,
   and no delete markers.
4. A placeholder stands where the newest version was deleted and its successor has not taken its
   place yet. Then the next version is the object. (Our daemon leaves none behind; another one's
   store may hold them.)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from shared.records.projection import ListedObject

VERSION_SEPARATOR = "\0"


class Verdict(Enum):
    """What a listing says about a key that it was given."""

    ACCEPTED = auto()
    SKIPPED = auto()
    FINISHED = auto()


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. ``after`` excludes itself and everything before it."""

    prefix: str = ""
    delimiter: str = ""
    after: str = ""
    keys_max: int = 1000


class Delimiter:
    """One page of names; values are not looked at.

    ``contents`` has names with their values, in order; ``last_entry`` is where the next page goes
    on when ``is_truncated``.
    """

    def __init__(self, query: Query) -> None:
        self._query = query
        self.contents: list[tuple[str, Any]] = []
        self.common_prefixes: list[str] = []
        self.is_truncated = False
        self.last_entry = ""
        self._skip_to: str | None = None
        after = query.after
        # The common prefix that ``after`` lies in: the page before has printed it.
        self._printed = self.common_prefix(after) if after.startswith(query.prefix) else None

    @property
    def first_key(self) -> str:
        """Every key of the page is at least this one; the listing starts here."""
        query = self._query
        if not query.after:
            return query.prefix
        if self._printed is not None:
            # There may be no string behind a whole common prefix; then its keys are skipped one
            # by one.
            return max(query.prefix, successor(self._printed) or query.after)
        return max(query.prefix, self._behind(query.after))

    @property
    def end_key(self) -> str | None:
        """Every key of the page is below this one; None when there is no bound."""
        return successor(self._query.prefix)

    @property
    def skip_to(self) -> str | None:
        """The first key that can be of interest after the last one given, when that is far ahead:
        behind a common prefix, or behind the versions of a key."""
        return self._skip_to

    def offer(self, key: str, value: Any) -> Verdict:
        """Take one key, at least as great as ``first_key`` and all before it."""
        if self._skip_to is not None and key < self._skip_to:
            return Verdict.SKIPPED
        self._skip_to = None
        return self._add(key, value)

    def finish(self) -> None:
        """There are no more keys."""

    def common_prefix(self, name: str) -> str | None:
        """The common prefix that a name belongs to, None when it stands for itself."""
        delimiter = self._query.delimiter
        if not delimiter:
            return None
        index = name.find(delimiter, len(self._query.prefix))
        return None if index < 0 else name[: index + len(delimiter)]

    def _behind(self, after: str) -> str:
        """The first key that can follow ``after``."""
        return after + "\0"

    def _add(self, name: str, value: Any) -> Verdict:
        query = self._query
        if not name.startswith(query.prefix):
            return Verdict.SKIPPED
        common = self.common_prefix(name) if query.delimiter else None
        if common is not None and common == self._printed:
            return Verdict.SKIPPED
        if len(self.contents) + len(self.common_prefixes) >= query.keys_max:
            self.is_truncated = query.keys_max > 0
            return Verdict.FINISHED
        if common is None:
            self.contents.append((name, value))
            self.last_entry = name
            return Verdict.ACCEPTED
        self.common_prefixes.append(common)
        self.last_entry = common
        self._skip_to = successor(common)
        return Verdict.ACCEPTED if self._skip_to is not None else Verdict.FINISHED


class DelimiterMaster(Delimiter):
    """One page of the current objects of a bucket; values are ``ListedObject``."""

    def __init__(self, query: Query) -> None:
        super().__init__(query)
        self._awaited: str | None = None

    def offer(self, key: str, value: ListedObject) -> Verdict:
        """Take one key of the bucket's sub-level, versions included."""
        if self._skip_to is not None and key < self._skip_to:
            return Verdict.SKIPPED
        self._skip_to = None
        if VERSION_SEPARATOR in key:
            name = key.partition(VERSION_SEPARATOR)[0]
            if name != self._awaited:
                self._skip_to = name + "\x01"
                return Verdict.SKIPPED
        else:
            name = key
            if value.is_placeholder:
                self._awaited = name
                return Verdict.SKIPPED
        self._awaited = None
        if value.is_placeholder or value.is_delete_marker:
            return Verdict.SKIPPED
        return self._add(name, value)

    def _behind(self, after: str) -> str:
        return after + "\x01"  # behind the versions of the key, too


def successor(prefix: str) -> str | None:
    """The least string above every string that starts with ``prefix``; None when there is none.

    Surrogates are no characters, so U+D7FF is followed by U+E000.
    """
    for index in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[index])
        if code < 0x10FFFF:
            following = 0xE000 if code == 0xD7FF else code + 1
            return prefix[:index] + chr(following)
    return None
