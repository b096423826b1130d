"""What a write of the load leaves at its key, and how to tell it from the object.

User metadata names the *origin* of an object's bytes: the key, number and count of parts of the
request that first brought them. All bytes follow from that, so any reply can be verified at any
time, also that of a copy, which keeps the metadata of its source or states the same again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from functools import lru_cache

from shared import limits
from tests.etags import etag_of, multipart_etag_of
from tests.raw_http import Response

ORIGIN_HEADER = "x-amz-meta-origin"
REPLACED_HEADER = "x-amz-meta-replaced"
SIZES = (0, 1, 1000, 30_000, 300_000, 700_000)
"""Bytes of an object, or of the last part of an upload: none, few and many for the daemons."""


@dataclass(frozen=True)
class Written:
    """One state of a key. ``replaced`` is the number of the copy that gave it its metadata."""

    origin: str
    etag: str
    replaced: str = ""

    @property
    def headers(self) -> dict[str, str]:
        """What a request says to be recognised by."""
        return {ORIGIN_HEADER: self.origin, REPLACED_HEADER: self.replaced}

    @property
    def data(self) -> bytes:
        return b"".join(parts_of(self.origin))


def put(key: str, sequence: int) -> Written:
    """What PutObject leaves."""
    origin = f"{key} {sequence} 0"
    return Written(origin, etag_of(b"".join(parts_of(origin))))


def upload(key: str, sequence: int, parts: int) -> Written:
    """What an upload of one or two parts leaves."""
    origin = f"{key} {sequence} {parts}"
    return Written(origin, multipart_etag_of(parts_of(origin)))


def copy(source: Written, replaced: str = "") -> Written:
    """What CopyObject leaves, with the metadata of its source or, if ``replaced``, its own."""
    return Written(source.origin, etag_of(source.data), replaced or source.replaced)


def upload_of_copy(source: Written) -> Written:
    """What an upload leaves whose only part is a copy."""
    return Written(source.origin, multipart_etag_of([source.data]))


def read(key: str, response: Response) -> Written | None:
    """The state that a reply to GetObject shows; asserts that the reply is whole and right."""
    if response.status == 404:
        return None
    assert response.status == 200, f"{key}: {response.status} {response.body!r}"
    headers = response.headers
    found = Written(headers[ORIGIN_HEADER], headers["ETag"], headers.get(REPLACED_HEADER, ""))
    parts = parts_of(found.origin)
    data = b"".join(parts)
    assert response.body == data, f"{key}: not the bytes of {found.origin}"
    assert found.etag in (etag_of(data), multipart_etag_of(parts), multipart_etag_of([data]))
    return found


@lru_cache(maxsize=16)
def parts_of(origin: str) -> tuple[bytes, ...]:
    """The bytes of an origin; every part but the last has the least size that is allowed."""
    chance = random.Random(origin)
    parts = int(origin.rpartition(" ")[2])
    before = [_large(chance.randbytes(16)) for _ in range(parts - 1)]
    return (*before, chance.randbytes(chance.choice(SIZES)))


def _large(seed: bytes) -> bytes:
    return seed * (limits.PART_BYTES_MIN // len(seed))
