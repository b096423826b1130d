"""``dmd dump --salvage``: what can still be read of a damaged metadata store.

Theory of operation. The tree is walked by the newest meta page that is of use, and every record
that is reached is one of the store, if its checksum says so. A damaged page leaves a *gap*, the
range of keys that its parent gives it. What was below it lies somewhere else in the file, in pages
that nothing reaches any more; so, when there are gaps, all pages are looked through that are
neither reached nor in the free list, byte by byte: a record carries a checksum over its key and
its value, and a piece of anything else passes for one once in four billion times. Of a key that is
found more than once, the highest revision counts. When the free list is damaged too, or both meta
pages, old copies of pages cannot be told from current ones: what was deleted may be back then.

Nobody writes to the store meanwhile; ``dump`` sees to that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dmd.errors import StartupError
from dmd.jobs.record_walk import counters_of, shown
from dmd.metadata import record_keys, stored
from dmd.metadata.engines.lmdb import FILE_NAME
from dmd.metadata.engines.lmdb_format import (
    META_PAGES,
    Meta,
    PageError,
    nodes_anywhere,
    page_head,
)
from dmd.metadata.engines.lmdb_pages import Damage, PageFile, PageView, choose_meta, newest_meta
from dmd.metadata.engines.lmdb_survey import Pages

_PAGE_BYTES_USUAL: Final = 4096
_PROBLEMS_TOLD_MAX: Final = 100

Progress = Callable[[int], None]


@dataclass(slots=True)
class Salvage:
    """What was found, when the walk is over. ``lost`` is a number of records, -1 when not even
    that is known; ``beside`` counts those that were found outside of the tree; ``uncertain``: some
    of these may have been deleted long ago."""

    records: int = 0
    beside: int = 0
    lost: int = 0
    uncertain: bool = False
    problems: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        """What an operator has to know."""
        yield from self.problems[:_PROBLEMS_TOLD_MAX]
        if len(self.problems) > _PROBLEMS_TOLD_MAX:
            yield f"and {len(self.problems) - _PROBLEMS_TOLD_MAX} more places like these"
        if self.beside:
            yield f"{self.beside} records were found beside the damage"
        if self.uncertain:
            yield "some of those may have been deleted or replaced since: look through them"
        lost = "an unknown number of" if self.lost < 0 else str(self.lost)
        yield f"{self.records} records are whole, {lost} records are lost"


Found = tuple[bytes, stored.Stored]


def salvage(metadata: Path, report: Salvage, progress: Progress) -> Iterator[Found]:
    """The records, those of the tree in order, then the others. Raises StartupError, OSError."""
    path = metadata / FILE_NAME
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StartupError(f"{path}: {error.strerror}") from error
    try:
        yield from _Search(descriptor, report, progress).run()
    finally:
        os.close(descriptor)


def saved_counters(metadata: Path) -> dict[str, tuple[int, str]]:
    """The store's own counters as far as they can be read; ``load`` finds them out from records."""
    with (metadata / FILE_NAME).open("rb") as file:
        meta, _ = choose_meta(file.fileno())
        if meta is None:
            return {}
        view = PageView(PageFile(file.fileno(), meta.page_bytes), meta, lambda _damage: None)
        try:
            return counters_of(view)
        except stored.CorruptRecordError:
            return {}


