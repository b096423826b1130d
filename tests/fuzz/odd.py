"""Values that nobody expects, as clients, bugs and attackers send them. Seeded by the caller."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final, TypeVar

_T = TypeVar("_T")

NUMBERS: Final = (
    *("0", "1", "-1", "2", "5", "1000", "1001", "10000", "10001", "2147483648", "1e3", "1.5"),
    *("00", "+1", " 1", "0x10", "NaN", "Infinity", "9" * 30, "9" * 5000, "²", "٣", "1_000"),
)
DATES: Final = (
    "Mon, 01 Jan 2024 00:00:00 GMT",
    "Mon, 01 Jan 99999999999999999999 00:00:00 GMT",
    "Mon, 01 Jan 10000 00:00:00 GMT",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "Mon, 01 Jan 0001 00:00:00 +2359",
    "Mon, 01 Jan 0000 00:00:00 GMT",
    "Mon, 32 Foo 2024 25:61:61 GMT",
    "Monday, 01-Jan-24 00:00:00 GMT",
    "Mon Jan  1 00:00:00 2024",
    "Mon, 01 Jan 2024 00:00:00 +9999999999999999",
    "2024-01-01T00:00:00Z",
    "20240101T000000Z",
    "9999-12-31T23:59:59.999999999Z",
    "10000-01-01T00:00:00Z",
    "0000-00-00T00:00:00Z",
    "2030-01-01T00:00:00+99:99",
    "-1",
    "1" * 400,
)
RANGES: Final = (
    *("bytes=0-0", "bytes=0-", "bytes=-1", "bytes=-0", "bytes=5-2", "bytes=0-1,3-4", "bytes="),
    *("bytes=-", "items=0-1", "bytes=99999999999999999999-", f"bytes=0-{'9' * 5000}", "bytes=a-b"),
    *("bytes = 0-1", "0-1", "bytes=0-1-2", "BYTES=0-3", "bytes=\u0661-\u0662"),
)
_TEXTS: Final = (
    *("", " ", "a", "true", "false", "null", "None", "*", ",", ";", "=", "&", "%", "/", "\\", "."),
    *("..", "../../etc/passwd", "a b", "a+b", "ä", "日本語", "😀", "\N{BOM}", "e\u0301", "\x7f"),
    *('"', "'", "<a>", "]]>", "&amp;", "${filename}", "{{7*7}}", "\udcff", "\udc80\udcfe", "\x80"),
    *("=?UTF-8?B?w6Q=?=", "=?utf-8?q?=FF?=", "=?x?b??=", 'W/"a"', '"d41d8cd98f00b204e980"'),
    *("d41d8cd98f00b204e9800998ecf8427e", "AAAAAA==", "1B2M2Y8AsgTpgAmY7PhCfg==", "-", "\t"),
)
ESCAPES: Final = (
    *("%", "%0", "%zz", "%00", "%0a", "%0d%0aX-A:%20b", "%ff", "%c3%28", "%C0%AF", "%2F", "%252F"),
    *("%ED%A0%80", "%F4%90%80%80", "%20", "+", "%09", "%7F", "%EF%BF%BF", "%u1234"),
)


def text(chance: Random) -> str:
    """A header's or a document's text: mostly short, never a line break."""
    kind = chance.randrange(12)
    if kind < 6:
        return chance.choice(_TEXTS)
    if kind == 6:
        return chance.choice(NUMBERS)
    if kind == 7:
        return chance.choice(DATES)
    if kind == 8:
        return chance.choice(RANGES)
    if kind == 9:
        return chance.choice(_TEXTS) * chance.choice((2, 50, 700))
    if kind == 10:
        return "".join(chr(chance.randrange(0x20, 0x7F)) for _ in range(chance.randrange(60)))
    return "".join(chr(chance.choice((0x20, 0xE4, 0x3B1, 0x1F600, 0xFFFD))) for _ in range(9))


def escaped(chance: Random) -> str:
    """Text as it stands in a request target."""
    if chance.random() < 0.4:
        return "".join(chance.choice(ESCAPES) for _ in range(chance.randrange(1, 4)))
    return "".join(
        character if character.isalnum() and character.isascii() else f"%{byte:02X}"
        for character in text(chance)[:1500]
        for byte in character.encode("utf-8", "surrogateescape")
    )


def blob(chance: Random) -> bytes:
    """Bytes: a few, or some tens of KB, seldom more than a megabyte."""
    size = chance.choice((0, 0, 1, 3, 100, 1000, 5000, 70_000, 300_000))
    if chance.random() < 0.01:
        size = 1_500_000
    return chance.randbytes(min(size, 64)) * (size // 64 + 1)


def damaged(chance: Random, data: bytes) -> bytes:
    """The bytes with something cut, doubled, swapped or put in."""
    if not data:
        return chance.randbytes(3)
    start = chance.randrange(len(data))
    end = min(len(data), start + chance.choice((1, 1, 4, 40)))
    ways: tuple[Callable[[], bytes], ...] = (
        lambda: data[:start],
        lambda: data[:start] + data[end:],
        lambda: data[:end] + data[start:],
        lambda: data[:start] + chance.randbytes(end - start) + data[end:],
        lambda: data[:start] + text(chance).encode("utf-8", "surrogateescape") + data[end:],
        lambda: data[start:] + data[:start],
    )
    return chance.choice(ways)()


def value(chance: Random, depth: int = 3) -> Any:
    """A JSON value of any type."""
    kind = chance.randrange(12 if depth else 8)
    if kind < 3:
        return json_text(chance)
    if kind < 8:
        return chance.choice(
            (None, True, False, 0, 1, -1, 2**31, 2**53, 2**64, -(2**63), 1e308, 0.5, 10**30, [], {})
        )
    if kind < 10:
        return [value(chance, depth - 1) for _ in range(chance.randrange(4))]
    return {json_text(chance): value(chance, depth - 1) for _ in range(chance.randrange(4))}


def json_text(chance: Random) -> str:
    """Text that JSON can carry, with control characters and lone surrogates."""
    if chance.random() < 0.15:
        return chance.choice(("\0", "a\0b", "\n", "\ud800", "!", "#", "a!b", "..", "a" * 3000))
    return text(chance)


def pick(chance: Random, likely: Sequence[_T], odd: Callable[[Random], _T], rate: float) -> _T:
    """One of what is likely, or, at a rate, something odd."""
    if not likely or chance.random() < rate:
        return odd(chance)
    return chance.choice(likely)
