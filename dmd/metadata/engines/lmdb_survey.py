"""Whether the pages of a store are whole, and each is used exactly once.

A page that is in use and in the free list as well is damage to come: the next commits write over
it. One that is in neither is lost space, and most likely hangs below a damaged page.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from dmd.errors import DamagedMetadataError
from dmd.metadata.engines.lmdb_format import META_PAGES, Meta
from dmd.metadata.engines.lmdb_pages import PageFile, PageView, choose_meta

_IN_USE: Final = 1
_FREE: Final = 2
_SHOWN_MAX: Final = 20

Problems = Callable[[str], None]
"""Is told what is wrong, a line each."""


class Pages:
    """Which pages of a state are used, for what."""

    def __init__(self, meta: Meta) -> None:
        self._kinds = bytearray(meta.last_page + 1)
        self._kinds[:META_PAGES] = bytes([_IN_USE] * META_PAGES)
        self.twice: set[int] = set()

    def use(self, page: int, count: int) -> None:
        """Note pages of the trees."""
        for number in range(page, page + count):
            self._note(number, _IN_USE)

    def free(self, page: int) -> None:
        """Note a page of the free list."""
        self._note(page, _FREE)

    def unknown(self) -> list[int]:
        """The pages that nothing uses."""
        return [page for page, kind in enumerate(self._kinds) if not kind]

    def _note(self, page: int, kind: int) -> None:
        if not 0 <= page < len(self._kinds) or self._kinds[page]:
            self.twice.add(page)
        else:
            self._kinds[page] = kind


def survey(view: PageView, tell: Problems, progress: Callable[[int], None]) -> Pages:
    """Go through all pages of a state whose damage is told to ``tell`` too; the view's own
    ``on_damage`` has to return."""
    meta = view.meta
    pages = Pages(meta)
    count = 0
    for _ in view.walk(pages.use).items(b"", None):
        count += 1
        progress(1)
    if count != meta.records.entries:
        tell(f"there are {count} of {meta.records.entries} records")
    for page in view.free_pages(pages.use):
        pages.free(page)
    for page in sorted(pages.twice)[:_SHOWN_MAX]:
        tell(f"page {page} is used twice, or in the free list and in use")
    if unknown := pages.unknown():
        tell(f"{len(unknown)} pages, from page {unknown[0]} on, belong to nothing")
    return pages


def check_whole(path: Path) -> None:
    """Go through a store that nobody writes to. Raises DamagedMetadataError at the first thing
    that is wrong, OSError."""

    def refuse(problem: object) -> None:
        raise DamagedMetadataError(path, problem)

    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        meta, problems = choose_meta(descriptor)
        if meta is None or problems:
            refuse("; ".join(problems))
        assert meta is not None
        view = PageView(PageFile(descriptor, meta.page_bytes), meta, refuse)
        survey(view, refuse, lambda _count: None)
    finally:
        os.close(descriptor)
