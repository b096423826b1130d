"""Where the file of a blob lies in a data directory. Pure.

The layout is the original's (reference/dmd-wire.md, section 11), so either daemon can serve the
other's directory. The data daemon writes by it, and a front-end beside it reads.
"""

from __future__ import annotations

from typing import Final

DIRECTORIES: Final = 3511


def blob_file(directory: str, key: str) -> str:
    """The path of the file of ``key``, whether or not it exists.

    ``key`` is that of a blob, 40 hexadecimal digits: only such a key ever becomes part of a path.
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
