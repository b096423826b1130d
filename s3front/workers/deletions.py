"""Removing data that no record owns any more.

The daemon queues it in the commit that takes it from its record (``..deletions``); this worker
deletes it once ``delay_seconds`` have passed, so that replies which still read it can end. An
entry goes only after its data, so a crash repeats a deletion and never forgets one. What cannot be
deleted now, because its location is away, stays queued.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from dataclasses import dataclass

import orjson

from s3front.locations.registry import LocationRegistry
from s3front.metadata import gateway
from s3front.metadata.gateway import MetadataGateway
from shared.errors import ServiceError
from shared.failpoints import FailPoint, failpoint
from shared.observability import EventLog
from shared.records.location import DataLocation, data_locations
from shared.records.names import DELETIONS

_PAGE_ENTRIES = 200
_CONCURRENT_DELETIONS = 16
_REQUEST_ID = "deletions"


@dataclass(frozen=True, slots=True)
class _Entry:
    key: str
    locations: list[DataLocation]


class DeletionWorker:
    """See the module; ``run_once`` is called again and again by whoever holds the lease."""

    def __init__(
        self,
        metadata: MetadataGateway,
        locations: LocationRegistry,
        log: EventLog,
        delay_seconds: float,
    ) -> None:
        self._metadata = metadata
        self._locations = locations
        self._log = log
        self._delay_seconds = delay_seconds

    async def run_once(self) -> int:
        """Delete what is due, up to one page; how many entries that was."""
        due_ms = int((time.time() - self._delay_seconds) * 1000)
        entries = await self._due(f"{max(due_ms, 0):014}")
        room = asyncio.Semaphore(_CONCURRENT_DELETIONS)

        async def remove(entry: _Entry) -> str | None:
            async with room:
                return entry.key if await self._remove(entry) else None

        done = [key for key in await asyncio.gather(*map(remove, entries)) if key is not None]
        if done:
            failpoint(FailPoint.AFTER_QUEUED_DATA_DELETION)
            operations = [gateway.delete(DELETIONS, key) for key in done]
            await self._metadata.commit(operations, [], _REQUEST_ID)
        return len(done)

    async def _due(self, before: str) -> list[_Entry]:
        entries: list[_Entry] = []
        options = {"lt": before, "limit": _PAGE_ENTRIES}
        async with aclosing(self._metadata.pages(DELETIONS, options, _REQUEST_ID)) as pages:
            async for page in pages:
                for key, value in page:
                    locations = data_locations(orjson.loads(value)["location"], 0)
                    entries.append(_Entry(key, locations))
        return entries

    async def _remove(self, entry: _Entry) -> bool:
        """Delete the data of an entry; whether all of it is gone."""
        gone = True
        for location in entry.locations:
            try:
                await self._locations.store(location.store_name).delete(location.key)
            except ServiceError as error:
                gone = False
                self._log.warning(
                    "data could not be deleted yet", location=location.store_name, reason=str(error)
                )
        return gone
