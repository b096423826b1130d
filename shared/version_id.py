"""Version IDs: how they are made, and the two forms in which S3 shows them. Pure.

Rules (reference/dmd-wire.md, section 7):

1. An internal ID is ``TS(14) SEQ(6) RG(7) INFO(*)``. TS and SEQ count down, the milliseconds since
   the epoch and the position within one of them, so that the newest version sorts first and a
   greater ID is an older version. RG is the replication group, padded with spaces. INFO is opaque.
2. Moment and position together are one number, a *tick*. IDs never go back in time, whatever the
   clock does: the next tick is the clock's, or the one after the last, whichever is later.
3. Outside, an ID of exactly 27 characters (without INFO) is written in base 62, 32 characters long;
   any other one as the hexadecimal digits of its UTF-8 bytes. The length tells them apart.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_TIME_DIGITS: Final = 14
_POSITION_DIGITS: Final = 6
_GROUP_CHARACTERS: Final = 7
_PLAIN_CHARACTERS: Final = _TIME_DIGITS + _POSITION_DIGITS + _GROUP_CHARACTERS

TICKS_PER_MILLISECOND: Final = 10**_POSITION_DIGITS

_TICKS: Final = 10 ** (_TIME_DIGITS + _POSITION_DIGITS)

_CLOCK_TICKS: Final = _TICKS // 2
"""No clock shows more: the year 3554. What is beyond leaves no room to count on from."""

_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_DIGIT_OF: Final = {character: value for value, character in enumerate(_ALPHABET)}
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)
_BASE62_CHARACTERS: Final = 32
_HALF_DIGITS: Final = 10
"""The twenty decimal digits are encoded as two numbers of ten."""

_HALF_CHARACTERS: Final = 6
_PLAIN: Final = re.compile("[0-9]{20}[\x01-\x7f][\x00-\x7f]{6}", re.DOTALL)
"""What base 62 can hold. It would lose a leading NUL of the group."""

_INTERNAL: Final = re.compile("[0-9]{20}.{7}", re.DOTALL)
"""How an ID with a tick begins."""

_HEXADECIMAL: Final = re.compile("(?:[0-9a-fA-F]{2})+")


def next_tick(last: int, now_ms: int) -> int:
    """The tick of the next ID, after ``last`` and not before ``now_ms``."""
    return max(now_ms * TICKS_PER_MILLISECOND, last + 1)


def make(tick: int, replication_group_id: str, info: str = "") -> str:
    """The internal ID of a tick."""
    return f"{str(_TICKS - 1 - tick).zfill(20)}{_group(replication_group_id)}{info}"


def tick_of(version_id: str) -> int | None:
    """The tick of an internal ID; None when it has another shape, or a time that no clock shows."""
    if not _INTERNAL.match(version_id):
        return None
    tick = _TICKS - 1 - int(version_id[: _TIME_DIGITS + _POSITION_DIGITS])
    return tick if tick < _CLOCK_TICKS else None


@lru_cache(maxsize=4)
def infinite(replication_group_id: str) -> str:
    """The oldest ID that there is: that of what was stored before there were versions."""
    return make(0, replication_group_id)


def encode(version_id: str) -> str:
    """The form of an internal ID that S3 clients see."""
    if not _PLAIN.fullmatch(version_id):
        return version_id.encode().hex()
    digits = version_id[: 2 * _HALF_DIGITS]
    first, second = int(digits[:_HALF_DIGITS]), int(digits[_HALF_DIGITS:])
    return (
        _encode_half(first) + _encode_half(second) + _encode_group(version_id[2 * _HALF_DIGITS :])
    )


def decode(text: str) -> str:
    """The internal ID that ``encode`` wrote; raises ValueError.

    ``null``, which is no encoded ID, is the caller's to recognise.
    """
    if len(text) == _BASE62_CHARACTERS:
        return _decode_base62(text)
    if len(text) < _BASE62_CHARACTERS:
        raise ValueError(f"cannot decode a version ID of {len(text)} characters")
    if not _HEXADECIMAL.fullmatch(text):
        raise ValueError("a version ID is neither base 62 nor hexadecimal")
    return bytes.fromhex(text).decode()


def _decode_base62(text: str) -> str:
    halves = (
        _from_base62(text[:_HALF_CHARACTERS]),
        _from_base62(text[_HALF_CHARACTERS : 2 * _HALF_CHARACTERS]),
    )
    group = _from_base62(text[2 * _HALF_CHARACTERS :])
    characters = group.to_bytes((group.bit_length() + 7) // 8, "big").decode()
    version_id = "".join(f"{half:0{_HALF_DIGITS}}" for half in halves) + characters
    if len(version_id) != _PLAIN_CHARACTERS:
        raise ValueError(f"decoded {text} is not length {_PLAIN_CHARACTERS}")
    return version_id


def _group(replication_group_id: str) -> str:
    return replication_group_id.ljust(_GROUP_CHARACTERS)[:_GROUP_CHARACTERS]


def _encode_half(number: int) -> str:
    """Ten decimal digits in six of base 62, two at a time."""
    rest, last = divmod(number, len(_PAIRS))
    first, second = divmod(rest, len(_PAIRS))
    return _PAIRS[first] + _PAIRS[second] + _PAIRS[last]


@lru_cache(maxsize=64)
def _encode_group(group: str) -> str:
    """A deployment has one or a few, and a listing a thousand IDs of them."""
    number = int.from_bytes(group.encode(), "big")
    return _to_base62(number).rjust(_BASE62_CHARACTERS - 2 * _HALF_CHARACTERS, "0")


def _to_base62(number: int) -> str:
    characters = ""
    while number:
        number, digit = divmod(number, 62)
        characters = _ALPHABET[digit] + characters
    return characters


def _from_base62(text: str) -> int:
    number = 0
    for character in text:
        if character not in _DIGIT_OF:
            raise ValueError(f"{character!r} is no digit of base 62")
        number = number * 62 + _DIGIT_OF[character]
    return number
