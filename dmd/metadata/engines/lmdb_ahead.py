"""Having the disk read the leaves of a range together, before they are needed one by one.

Theory of operation. The library maps the file, and a page that is not in memory is a fault: the
process waits for the disk, and does so for each leaf of a listing's page, with a few objects each.
So who is going to read many keys says so again and again (``ReadAhead.expect``), which costs a look
at a counter of the system's. When the thread has waited for the disk since the last time, the
leaves of what is left are looked up in the index, and the system is told to read them, all at once.

It is only advice. The index is that of the newest meta page, and commits may use its pages again
meanwhile: what is no page of an index any more ends the look, and a wrong number costs a read.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from resource import RUSAGE_THREAD, getrusage
from typing import Final

from dmd.metadata.engines.lmdb_format import Branch, Meta, PageError, parse_page
from dmd.metadata.engines.lmdb_pages import PageFile, newest_meta

_LEAVES_MAX: Final = 1024
"""What is read at once: 4 MiB."""

_GAP_PAGES: Final = 3
"""With at most so many pages between them, leaves are read in one piece."""


class ReadAhead:
    """For one reader, in one thread, of the store that ``descriptor`` has open."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._faults: int | None = None

    def expect(
        self, lower: bytes, upper: bytes, count: int, *, on_disk: bool
    ) -> Callable[[], None] | None:
        """The first ``count`` keys of a range are going to be read (``base.Reader``)."""
        faults = getrusage(RUSAGE_THREAD).ru_majflt
        before, self._faults = self._faults, faults
        if not on_disk and (before is None or faults == before):
            return None
        return self._begin(lower, upper, count)

    def _begin(self, lower: bytes, upper: bytes, count: int) -> Callable[[], None] | None:
        """Begin to read; what waits until the last leaf is there, and most others with it."""
        try:
            meta, _ = newest_meta(self._descriptor)
            if meta is None:
                return None
            numbers = leaves(PageFile(self._descriptor, meta.page_bytes), meta, lower, upper, count)
        except PageError:
            return None
        start, size = 0, meta.page_bytes
        for first, last in _pieces(sorted(numbers)):
            start = first * size
            length = (last + 1 - first) * size
            os.posix_fadvise(self._descriptor, start, length, os.POSIX_FADV_WILLNEED)
        return partial(_wait, self._descriptor, start)


def _wait(descriptor: int, offset: int) -> None:
    with suppress(OSError):
        os.pread(descriptor, 1, offset)


def leaves(file: PageFile, meta: Meta, lower: bytes, upper: bytes, count: int) -> list[int]:
    """The numbers of the leaves that have the first ``count`` keys of a range, in order; some more
    or fewer, as it is not told how many keys a leaf has. Raises PageError."""
    tree = meta.records
    if tree.root is None or tree.depth < 2:
        return []
    wanted = min(_LEAVES_MAX, 2 + count * tree.leaf_pages // max(1, tree.entries))
    return list(islice(_leaves_below(file, tree.root, tree.depth, lower, upper), wanted))


def _leaves_below(
    file: PageFile, number: int, depth: int, lower: bytes, upper: bytes
) -> Iterator[int]:
    """The leaves below a page of the index that is so many levels above nothing."""
    page = parse_page(file.read(number), number)
    if not isinstance(page, Branch):
        raise PageError("it is no page of the index")
    begin = bisect_right(page.keys, lower) - 1
    for index in range(begin, len(page.children)):
        if index > begin and page.keys[index] >= upper:
            return
        if depth == 2:
            yield page.children[index]
        else:
            yield from _leaves_below(file, page.children[index], depth - 1, lower, upper)


def _pieces(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Pages, in order, in pieces of the first and the last number."""
    first = last = -1
    for number in numbers:
        if first < 0:
            first = number
        elif number > last + _GAP_PAGES + 1:
            yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last
