"""What the pages of all listings have in common. Pure.

An algorithm is fed keys and values in byte order and says what to do with each, so that it runs
equally next to the data and over a stream of the RPC. Order is that of UTF-8 bytes, which for
Python strings is the order of code points.

Who reads a store in pieces gives them whole (``offer_many``), and goes on at ``resume_key``: the
page asks for the values of many keys at once, and only for those that it needs. Who reads a stream
gives one key after the other (``offer``), and may leave it when ``skip_to`` names a key.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import Any

VERSION_SEPARATOR = "\0"
BEHIND_VERSIONS = "\x01"
"""What follows a key in the first string behind its versions."""

Values = Callable[[Sequence[int]], Sequence[Any]]
"""The values of some of the keys that were offered together, by their indexes."""


class Verdict(Enum):
    """What a listing says about a key that it was given."""

    ACCEPTED = auto()
    SKIPPED = auto()
    FINISHED = auto()


class Page(ABC):
    """One page: entries, which are of the algorithm's own kind, and common prefixes.

    A common prefix is a key up to and including the first delimiter behind the prefix; it counts as
    one entry, and the rest of its keys are skipped.
    """

    def __init__(self, prefix: str, delimiter: str, keys_max: int) -> None:
        self.common_prefixes: list[str] = []
        self.is_truncated = False
        self._prefix = prefix
        self._delimiter = delimiter
        self._keys_max = keys_max
        self._skip_to: str | None = None
        self._last_key = ""

    @property
    @abstractmethod
    def first_key(self) -> str:
        """Every key of the page is at least this one; the listing starts here."""

    @property
    def end_key(self) -> str | None:
        """Every key of the page is below this one; None when there is no bound."""
        return successor(self._prefix)

    @property
    def skip_to(self) -> str | None:
        """The first key that can be of interest after the last one given, when that is far ahead:
        behind a common prefix, or behind the versions of a key."""
        return self._skip_to

    @property
    def resume_key(self) -> str:
        """The least key that can be of interest after the last one given."""
        return self._last_key + "\0" if self._skip_to is None else self._skip_to

    @property
    def is_behind_versions(self) -> bool:
        """Whether the page wants no versions of the last key, nor of those that follow: who reads a
        store may leave them out, and give the keys to ``offer_apart``."""
        return False

    @property
    def room(self) -> int:
        """How many entries the page still takes."""
        return max(0, self._keys_max - self._entries() - len(self.common_prefixes))

    @abstractmethod
    def offer(self, key: str, value: Any) -> Verdict:
        """Take one key, at least as great as ``first_key`` and all before it."""

    def offer_many(self, keys: Sequence[str], values: Values) -> Verdict:
        """Take the next keys, as ``offer`` takes each; FINISHED when the page is complete."""
        ahead = self._read_ahead(keys, values)
        index = 0
        while index < len(keys):
            if self._skip_to is not None and keys[index] < self._skip_to:
                index = bisect_left(keys, self._skip_to, index)
            elif index in ahead:
                if self.offer(keys[index], ahead[index]) is Verdict.FINISHED:
                    return Verdict.FINISHED
                index += 1
            else:
                # The first key, at least: who belongs to a common prefix and was not read ahead
                # follows one that is not listed.
                stop = max(self._end_of_run(keys, index), index + 1)
                if self._offer_run(keys, index, stop, values) is Verdict.FINISHED:
                    return Verdict.FINISHED
                index = stop
        return Verdict.SKIPPED

    def offer_apart(self, keys: Sequence[str], values: Values) -> Verdict:
        """Take the next keys without the versions of each; not all of them, perhaps: the next one
        that is wanted is at ``resume_key``."""
        return self.offer_many(keys, values)

    def finish(self) -> None:  # noqa: B027  # most hold nothing back
        """There are no more keys."""

    @abstractmethod
    def result(self) -> Any:
        """What the method ``list`` answers with the complete page (docs/metadata-protocol.md)."""

    def common_prefix(self, name: str) -> str | None:
        """The common prefix that a name belongs to, None when it stands for itself."""
        if not self._delimiter:
            return None
        index = name.find(self._delimiter, len(self._prefix))
        return None if index < 0 else name[: index + len(self._delimiter)]

    @abstractmethod
    def _entries(self) -> int:
        """How many entries there are besides the common prefixes."""

    def _offer_run(self, keys: Sequence[str], start: int, stop: int, values: Values) -> Verdict:
        """Take some keys that belong to no common prefix, or one that does."""
        run = range(start, stop)
        for index, value in zip(run, values(run), strict=True):
            if self.offer(keys[index], value) is Verdict.FINISHED:
                return Verdict.FINISHED
        return Verdict.SKIPPED

    def _offer_each(self, keys: Sequence[str], start: int, stop: int, values: Values) -> Verdict:
        """Take some keys one by one: only the values of those that are not passed are read."""
        for index in range(start, stop):
            if self._skip_to is not None and keys[index] < self._skip_to:
                continue
            if self.offer(keys[index], values([index])[0]) is Verdict.FINISHED:
                return Verdict.FINISHED
        return Verdict.SKIPPED

    def _truncate(self) -> Verdict:
        """There is more than was asked for; never when nothing was."""
        self.is_truncated = self._keys_max > 0
        return Verdict.FINISHED

    def _end_of_run(self, keys: Sequence[str], start: int) -> int:
        """Where the keys end that begin at ``start`` and belong to no common prefix."""
        delimiter, behind = self._delimiter, len(self._prefix)
        if delimiter:
            for index in range(start, len(keys)):
                if keys[index].find(delimiter, behind) >= 0:
                    return index
        return len(keys)

    def _read_ahead(self, keys: Sequence[str], values: Values) -> dict[int, Any]:
        """The values of the keys that are the first of a common prefix, by index."""
        if not self._delimiter:
            return {}
        common: str | None = None
        firsts: list[int] = []
        for index, key in enumerate(keys):
            if common is None or not key.startswith(common):
                common = self.common_prefix(key)
                if common is not None:
                    firsts.append(index)
        firsts = firsts[: self.room + 1]
        return dict(zip(firsts, values(firsts), strict=True))


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
