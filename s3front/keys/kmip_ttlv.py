"""The encoding of KMIP messages: tag, type, length, value. Pure.

(OASIS KMIP Specification 1.4, section 9.1, "TTLV Encoding".) An item is a tag of three bytes, a
type of one, the length of its value in four, and the value, filled up to a multiple of eight; a
structure has items for its value. Numbers are big-endian.

``decode`` takes what a server sends: it never reads beyond it, goes ``DEPTH_MAX`` deep at most, and
raises MalformedError for anything that is not of this form.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, Union

import msgspec

HEADER_BYTES: Final = 8
DEPTH_MAX: Final = 16

_UNIT_BYTES: Final = 8


class MalformedError(Exception):
    """What came is no item of KMIP's."""


class Type(IntEnum):
    """The types of values."""

    STRUCTURE = 1
    INTEGER = 2
    LONG_INTEGER = 3
    BIG_INTEGER = 4
    ENUMERATION = 5
    BOOLEAN = 6
    TEXT_STRING = 7
    BYTE_STRING = 8
    DATE_TIME = 9
    INTERVAL = 10
    DATE_TIME_EXTENDED = 11


_NUMBERS: Final = {
    Type.INTEGER: (4, True),
    Type.LONG_INTEGER: (8, True),
    Type.ENUMERATION: (4, False),
    Type.BOOLEAN: (8, False),
    Type.DATE_TIME: (8, True),
    Type.INTERVAL: (4, False),
    Type.DATE_TIME_EXTENDED: (8, True),
}
"""How many bytes, and whether they have a sign. (A big integer has as many as it needs.)"""

Value = Union[tuple["Item", ...], int, str, bytes]  # noqa: UP007  # a name that is not there yet


class Item(msgspec.Struct, frozen=True, gc=False):
    """``value`` is items, a number (also of truth and of time, in seconds since 1970), text, or
    bytes, by its type."""

    tag: int
    type: Type
    value: Value

    def items(self, tag: int) -> list[Item]:
        """Those in it with this tag."""
        inside = self.value if isinstance(self.value, tuple) else ()
        return [item for item in inside if item.tag == tag]

    def first(self, *tags: int) -> Item | None:
        """The first one at a path of tags below it."""
        found: Item | None = self
        for tag in tags:
            found = next(iter(found.items(tag)), None) if found is not None else None
        return found

    def number(self, *tags: int) -> int | None:
        """The number there."""
        found = self.first(*tags)
        return found.value if found is not None and isinstance(found.value, int) else None

    def text(self, *tags: int) -> str | None:
        """The text there."""
        found = self.first(*tags)
        return found.value if found is not None and isinstance(found.value, str) else None

    def octets(self, *tags: int) -> bytes | None:
        """The bytes there."""
        found = self.first(*tags)
        return found.value if found is not None and isinstance(found.value, bytes) else None


def structure(tag: int, items: Iterable[Item | None]) -> Item:
    """A structure of those that are not None."""
    return Item(tag, Type.STRUCTURE, tuple(item for item in items if item is not None))


def integer(tag: int, value: int) -> Item:
    return Item(tag, Type.INTEGER, value)


def enumeration(tag: int, value: int) -> Item:
    return Item(tag, Type.ENUMERATION, value)


def text(tag: int, value: str) -> Item:
    return Item(tag, Type.TEXT_STRING, value)


def octets(tag: int, value: bytes) -> Item:
    return Item(tag, Type.BYTE_STRING, value)


def date_time(tag: int, seconds: int) -> Item:
    return Item(tag, Type.DATE_TIME, seconds)


def encode(item: Item) -> bytes:
    """The bytes of an item."""
    value = item.value
    if isinstance(value, tuple):
        data = b"".join(map(encode, value))
    elif isinstance(value, str):
        data = value.encode()
    elif isinstance(value, bytes):
        data = value
    elif item.type is Type.BIG_INTEGER:
        units = value.bit_length() // (8 * _UNIT_BYTES) + 1
        data = value.to_bytes(units * _UNIT_BYTES, "big", signed=True)
    else:
        size, signed = _NUMBERS[item.type]
        data = value.to_bytes(size, "big", signed=signed)
    head = item.tag.to_bytes(3, "big") + bytes((item.type,)) + len(data).to_bytes(4, "big")
    return head + data + bytes(-len(data) % _UNIT_BYTES)


def message_length(header: bytes, tag: int) -> int:
    """How many bytes come after the first eight of a message, which is a structure with this tag.
    Raises MalformedError."""
    if header[:3] != tag.to_bytes(3, "big") or header[3] != Type.STRUCTURE:
        raise MalformedError("it is no message of KMIP's")
    return int.from_bytes(header[4:8], "big")


def decode(data: bytes) -> Item:
    """The one item that these bytes are. Raises MalformedError."""
    item, end = _decode(memoryview(data), 0, 0)
    if end != len(data):
        raise MalformedError("there is something behind it")
    return item


def _decode(data: memoryview, start: int, depth: int) -> tuple[Item, int]:
    """The item that begins there, and where it ends."""
    begins = start + HEADER_BYTES
    if depth > DEPTH_MAX or begins > len(data):
        raise MalformedError("it is cut off, or too deep")
    length = int.from_bytes(data[start + 4 : begins], "big")
    ends = begins + length
    filled = ends + -length % _UNIT_BYTES
    if filled > len(data):
        raise MalformedError("it is cut off")
    try:
        kind = Type(data[start + 3])
    except ValueError:
        raise MalformedError(f"there is no type {data[start + 3]}") from None
    tag = int.from_bytes(data[start : start + 3], "big")
    if kind is Type.STRUCTURE:
        return Item(tag, kind, _inside(data[:ends], begins, depth)), filled
    return Item(tag, kind, _value(kind, bytes(data[begins:ends]))), filled


def _inside(data: memoryview, position: int, depth: int) -> tuple[Item, ...]:
    items = []
    while position < len(data):
        item, position = _decode(data, position, depth + 1)
        items.append(item)
    return tuple(items)


def _value(kind: Type, data: bytes) -> Value:
    if kind is Type.BYTE_STRING:
        return data
    if kind is Type.TEXT_STRING:
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise MalformedError("a text is not UTF-8") from None
    if kind is Type.BIG_INTEGER:
        if not data or len(data) % _UNIT_BYTES:
            raise MalformedError(f"{len(data)} bytes are no {kind.name}")
        return int.from_bytes(data, "big", signed=True)
    size, signed = _NUMBERS[kind]
    if len(data) != size:
        raise MalformedError(f"{len(data)} bytes are no {kind.name}")
    return int.from_bytes(data, "big", signed=signed)
