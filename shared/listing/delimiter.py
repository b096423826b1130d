"""Listing the current objects of a bucket: the ``DelimiterMaster`` algorithm. Pure.

It is fed keys and values in byte order and says what to do with each, so that it runs equally over
a stream of the RPC and next to the data. Order is that of UTF-8 bytes, which for Python strings is
the order of code points.

Rules (reference/dmd-wire.md, section 8; Amazon S3 API reference, ListObjects):

* a key that contains NUL is a version of an object and not listed;
* delete markers are not listed;
* a common prefix is a key up to and including the first delimiter behind the prefix; it counts as
  one entry, and the rest of its keys are skipped;
* a listing is truncated when one more entry exists than was asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

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


class DelimiterMaster:
    """One page. ``is_hidden`` tells from a value whether its object is not to be listed."""

    def __init__(self, query: Query, is_hidden: Callable[[Any], bool]) -> None:
        self._query = query
        self._is_hidden = is_hidden
        self.contents: list[tuple[str, Any]] = []
        self.common_prefixes: list[str] = []
        self.is_truncated = False
        self.last_entry = ""
        self._skip_to: str | None = None
        after = query.after
        # The common prefix that ``after`` lies in: the page before has printed it.
        self._printed = self._common_prefix(after) if after.startswith(query.prefix) else None

    @property
    def first_key(self) -> str:
        """Every key of the page is at least this one; the listing starts here."""
        prefix, after, delimiter = self._query.prefix, self._query.after, self._query.delimiter
        start = prefix
        if after:
            start = max(start, after + "\x01" if not delimiter else self._start_after(after))
        return start

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
        if VERSION_SEPARATOR in key:
            self._skip_to = key.partition(VERSION_SEPARATOR)[0] + "\x01"
            return Verdict.SKIPPED
        if not key.startswith(self._query.prefix) or self._is_hidden(value):
            return Verdict.SKIPPED
        common = self._common_prefix(key)
        if common is not None and common == self._printed:
            return Verdict.SKIPPED
        if len(self.contents) + len(self.common_prefixes) >= self._query.keys_max:
            self.is_truncated = True
            return Verdict.FINISHED
        if common is None:
            self.contents.append((key, value))
            self.last_entry = key
        else:
            self.common_prefixes.append(common)
            self.last_entry = common
            self._skip_to = successor(common)
            if self._skip_to is None:
                return Verdict.FINISHED
        return Verdict.ACCEPTED

    def _common_prefix(self, key: str) -> str | None:
        delimiter = self._query.delimiter
        if not delimiter:
            return None
        index = key.find(delimiter, len(self._query.prefix))
        return None if index < 0 else key[: index + len(delimiter)]

    def _start_after(self, after: str) -> str:
        """Where a page with a delimiter starts: behind the whole common prefix, when ``after`` lies
        in one. (There may be no string behind it; then its keys are skipped one by one.)"""
        if self._printed is not None:
            return successor(self._printed) or after
        return after + "\x01"


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
