"""Feeding the page of a listing from the store.

A page is read in slices, each from a short snapshot of its own, and other calls run between them:
a page that has to pass a million hidden keys delays nobody, nor does one that has to be read from
the disk. What a page skips (a common prefix, the versions of a key), it seeks past, unless it is so
little that reading it costs less. Where each key has versions to be passed, the store is told so,
and makes many seeks at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from dmd.metadata import record_keys
from dmd.metadata.engines.base import Engine, Reader
from shared.listing.page import BEHIND_VERSIONS, Page, Verdict

_BEHIND_VERSIONS = BEHIND_VERSIONS.encode()

_SLICE_KEYS = 1000
"""Keys that are looked at in one snapshot: a few milliseconds."""

_READ_FIRST = 32
_READ_MAX = 256
_SEEK_KEYS = 16
"""A seek, and what is done once for what was read, cost about as much as passing so many keys."""

_APART_KEYS = 4
"""When it is made for many keys at once, a seek costs no more than passing so many."""

_SEEKS = 32
"""Keys that are read alone, when passing others costs more, before a look at what follows them."""

Items = Sequence[tuple[bytes, bytes]]
Decode = Callable[[Items], Sequence[Any]]
"""What a listing is to know of stored values, which are given with their keys."""


class _Stride:
    """How many keys to read at a time: many while most of them matter, one and then a seek where
    a key is followed by many that are passed, its versions or the rest of a common prefix."""

    def __init__(self) -> None:
        self.keys = self._apart = _READ_FIRST
        self._seeks_left = 0
        self._fetched = 0

    @property
    def alone(self) -> bool:
        """Whether keys are read one by one."""
        return self.keys == 1

    def count(self, room: int, *, apart: bool) -> int:
        """How many keys to read for a page that still takes so many entries, perhaps apart from
        each other. One more than it takes tells whether it is the last."""
        if apart:
            return min(room + 1, self._apart)
        return 1 if self.alone else min(self.keys, max(room + 1, _SEEK_KEYS))

    def expect(
        self, reader: Reader, bounds: record_keys.Range, count: int
    ) -> Callable[[], None] | None:
        """Say that so many keys are wanted of a range (``Reader.expect``).

        Once the disk has some of them, it will have those behind them too: they are fetched before
        the last of what was fetched is read. That is but for pages that pass many hidden keys.
        """
        on_disk = 0 < self._fetched < min(self.keys, count)
        fetching = reader.expect(*bounds, count, on_disk=on_disk)
        if fetching is not None:
            self._fetched = count
        return fetching

    def learn(self, read: int, used: int, *, apart: bool, behind_versions: bool) -> None:
        """``used`` of the keys that were read mattered; the rest, in the end, were versions."""
        self._fetched -= read
        if apart:
            self._seeks_left = 0
            self.keys = _SEEK_KEYS
            self._apart = min(self._apart * 2, _READ_MAX)
        elif self._seeks_left:
            self._seeks_left -= 1
            self.keys = 1 if self._seeks_left else _SEEK_KEYS
        elif read >= used * (_APART_KEYS if behind_versions else _SEEK_KEYS):
            self.keys, self._seeks_left = 1, _SEEKS
        else:
            self.keys = min(self.keys * 4, _READ_MAX)
            self._apart = _READ_FIRST


async def read_page(engine: Engine, sub_level: Sequence[str], page: Page, decode: Decode) -> None:
    """Feed a page its range. Raises what ``decode`` raises, and InvalidArgument for a sub-level
    that cannot be."""
    base = record_keys.prefix(sub_level)
    options = {"gte": page.first_key}
    if page.end_key is not None:
        options["lt"] = page.end_key
    lower, upper = record_keys.range_of(sub_level, options)
    stride = _Stride()
    while lower < upper:
        with engine.snapshot() as reader:
            following, fetching = _slice(reader, base, (lower, upper), page, decode, stride)
        if following is None:
            return
        lower = following
        if fetching is None:
            await asyncio.sleep(0)  # whoever waits has a turn
        else:
            await asyncio.get_running_loop().run_in_executor(None, fetching)
    page.finish()


def _slice(
    reader: Reader,
    base: bytes,
    bounds: record_keys.Range,
    page: Page,
    decode: Decode,
    stride: _Stride,
) -> tuple[bytes | None, Callable[[], None] | None]:
    """Feed a page some keys; where to go on, None when the page is complete, and what waits for the
    keys from there on, when the disk has them."""
    lower, upper = bounds
    start = len(base)
    left = _SLICE_KEYS
    while left > 0 and lower < upper:
        apart = stride.alone and page.is_behind_versions
        count = stride.count(page.room, apart=apart)
        if not stride.alone:
            fetching = stride.expect(reader, (lower, upper), page.room + 1)
            if fetching is not None:
                return lower, fetching
        if apart:
            items = reader.first_apart(lower, upper, count, _BEHIND_VERSIONS)
        else:
            items = reader.first(lower, upper, count)
        used = 0

        def values(indexes: Sequence[int], items: Items = items) -> Sequence[Any]:
            nonlocal used
            used += len(indexes)
            if isinstance(indexes, range):
                return decode(items[indexes.start : indexes.stop])
            return decode([items[index] for index in indexes])

        names = [key[start:].decode() for key, _ in items]
        if apart:
            verdict = page.offer_apart(names, values)
        elif stride.alone and items:
            verdict = page.offer(names[0], decode(items)[0])
            used = 1
        else:
            verdict = page.offer_many(names, values)
        if verdict is Verdict.FINISHED:
            return None, None
        if len(items) < (1 if apart else count):
            return upper, None
        behind_versions = page.is_behind_versions
        stride.learn(count, used, apart=apart, behind_versions=behind_versions)
        left -= count
        lower = base + page.resume_key.encode()
    return lower, None
