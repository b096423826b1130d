"""What a place for object bytes must offer.

A location stores immutable blobs under keys that it makes itself. It streams in bounded memory in
both directions, and speaks of failures in S3's terms: ServiceUnavailable when the place is away,
InternalError when it answered with an error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol

from s3front.port.request import Passage


class DataNotFoundError(Exception):
    """No blob has this key: it was deleted, or never existed."""


class DataReader(Protocol):
    """An open blob, or a part of it: readable to its end even if the blob is deleted meanwhile."""

    def blocks(self) -> AsyncGenerator[bytes | Passage, None]:
        """The bytes, in order; raises S3Error when the place fails."""

    async def read(self) -> bytes:
        """All the bytes at once, in place of ``blocks``; for few of them. Raises S3Error."""

    def close(self) -> None:
        """Release it, read to the end or not."""


class DataStore(Protocol):
    """One place."""

    @property
    def type(self) -> str:
        """The location type as records name it (``dataStoreType``)."""

    async def put(self, size: int, body: bytes | AsyncGenerator[bytes, None]) -> str:
        """Store ``size`` bytes durably and return their key.

        When the iterator raises, nothing is stored and its exception is raised. Raises
        S3Error.
        """

    async def open(self, key: str, start: int, end: int, size: int) -> DataReader:
        """Open bytes ``start`` to ``end`` (included) of a blob of ``size`` bytes.

        Raises DataNotFoundError and S3Error.
        """

    async def disk_usage(self) -> tuple[int, int]:
        """The bytes that are available where the blobs are, and all that there are. Raises
        S3Error."""

    async def delete(self, key: str) -> None:
        """Remove a blob; one that is gone is no error. Raises S3Error."""
