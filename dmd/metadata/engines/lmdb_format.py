"""The file of an LMDB 1.0 environment, as bytes: meta pages, tree pages, free lists. Pure.

The library trusts what it reads: a damaged page ends the process (an assertion, a read outside the
map), or passes for a page with other records. Here every field is doubted, and what is wrong is a
``PageError`` with a text. Followed: ``mdb.c`` of LMDB 1.0.2 (``MDB_page_header``, ``MDB_meta``,
``MDB_node``, ``MDB_ovpage``), on machines with 64 bits and little-endian order.

Theory of operation. A file is a row of pages. Pages 0 and 1 are meta pages: transaction N wrote
page N % 2, and the newer one is current. Each names two trees, the records and the free list, whose
pages are never changed once they are committed: a change makes new pages up to the root. So a page
is no newer than the one that points at it, and every page up to the last one is reachable exactly
once, as a page of a tree, as one of a long value, or in a record of the free list. Nodes fill a
page's end without gaps, which tells when one is missing.
"""

from __future__ import annotations

import struct
from typing import Final, NamedTuple

import msgspec

MAGIC: Final = 0xBEEFC0DE
DATA_VERSION: Final = 3
META_PAGES: Final = 2
META_BYTES: Final = 24 + 136
_NO_PAGE: Final = (1 << 64) - 1
_PAGE_BYTES: Final = frozenset(1 << power for power in range(9, 17))
_MAP_BYTES_MAX: Final = 1 << 47
_DEPTH_MAX: Final = 32

_HEADER: Final = struct.Struct("<QQHHHH")
_OVERFLOW_HEADER: Final = struct.Struct("<QQHHI")
_META: Final = struct.Struct("<IIQQ" + 2 * "IHHQQQQQ" + "QQ")
_NODE: Final = struct.Struct("<HHHH")
_LONG: Final = struct.Struct("<QQQ")
HEADER_BYTES: Final = _HEADER.size

_BRANCH: Final = 0x01
_LEAF: Final = 0x02
_OVERFLOW: Final = 0x04
_META_FLAG: Final = 0x08
_LONG_VALUE: Final = 0x01


class PageError(Exception):
    """A page is not what it has to be; the text says what is wrong with it."""


class Tree(msgspec.Struct, frozen=True):
    """A tree as a meta page describes it. ``root`` None: it is empty."""

    depth: int
    branch_pages: int
    leaf_pages: int
    overflow_pages: int
    entries: int
    root: int | None


class Meta(msgspec.Struct, frozen=True):
    """A meta page: the state of the store after ``transaction``."""

    page_bytes: int
    map_bytes: int
    free: Tree
    records: Tree
    last_page: int
    transaction: int


class Long(NamedTuple):
    """Where a value lies that has pages of its own."""

    page: int
    pages: int
    transaction: int
    size: int


class Branch(NamedTuple):
    """A page of the index: child ``n`` has keys from ``keys[n]`` on; the first is without bound."""

    transaction: int
    keys: list[bytes]
    children: list[int]


class Leaf(NamedTuple):
    """A page of records."""

    transaction: int
    keys: list[bytes]
    values: list[bytes | Long]


def parse_meta(data: bytes, slot: int) -> Meta:
    """The meta page at page ``slot`` (0 or 1) of a file, from its first ``META_BYTES`` bytes."""
    if len(data) < META_BYTES:
        raise PageError(f"it has {len(data)} bytes")
    number, _, _, flags, _, _ = _HEADER.unpack_from(data)
    if flags != _META_FLAG or number != slot:
        raise PageError("it is no meta page")
    magic, version, _, map_bytes, *rest = _META.unpack_from(data, HEADER_BYTES)
    if magic != MAGIC or version != DATA_VERSION:
        raise PageError("it is no meta page of LMDB 1.0")
    page_bytes, last_page, transaction = rest[0], rest[-2], rest[-1]
    if page_bytes not in _PAGE_BYTES:
        raise PageError(f"it says that pages have {page_bytes} bytes")
    if not (last_page + 1) * page_bytes <= map_bytes <= _MAP_BYTES_MAX:
        raise PageError(f"it tells of {last_page} pages in {map_bytes} bytes")
    free, records = (_tree(rest[start + 2 : start + 8], last_page) for start in (0, 8))
    return Meta(page_bytes, map_bytes, free, records, last_page, transaction)


def _tree(fields: list[int], last_page: int) -> Tree:
    depth, branches, leaves, overflow, entries, root = fields
    pages = branches + leaves + overflow
    if root == _NO_PAGE and not (depth or pages or entries):
        return Tree(0, 0, 0, 0, 0, None)
    if not (META_PAGES <= root <= last_page and pages <= last_page and 0 < depth <= _DEPTH_MAX):
        raise PageError("it describes a tree that cannot be")
    return Tree(depth, branches, leaves, overflow, entries, root)


