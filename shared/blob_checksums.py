"""Keys of blobs that carry the checksum of their bytes. Pure.

A key has 40 hexadecimal digits and is opaque to everyone who stores or asks for it, so it can hold
what else would need a place of its own beside every file: wherever a file goes, and whatever
records name it, its checksum is there. The data daemon makes such keys for blobs that are files,
and checks what it reads of them; a front-end checks what it copies.

    digits  0-11   creation time, as in every key (``dmd.data.blob_keys``)
           12-19   CRC-32 of the bytes
           20-29   random
           30-39   BLAKE2b of the 30 digits before, which tells such a key from any other: one of
                   10**12 others is taken for one
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

_TIME_DIGITS: Final = 12
_CHECKSUM_END: Final = 20
_SEAL_START: Final = 30
_KEY_DIGITS: Final = 40
_PURPOSE: Final = b"twofold blob crc"


def key_with_checksum(created: str, checksum: int) -> str:
    """A new key; ``created`` are the 12 digits of its time, ``checksum`` is CRC-32."""
    assert len(created) == _TIME_DIGITS
    body = f"{created}{checksum:08x}{secrets.token_hex((_SEAL_START - _CHECKSUM_END) // 2)}"
    return body + _seal(body)


def checksum_in(key: str) -> int | None:
    """The CRC-32 of the bytes of a blob, when its key says it; any text is accepted."""
    body = key[:_SEAL_START]
    if len(key) != _KEY_DIGITS or _seal(body) != key[_SEAL_START:]:
        return None
    try:
        return int(body[_TIME_DIGITS:_CHECKSUM_END], 16)
    except ValueError:
        return None


def _seal(body: str) -> str:
    size = (_KEY_DIGITS - _SEAL_START) // 2
    text = body.encode(errors="replace")
    return hashlib.blake2b(text, digest_size=size, person=_PURPOSE).hexdigest()
