"""The ETags that objects must have."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5


def etag_of(data: bytes) -> str:
    """The ETag header of an object with these bytes."""
    return f'"{_md5(data).hex()}"'


def multipart_etag_of(parts: Sequence[bytes]) -> str:
    """The ETag header of an object that was made of these parts."""
    return f'"{_md5(b"".join(map(_md5, parts))).hex()}-{len(parts)}"'


def _md5(data: bytes) -> bytes:
    return md5(data, usedforsecurity=False).digest()
