"""Where a record lies in the engine: sub-level and key to physical key, and ranges.

The layout is the original's (reference/dmd-wire.md, section 3): ``!`` + the sub-level path joined
with ``#`` + ``!`` + the key, all UTF-8, ordered by bytes. Every physical key therefore begins with
``!``; the daemon keeps its own bookkeeping under a leading NUL, which sorts before all records and
which no client can name.

Unlike the original, an unbounded range includes keys whose first character lies above U+FFFF.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from shared.errors import ServiceError

REVISION_KEY = b"\0revision"
FORMAT_KEY = b"\0format"
OPERATIONS_PREFIX = b"\0operation\0"
VERSION_TICK_KEY = b"\0version-tick"
LOG_STATE_PREFIX = b"\0record-log\0"
COUNTER_KEYS = (REVISION_KEY, VERSION_TICK_KEY)
"""What must go on counting where it stopped, in a copy of the store, too."""

RECORDS_LOWER = b"!"
RECORDS_UPPER = b'"'
"""All records lie between the two: ``"`` is the byte after ``!``."""

Range = tuple[bytes, bytes]

_KEPT_CHARACTERS_MAX = 128
"""Longer names of sub-levels, which anybody may send, are not kept."""

_RANGE_OPTIONS = ("gt", "gte", "lt", "lte", "start", "end")


def prefix(sub_level: Sequence[str]) -> bytes:
    """The physical prefix of a sub-level.

    A name that is empty or contains ``!`` or ``#`` would let two different paths share keys, so it
    is refused.
    """
    if len(sub_level) == 1 and len(sub_level[0]) <= _KEPT_CHARACTERS_MAX:
        return _prefix_of_one(sub_level[0])
    return _prefix(sub_level)


@lru_cache(maxsize=1024)  # most calls are about few sub-levels, which are buckets or queues
def _prefix_of_one(name: str) -> bytes:
    return _prefix((name,))


def _prefix(sub_level: Sequence[str]) -> bytes:
    for name in sub_level:
        if not name or "!" in name or "#" in name:
            raise ServiceError(
                "InvalidArgument", f"sub-level name {name!r} is empty or contains '!' or '#'"
            )
    return encode("!" + "#".join(sub_level) + "!")


def physical(sub_level: Sequence[str], key: str, key_bytes_max: int) -> bytes:
    """The physical key of a record; raises InvalidArgument or KeyTooLongError."""
    if len(sub_level) == 1 and len(sub_level[0]) <= _KEPT_CHARACTERS_MAX:
        base = _prefix_of_one(sub_level[0])
    else:
        base = _prefix(sub_level)
    try:
        result = base + key.encode()
    except UnicodeEncodeError as error:
        raise _not_unicode() from error
    if len(result) > key_bytes_max:
        raise ServiceError(
            "KeyTooLongError", f"the key takes {len(result)} bytes of {key_bytes_max}"
        )
    return result


def split(key: bytes) -> tuple[list[str], str]:
    """The sub-level and key of a physical key."""
    path, _, name = key[1:].decode().partition("!")
    return path.split("#") if path else [], name


def encode(text: str) -> bytes:
    """UTF-8; a lone surrogate, which JSON can express and UTF-8 cannot, is InvalidArgument."""
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise _not_unicode() from error


def _not_unicode() -> ServiceError:
    return ServiceError("InvalidArgument", "a string is not valid Unicode")


def range_of(sub_level: Sequence[str], options: Mapping[str, Any]) -> Range:
    """The half-open physical range of ``createReadStream`` options.

    ``gt gte lt lte`` and the legacy ``start end`` (inclusive, and swapped when ``reverse``); of
    two bounds on one side the exclusive one wins, as in the original.
    """
    base = prefix(sub_level)
    return _bounded(base, base[:-1] + b'"', options)


def raw_range_of(options: Mapping[str, Any]) -> Range:
    """The range of physical keys that ``rawListKeys`` options name; never our bookkeeping."""
    lower, upper = _bounded(b"", RECORDS_UPPER, options)
    return max(lower, RECORDS_LOWER), min(upper, RECORDS_UPPER)


def _bounded(base: bytes, end: bytes, options: Mapping[str, Any]) -> Range:
    bounds: dict[str, bytes] = {}
    for name in _RANGE_OPTIONS:
        value = options.get(name)
        if value is None:
            continue
        if not isinstance(value, str):
            raise ServiceError("InvalidArgument", f"option {name!r} must be a string")
        bounds[name] = base + encode(value)
    first, last = ("end", "start") if options.get("reverse") else ("start", "end")
    lower, upper = base, end
    if "gt" in bounds:
        lower = bounds["gt"] + b"\0"
    elif "gte" in bounds or first in bounds:
        lower = bounds["gte"] if "gte" in bounds else bounds[first]
    if "lt" in bounds:
        upper = bounds["lt"]
    elif "lte" in bounds or last in bounds:
        upper = (bounds["lte"] if "lte" in bounds else bounds[last]) + b"\0"
    return lower, upper
