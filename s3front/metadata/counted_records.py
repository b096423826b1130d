"""Reading all records of a sub-level to count something of them: in streams, so that it takes
little memory."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from typing import Any, Final, Protocol

import orjson

from s3front.metadata.gateway import MetadataGateway

_REQUEST_ID: Final = "counted-records"
_PROGRESS_RECORDS: Final = 10_000

Progress = Callable[[int], None]
"""Told from time to time how many records were read."""


class Counts(Protocol):
    """How many records were read, and how many of these are no documents."""

    records: int
    unreadable: int


async def counted_documents(
    metadata: MetadataGateway, sub_level: str, counts: Counts, progress: Progress
) -> AsyncGenerator[tuple[str, Mapping[str, Any]], None]:
    """Every record of a sub-level that is a document, by its key. Raises S3Error."""
    async with aclosing(metadata.pages(sub_level, {}, _REQUEST_ID)) as pages:
        async for page in pages:
            for key, value in page:
                counts.records += 1
                if counts.records % _PROGRESS_RECORDS == 0:
                    progress(counts.records)
                try:
                    record = orjson.loads(value)
                except ValueError:
                    record = None
                if isinstance(record, dict):
                    yield key, record
                else:
                    counts.unreadable += 1
