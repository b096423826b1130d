"""Blob keys: how they are made, where their files lie, and how they are written in a URL.

Pure. The service parses URLs with it, the stores make keys and find files with it, garbage
collection reads the creation time. Layout and URL syntax are the original's
(reference/dmd-wire.md, section 11), so either daemon can serve the other's directory; only the
first digits of a new key differ: the original's are random throughout.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable
from typing import Final

import msgspec

from dmd.data.errors import DataError
from shared.blob_checksums import key_with_checksum
from shared.blob_files import KEY_DIGITS, TIME_DIGITS

SERVICE_PATH: Final = "/DataFile"

_URL_PATH: Final = re.compile(r"(/[a-zA-Z0-9]+)(?:/([0-9a-f]*))?")
_DISK_USAGE: Final = f"{SERVICE_PATH}?diskUsage"


class Target(msgspec.Struct, frozen=True):
    """What a URL of the data port names: a blob, the collection (no key), or the disk usage."""

    key: str | None = None
    disk_usage: bool = False


def now_ms() -> int:
    """Wall clock, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def new_key(checksum: int | None = None, clock_ms: Callable[[], int] = now_ms) -> str:
    """Make a key: 12 digits of creation time, then 28 digits (112 bits) from the system's
    randomness; with the CRC-32 of its bytes, that and fewer (``shared.blob_checksums``).

    It cannot be guessed, and two keys are never equal in practice; the store still refuses to
    overwrite a blob.
    """
    created = clock_ms()
    assert 0 <= created < 16**TIME_DIGITS
    digits = f"{created:0{TIME_DIGITS}x}"
    if checksum is not None:
        return key_with_checksum(digits, checksum)
    return digits + secrets.token_hex((KEY_DIGITS - TIME_DIGITS) // 2)


def created_at_ms(key: str) -> int:
    """When ``key`` was made, milliseconds since the epoch.

    A key that the original made carries no time: the result is then any number below 16**12, and
    nearly always lies in the far future.
    """
    return int(key[:TIME_DIGITS], 16)


def parse_target(raw_path: str) -> Target:
    """Parse the path and query of a request line, exactly as received.

    An empty key (``/DataFile/``) is none. Raises DataError: InvalidURI for a path or query outside
    the syntax, InvalidAction for another service's path.
    """
    if raw_path == _DISK_USAGE:
        return Target(disk_usage=True)
    match = _URL_PATH.fullmatch(raw_path)
    if match is None:
        raise DataError("InvalidURI")
    service, key = match.groups()
    if service != SERVICE_PATH:
        raise DataError("InvalidAction", f"unsupported service '{service}'")
    return Target(key=key or None)