def parse_page(data: bytes, number: int) -> Branch | Leaf:
    """The page of a tree that is at page ``number``. Keys are in order. Raises PageError."""
    found, transaction, _, flags, lower, upper = _HEADER.unpack_from(data)
    if found != number:
        raise PageError("it is empty" if not any(data) else f"it says that it is page {found}")
    if flags not in (_BRANCH, _LEAF):
        raise PageError("it is no page of a tree")
    room = len(data) - HEADER_BYTES
    if not (0 < lower <= upper <= room and lower % 2 == 0 and upper % 2 == 0):
        raise PageError("its bounds are wrong")
    offsets = struct.unpack_from(f"<{lower // 2}H", data, HEADER_BYTES)
    if min(offsets) < upper or max(offsets) > room - _NODE.size:
        raise PageError("a node lies outside of it")
    keys: list[bytes] = []
    if flags == _BRANCH:
        children: list[int] = []
        used = _branch_nodes(data, offsets, keys, children)
        page: Branch | Leaf = Branch(transaction, keys, children)
    else:
        values: list[bytes | Long] = []
        used = _leaf_nodes(data, offsets, keys, values)
        page = Leaf(transaction, keys, values)
    if used != room - upper:
        raise PageError(f"its nodes have {used} bytes instead of {room - upper}")
    return page


def _branch_nodes(
    data: bytes, offsets: tuple[int, ...], keys: list[bytes], children: list[int]
) -> int:
    used = 0
    for offset in offsets:
        start = offset + HEADER_BYTES
        low, high, top, size = _NODE.unpack_from(data, start)
        start += _NODE.size
        if start + size > len(data):
            raise PageError("a key reaches out of it")
        keys.append(data[start : start + size])
        children.append(low | high << 16 | top << 32)
        used += (_NODE.size + size + 1) & ~1
    keys[0] = b""  # whatever is written there, it is never compared
    return used


def _leaf_nodes(
    data: bytes, offsets: tuple[int, ...], keys: list[bytes], values: list[bytes | Long]
) -> int:
    used = 0
    for offset in offsets:
        start = offset + HEADER_BYTES
        low, high, flags, key_bytes = _NODE.unpack_from(data, start)
        size = low | high << 16
        start += _NODE.size
        value_start = start + ((key_bytes + 1) & ~1)
        stored = size if not flags else _LONG.size
        if flags not in (0, _LONG_VALUE):
            raise PageError("a node is of an unknown kind")
        if value_start + stored > len(data):
            raise PageError("a record reaches out of it")
        keys.append(data[start : start + key_bytes])
        if flags:
            page, transaction, pages = _LONG.unpack_from(data, value_start)
            values.append(Long(page, pages, transaction, size))
        else:
            values.append(data[value_start : value_start + size])
        used += _NODE.size + (value_start - start) + ((stored + 1) & ~1)
    return used


def check_long(long: Long, page_bytes: int) -> None:
    """Raises PageError when a long value does not fit into as many pages as its node says.

    It may have more than it needs: a shorter value takes the pages over from a longer one.
    """
    if long.pages < (HEADER_BYTES - 1 + long.size) // page_bytes + 1:
        raise PageError(f"a value of {long.size} bytes has {long.pages} pages")


def check_long_page(data: bytes, long: Long) -> None:
    """Raises PageError when ``data`` is not the first page of the value."""
    found, transaction, _, flags, pages = _OVERFLOW_HEADER.unpack_from(data)
    if (found, transaction, pages) != (long.page, long.transaction, long.pages):
        raise PageError("it is empty" if not any(data) else "it is not the page of its value")
    if not flags & _OVERFLOW:
        raise PageError("it is no page of a value")


def parse_free_record(key: bytes, value: bytes) -> list[int]:
    """The pages that a record of the free list names. Raises PageError."""
    if len(key) != 8 or len(value) < 8 or len(value) % 8:
        raise PageError("a record of the free list has a wrong length")
    (count,) = struct.unpack_from("<Q", value)
    if 8 * (count + 1) > len(value):
        raise PageError("a record of the free list is too short")
    return list(struct.unpack_from(f"<{count}Q", value, 8))


def page_head(data: bytes) -> tuple[int, int]:
    """Which page a page says that it is, and of which transaction."""
    number, transaction, *_ = _HEADER.unpack_from(data)
    return number, transaction


def nodes_anywhere(data: bytes) -> list[tuple[bytes, bytes | Long]]:
    """All that may be the node of a record in a page of which nothing is believed.

    Nodes begin at even offsets; most of what is found is none, or a piece of one.
    """
    try:
        page = parse_page(data, page_head(data)[0])
    except PageError:
        pass
    else:
        return list(zip(page.keys, page.values, strict=True)) if isinstance(page, Leaf) else []
    found: list[tuple[bytes, bytes | Long]] = []
    for start in range(HEADER_BYTES, len(data) - _NODE.size, 2):
        low, high, flags, key_bytes = _NODE.unpack_from(data, start)
        if flags > _LONG_VALUE or not 0 < key_bytes < len(data):
            continue
        size = low | high << 16
        key_start = start + _NODE.size
        value_start = key_start + ((key_bytes + 1) & ~1)
        if value_start + (_LONG.size if flags else size) > len(data):
            continue
        key = data[key_start : key_start + key_bytes]
        if flags:
            page, transaction, pages = _LONG.unpack_from(data, value_start)
            found.append((key, Long(page, pages, transaction, size)))
        else:
            found.append((key, data[value_start : value_start + size]))
    return found
