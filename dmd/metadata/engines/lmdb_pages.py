"""Reading the file of an LMDB environment without the library: what jobs and salvage stand on.

A ``PageView`` is one state of a store, by one of its meta pages. It doubts every page
(``lmdb_format``) and says what is wrong instead of ending the process; ``on_damage`` decides
whether a walk stops there or goes on behind it. The caller sees to it that nobody uses the pages of
that state again meanwhile (``lmdb_reader``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Final

import msgspec

from dmd.metadata.engines.base import Ranged
from dmd.metadata.engines.lmdb_format import (
    HEADER_BYTES,
    META_BYTES,
    META_PAGES,
    Branch,
    Leaf,
    Long,
    Meta,
    PageError,
    Tree,
    check_long,
    check_long_page,
    parse_free_record,
    parse_meta,
    parse_page,
)

KEY_BYTES_MAX: Final = 1978
_SHOWN_KEY_BYTES: Final = 60
_FIRST: Final = b""

_ATTEMPTS_MAX: Final = 1000
"""How often a store is looked at that changes under the look; a commit takes longer than one."""


class Damage(msgspec.Struct, frozen=True):
    """A page that cannot be used. It, and what is below it, held keys with
    ``lower <= key < upper``; None: to the end."""

    page: int
    reason: str
    lower: bytes = _FIRST
    upper: bytes | None = None

    def __str__(self) -> str:
        upper = "the end" if self.upper is None else shown_key(self.upper)
        return (
            f"page {self.page}: {self.reason}; it held keys from {shown_key(self.lower)} to {upper}"
        )


def shown_key(key: bytes) -> str:
    """A physical key, or what fits of it, as text of one line."""
    return repr(key[:_SHOWN_KEY_BYTES])[2:-1] or "the beginning"


class PageFile:
    """The pages of an open file."""

    def __init__(self, descriptor: int, page_bytes: int) -> None:
        self._descriptor = descriptor
        self.page_bytes = page_bytes

    def read(self, number: int, count: int = 1) -> bytes:
        """The bytes of pages; raises PageError when there are not so many."""
        length = count * self.page_bytes
        try:
            data = os.pread(self._descriptor, length, number * self.page_bytes)
        except OSError as error:
            raise PageError(f"it cannot be read: {error.strerror}") from error
        if len(data) != length:
            raise PageError("the file ends before it")
        return data

    def read_long(self, value: Long) -> bytes:
        """A value that has pages of its own; raises PageError.

        Its node may be damaged: no more is read than its own first page confirms, and no more than
        there is.
        """
        check_long(value, self.page_bytes)
        if value.page + value.pages > self.pages():
            raise PageError("the file ends before it")
        check_long_page(self.read(value.page), value)
        return self.read(value.page, value.pages)[HEADER_BYTES : HEADER_BYTES + value.size]

    def pages(self) -> int:
        """How many whole pages there are."""
        return os.fstat(self._descriptor).st_size // self.page_bytes


def read_metas(descriptor: int) -> list[Meta | PageError]:
    """Both meta pages, the first one first, each of them or what is wrong with it."""
    found: list[Meta | PageError] = [_read_meta(descriptor, 0, 0)]
    first = found[0]
    if isinstance(first, Meta):
        found.append(_read_meta(descriptor, 1, first.page_bytes))
        return found
    # Where the second one lies depends on the size of pages, which the first one does not say.
    for power in range(9, 17):
        second = _read_meta(descriptor, 1, 1 << power)
        if isinstance(second, Meta) and second.page_bytes == 1 << power:
            return [*found, second]
    return [*found, _read_meta(descriptor, 1, 4096)]


def choose_meta(descriptor: int) -> tuple[Meta | None, list[str]]:
    """The meta page by which to read a store, and what is wrong with them.

    The newer one, unless it is damaged: the root of its records has to be there, and of its
    transaction. None when neither is of use.

    A daemon may be committing meanwhile, so that one page is of before and another of after, and a
    root is used again. Nothing is held to be wrong unless no commit came while it was looked at.
    """
    for _ in range(_ATTEMPTS_MAX):
        metas = read_metas(descriptor)
        chosen, problems = _chosen(descriptor, metas)
        if not problems or _same(metas, read_metas(descriptor)):
            break
    return chosen, problems


def _same(some: list[Meta | PageError], others: list[Meta | PageError]) -> bool:
    return [_shown_meta(meta) for meta in some] == [_shown_meta(meta) for meta in others]


def _shown_meta(meta: Meta | PageError) -> Meta | str:
    return meta if isinstance(meta, Meta) else str(meta)


def _chosen(descriptor: int, found: list[Meta | PageError]) -> tuple[Meta | None, list[str]]:
    metas, problems = _judged(found)
    for meta in metas:
        problem = _root_problem(descriptor, meta)
        if problem is None:
            return meta, problems
        problems.append(problem)
    return None, problems


def newest_meta(descriptor: int) -> tuple[Meta | None, list[str]]:
    """The same, for those who can do without a root: the newer one of two that belong together."""
    metas, problems = _judged(read_metas(descriptor))
    if problems:
        return choose_meta(descriptor)
    return metas[0], problems


def _judged(found: list[Meta | PageError]) -> tuple[list[Meta], list[str]]:
    """The meta pages that are whole by themselves, the newer first, and what is wrong with them."""
    problems: list[str] = []
    metas: list[Meta] = []
    for slot, meta in enumerate(found):
        if isinstance(meta, Meta):
            metas.append(meta)
        else:
            problems.append(f"meta page {slot}: {meta}")
    metas.sort(key=lambda meta: -meta.transaction)
    if len(metas) == META_PAGES and not _follow(*metas):
        numbers = " and ".join(str(meta.transaction) for meta in metas)
        problems.append(f"the meta pages, of transactions {numbers}, do not belong together")
    return metas, problems


def _follow(newer: Meta, older: Meta) -> bool:
    """Whether two meta pages can be of one store. A new one, and a copy, have transaction 0."""
    return (
        newer.page_bytes == older.page_bytes
        and newer.map_bytes == older.map_bytes
        and newer.transaction - older.transaction <= 1
    )


def _root_problem(descriptor: int, meta: Meta) -> str | None:
    root = meta.records.root
    if root is None:
        return None
    try:
        page = parse_page(PageFile(descriptor, meta.page_bytes).read(root), root)
    except PageError as error:
        return f"page {root}, the first of transaction {meta.transaction}: {error}"
    if page.transaction != meta.transaction:
        return (
            f"page {root}, the first of transaction {meta.transaction}, is of transaction "
            f"{page.transaction}"
        )
    return None


def _read_meta(descriptor: int, slot: int, offset: int) -> Meta | PageError:
    try:
        return parse_meta(os.pread(descriptor, META_BYTES, offset), slot)
    except PageError as error:
        return error
    except OSError as error:
        return PageError(f"it cannot be read: {error.strerror}")


class PageView(Ranged):
    """The records of one state of a store; see ``dmd.metadata.engines.base.Reader``.

    ``on_damage`` is told what cannot be read; when it returns, the walk goes on behind that.
    """

    def __init__(self, file: PageFile, meta: Meta, on_damage: Callable[[Damage], None]) -> None:
        self._file = file
        self._on_damage = on_damage
        self.meta = meta

    def get(self, key: bytes) -> bytes | None:
        for _, value in self.range(key, key + b"\0"):
            return value
        return None

    def range(
        self, lower: bytes, upper: bytes, *, reverse: bool = False
    ) -> Iterator[tuple[bytes, bytes]]:
        walk = Walk(self._file, self.meta, self.meta.records, self._on_damage, reverse=reverse)
        return walk.items(lower, upper)

    def walk(self, on_page: Callable[[int, int], None]) -> Walk:
        """A walk through the records that tells the pages it comes by."""
        return Walk(self._file, self.meta, self.meta.records, self._on_damage, on_page)

    def free_pages(self, on_page: Callable[[int, int], None]) -> Iterator[int]:
        """The pages that the free list names, as it has them."""
        tree = self.meta.free
        walk = Walk(self._file, self.meta, tree, self._on_damage, on_page, order=_as_number)
        for key, value in walk.items(_FIRST, None):
            try:
                yield from parse_free_record(key, value)
            except PageError as error:
                self._on_damage(Damage(tree.root or 0, f"{error} (free list)"))


def _as_is(key: bytes) -> bytes:
    return key


def _as_number(key: bytes) -> bytes:
    """Keys of the free list are numbers, stored with the low byte first."""
    return key[::-1]


def _nobody(_page: int, _count: int) -> None:
    """Nobody counts pages."""


class Walk:
    """One way through a tree. ``on_page`` is told each page and how many belong together."""

    def __init__(
        self,
        file: PageFile,
        meta: Meta,
        tree: Tree,
        on_damage: Callable[[Damage], None],
        on_page: Callable[[int, int], None] = _nobody,
        *,
        order: Callable[[bytes], bytes] = _as_is,
        reverse: bool = False,
    ) -> None:
        self._file = file
        self._meta = meta
        self._tree = tree
        self._on_damage = on_damage
        self._on_page = on_page
        self._order = order
        self._step = -1 if reverse else 1

    def items(self, lower: bytes, upper: bytes | None) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values with ``lower <= key < upper``."""
        root = self._tree.root
        if root is not None and (upper is None or lower < upper):
            place = _Place(root, 1, self._meta.transaction, _FIRST, None)
            yield from self._below(place, lower, upper)

    def _below(
        self, place: _Place, lower: bytes, upper: bytes | None
    ) -> Iterator[tuple[bytes, bytes]]:
        try:
            page = self._page(place)
        except PageError as error:
            self._on_damage(Damage(place.page, str(error), place.lower, place.upper))
            return
        self._on_page(place.page, 1)
        if isinstance(page, Leaf):
            yield from self._records(page, place, lower, upper)
            return
        edges: list[bytes | None] = [place.lower, *map(self._order, page.keys[1:]), place.upper]
        for index in range(len(page.children))[:: self._step]:
            low, high = edges[index], edges[index + 1]
            assert low is not None
            if (high is not None and high <= lower) or (upper is not None and low >= upper):
                continue
            child = _Place(page.children[index], place.depth + 1, page.transaction, low, high)
            yield from self._below(child, lower, upper)

    def _page(self, place: _Place) -> Branch | Leaf:
        """A page that is what its parent says. Raises PageError."""
        if not META_PAGES <= place.page <= self._meta.last_page:
            raise PageError("there is no such page")
        page = parse_page(self._file.read(place.page), place.page)
        if page.transaction > place.newest:
            raise PageError(f"it is of transaction {page.transaction}, after {place.newest}")
        is_leaf = place.depth == self._tree.depth
        if isinstance(page, Leaf) != is_leaf or place.depth > self._tree.depth:
            raise PageError(f"it is no page of level {place.depth}")
        keys = list(map(self._order, page.keys if is_leaf else page.keys[1:]))
        if not all(one < other for one, other in pairwise(keys)):
            raise PageError("its keys are not in order")
        if keys and (
            keys[0] < place.lower or (place.upper is not None and keys[-1] >= place.upper)
        ):
            raise PageError("its keys belong elsewhere")
        return page

    def _records(
        self, page: Leaf, place: _Place, lower: bytes, upper: bytes | None
    ) -> Iterator[tuple[bytes, bytes]]:
        for index in range(len(page.keys))[:: self._step]:
            key, value = page.keys[index], page.values[index]
            ordered = self._order(key)
            if ordered < lower or (upper is not None and ordered >= upper):
                continue
            if isinstance(value, Long):
                try:
                    yield key, self._long(value)
                except PageError as error:
                    self._on_damage(Damage(value.page, str(error), ordered, ordered + b"\0"))
            else:
                yield key, value

    def _long(self, value: Long) -> bytes:
        if not META_PAGES <= value.page <= self._meta.last_page:
            raise PageError("there is no such page")
        data = self._file.read_long(value)
        self._on_page(value.page, value.pages)
        return data


class _Place(msgspec.Struct, frozen=True):
    """A page where its parent has it: its level, from 1, the transaction that it is no newer than,
    and the bounds of its keys."""

    page: int
    depth: int
    newest: int
    lower: bytes
    upper: bytes | None
