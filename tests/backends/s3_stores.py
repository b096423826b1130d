"""Stores of S3 services for tests, and what they hold."""

from __future__ import annotations

from collections.abc import AsyncGenerator

from s3front.locations.aws_s3 import AwsS3Store
from s3front.locations.base import ObjectInfo, Stored
from s3front.locations.gcp import GcpStore
from tests.api.data_server import RecordingLog
from tests.backends.s3_services import Remote
from tests.etags import etag_of

INFO = ObjectInfo("photos", "2026/cat.jpg", "image/jpeg", {"colour": "black"})


class Stores:
    """Makes stores, and closes them."""

    def __init__(self, log: RecordingLog) -> None:
        self._log = log
        self._made: list[AwsS3Store] = []

    def __call__(self, there: Remote, **details: object) -> AwsS3Store:
        make = GcpStore if there.is_google else AwsS3Store
        self._made.append(make("there", there.details(**details), self._log))
        return self._made[-1]

    async def close(self) -> None:
        for store in self._made:
            await store.close()


def md5_of(data: bytes) -> str:
    return etag_of(data).strip('"')


async def blocks_of(data: bytes, size: int = 256 * 1024) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def read(store: AwsS3Store, blob: Stored, start: int = 0, end: int = -1) -> bytes:
    reader = await store.open(blob, start, end if end >= 0 else blob.size - 1)
    return b"".join([piece async for piece in reader.blocks()])