class _Search:
    def __init__(self, descriptor: int, report: Salvage, progress: Progress) -> None:
        self._descriptor = descriptor
        self._report = report
        self._progress = progress
        self._walked = 0
        """Entries of the tree that are whole, the daemon's own included."""
        self._gaps: list[tuple[bytes, bytes | None]] = []
        self._found_beside: dict[bytes, stored.Stored] = {}

    def run(self) -> Iterator[Found]:
        meta, problems = newest_meta(self._descriptor)
        self._report.problems += problems
        if meta is None:
            self._report.uncertain = True
            self._gaps.append((b"", None))
            self._search(PageFile(self._descriptor, _PAGE_BYTES_USUAL), None, set())
        else:
            yield from self._tree(meta)
        for key, entry in sorted(self._found_beside.items()):
            if key.startswith(record_keys.RECORDS_LOWER):
                yield key, entry
                self._report.records += 1
            self._report.beside += 1
        certain = meta is not None and not self._report.uncertain
        found = self._walked + self._report.beside
        self._report.lost = max(meta.records.entries - found, 0) if meta and certain else -1

    def _tree(self, meta: Meta) -> Iterator[Found]:
        file = PageFile(self._descriptor, meta.page_bytes)
        pages = Pages(meta)
        view = PageView(file, meta, self._gap)
        for key, value in view.walk(pages.use).items(b"", None):
            self._progress(1)
            if key == record_keys.FORMAT_KEY:
                self._walked += 1
                continue
            try:
                entry = stored.unpack(key, value)
            except stored.CorruptRecordError:
                self._gap(Damage(0, "a record does not match its checksum", key, key + b"\0"))
                continue
            self._walked += 1
            if key.startswith(record_keys.RECORDS_LOWER):
                yield key, entry
                self._report.records += 1
        self._look_for_a_lost_commit(file, meta)
        if self._gaps:
            known = PageView(file, meta, self._free_list_is_damaged)
            for page in known.free_pages(pages.use):
                pages.free(page)
            self._report.uncertain |= bool(pages.twice)
            self._search(file, PageView(file, meta, lambda _damage: None), set(pages.unknown()))

    def _look_for_a_lost_commit(self, file: PageFile, meta: Meta) -> None:
        """Where only one meta page is of use, the other one may have been the newer."""
        if not self._report.problems:
            return
        if any(page.transaction == meta.transaction + 1 for page in _headers(file)):
            self._report.uncertain = True
            self._report.problems.append(
                f"read as of transaction {meta.transaction}: what was committed last is missing"
            )

    def _gap(self, damage: Damage) -> None:
        self._gaps.append((damage.lower, damage.upper))
        place = f"page {damage.page}: " if damage.page else ""
        self._report.problems.append(f"{place}{damage.reason}, {_shown_range(damage)}")

    def _free_list_is_damaged(self, damage: Damage) -> None:
        self._report.uncertain = True
        self._report.problems.append(f"page {damage.page}: {damage.reason} (in the free list)")

    def _search(self, file: PageFile, view: PageView | None, among: set[int]) -> None:
        """Look for records in pages: those that nothing uses, wherever they have got to; or all of
        them, for gaps alone, when it is not known which those are."""
        moved = {page.claimed for page in _headers(file) if page.claimed != page.number}
        for page in _headers(file):
            # What lies where a lost page was, while that one lies elsewhere, is another one.
            lost = page.claimed in among or (page.number in among and page.number not in moved)
            if not (lost or self._report.uncertain):
                continue
            try:
                data = file.read(page.number)
            except PageError:
                continue
            for key, value in self._nodes(file, data):
                if (lost or self._in_gap(key)) and (view is None or view.get(key) is None):
                    self._offer(key, value)

    def _nodes(self, file: PageFile, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, value in nodes_anywhere(data):
            if isinstance(value, bytes):
                yield key, value
                continue
            try:
                yield key, file.read_long(value)
            except PageError:
                continue

    def _in_gap(self, key: bytes) -> bool:
        return any(low <= key and (high is None or key < high) for low, high in self._gaps)

    def _offer(self, key: bytes, value: bytes) -> None:
        try:
            entry = stored.unpack(key, value)
        except stored.CorruptRecordError:
            return
        known = self._found_beside.get(key)
        if known is None or entry.revision > known.revision:
            self._found_beside[key] = entry


@dataclass(frozen=True, slots=True)
class _Header:
    """Where a page is, where it says that it is, and of which transaction."""

    number: int
    claimed: int
    transaction: int


def _headers(file: PageFile) -> Iterator[_Header]:
    for number in range(META_PAGES, file.pages()):
        with contextlib.suppress(PageError):
            yield _Header(number, *page_head(file.read(number)))


def _shown_range(damage: Damage) -> str:
    if damage.upper == damage.lower + b"\0":
        return f"of the record {_shown_key(damage.lower)}"
    upper = "the end" if damage.upper is None else _shown_key(damage.upper)
    return f"with keys from {_shown_key(damage.lower)} to {upper}"


def _shown_key(key: bytes) -> str:
    try:
        return (
            shown(*record_keys.split(key))
            if key.startswith(record_keys.RECORDS_LOWER)
            else repr(key)[2:-1]
        )
    except UnicodeDecodeError:
        return repr(key)[2:-1]
