"""Which keys blobs have, and where the file of one lies in a data directory. Pure.

The layout is the original's (reference/dmd-wire.md, section 11), so either daemon can serve the
other's directory. The data daemon writes by it, and a front-end beside it reads.
"""

from __future__ import annotations

import re
from typing import Final

KEY_DIGITS: Final = 40
TIME_DIGITS: Final = 12
DIRECTORIES: Final = 3511

INCOMING_FOLDER: Final = "incoming"
"""The folder of a data directory for files that have no key yet."""

_KEY: Final = re.compile(rf"[0-9a-f]{{{KEY_DIGITS}}}")


def is_blob_key(key: str) -> bool:
    """Whether a blob can have this key: exactly 40 lower-case hexadecimal digits.

    Only such a key ever becomes part of a path.
    """
    return _KEY.fullmatch(key) is not None


def blob_file(directory: str, key: str) -> str:
    """The path of the file of ``key``, whether or not it exists.

    ``key`` is that of a blob (``is_blob_key``).
    """
    return f"{directory}/{directory_number(key)}/{key}"


def directory_number(key: str) -> int:
    """Return the number, 0 to 3510, of the directory in which the file of ``key`` lies."""
    return string_hash(key) % DIRECTORIES


def string_hash(text: str) -> int:
    """Hash as the original does: h = 33 h XOR character, last character first, unsigned 32 bits."""
    value = 5381
    for character in reversed(text):
        value = ((value * 33) ^ ord(character)) & 0xFFFFFFFF
    return value
