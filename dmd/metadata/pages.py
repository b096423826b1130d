"""Ranges of the store in packets, each read in a short snapshot of its own.

An open snapshot holds back the reuse of deleted space, and a stream lasts as long as its reader
likes; so every packet shows the store as it was when the packet was read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from dmd.metadata.engines.base import Engine
from shared import limits

Page = list[Any]


class Stream(msgspec.Struct, frozen=True):
    """A listing to be sent in packets."""

    pages: Iterator[Page]


class PacketSize(msgspec.Struct, frozen=True):
    """What one packet of a stream holds at most, but for a single item that is larger."""

    items_max: int = limits.STREAM_PACKET_ITEMS_MAX
    bytes_max: int = limits.STREAM_PACKET_BYTES_MAX


class Range(msgspec.Struct, frozen=True):
    """The items to read; ``limit`` None is all of them."""

    lower: bytes
    upper: bytes
    reverse: bool = False
    limit: int | None = None


def read(engine: Engine, wanted: Range, size: PacketSize) -> Iterator[tuple[bytes, bytes]]:
    """Keys and values of a range."""
    lower, upper, left = wanted.lower, wanted.upper, wanted.limit
    while left is None or left > 0:
        with engine.snapshot() as reader:
            items = reader.range(lower, upper, reverse=wanted.reverse)
            page, more = _take(items, left, size)
        yield from page
        if not more:
            return
        if left is not None:
            left -= len(page)
        last = page[-1][0]
        lower, upper = (lower, last) if wanted.reverse else (last + b"\0", upper)


def paged(items: Iterator[tuple[Any, int]], size: PacketSize) -> Iterator[Page]:
    """Items, each with its size in bytes, in packets."""
    page: Page = []
    page_bytes = 0
    for item, item_bytes in items:
        page.append(item)
        page_bytes += item_bytes
        if len(page) >= size.items_max or page_bytes >= size.bytes_max:
            yield page
            page, page_bytes = [], 0
    if page:
        yield page


def _take(
    items: Iterator[tuple[bytes, bytes]], count: int | None, size: PacketSize
) -> tuple[list[tuple[bytes, bytes]], bool]:
    """The first items, about one packet of them and at most ``count``; whether more may follow."""
    taken: list[tuple[bytes, bytes]] = []
    count = min(count or size.items_max, size.items_max)
    taken_bytes = 0
    for key, value in items:
        taken.append((key, value))
        taken_bytes += len(key) + len(value)
        if len(taken) >= count or taken_bytes >= size.bytes_max:
            return taken, True
    return taken, False
