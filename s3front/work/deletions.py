"""Removing data that no record owns any more.

The daemon queues it in the commit that takes it from its record (``..deletions``); this worker
deletes it once ``delay_seconds`` have passed, so that replies which still read it can end. An
entry goes only after its data, so a crash repeats a deletion and never forgets one.

No entry holds up another one:

1. A place that is away says nothing of the entry: it stays as it is. The worker goes through the
   queue in turns, and does not begin with the same entries each time.
2. What else fails is tried again later, ``RETRY_SECONDS``, and then set aside as a dead letter with
   the reason. The number of tries is in the entry, so that it counts over all processes.
3. What is no entry, and data in a kind of place that this server does not know, is set aside at
   once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from s3front.locations.base import DataStore, stored_blob
from s3front.locations.registry import LocationRegistry
from s3front.metadata import gateway
from s3front.metadata.gateway import MetadataGateway, Operation
from s3front.s3_errors import S3Error
from s3front.work.dead_letters import set_aside, tries_of
from shared.failpoints import FailPoint, failpoint
from shared.process.logs import EventLog
from shared.records.data_location import DataLocation, data_locations
from shared.records.names import DELETIONS

RETRY_SECONDS: Final = (60, 600, 3600, 6 * 3600, 24 * 3600)
"""How long after each failure an entry is tried again."""

_PAGE_ENTRIES = 200
_CONCURRENT_DELETIONS = 16
_REQUEST_ID = "deletions"


@dataclass(frozen=True, slots=True)
class _Entry:
    """An entry as it was read. ``problem`` says why it is none; then it has no locations."""

    key: str
    text: str | None
    document: dict[str, Any]
    locations: Sequence[DataLocation]
    problem: str | None = None

    @classmethod
    def parse(cls, key: str, text: str | None) -> _Entry:
        if text is None:
            return cls(key, None, {}, [], "the record is damaged")
        try:
            document = orjson.loads(text)
            return cls(key, text, document, data_locations(document["location"], None))
        except (ValueError, KeyError, TypeError) as error:
            return cls(key, text, {}, [], f"it names no data: {error}")

    @property
    def tries(self) -> int:
        """How often it has failed."""
        return tries_of(self.document)


class _AwayError(Exception):
    """The place of some of the data is away."""


class DeletionWorker:
    """See the module; ``run_once`` is called again and again by whoever holds the lease."""

    def __init__(
        self,
        metadata: MetadataGateway,
        locations: LocationRegistry,
        log: EventLog,
        delay_seconds: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._metadata = metadata
        self._locations = locations
        self._log = log
        self._delay_ms = int(delay_seconds * 1000)
        self._clock = clock
        self._after = ""

    async def run_once(self) -> int:
        """Look at what is due, up to one page; how many entries that settled, one way or another,
        so that there may be more to do."""
        now_ms = int(self._clock() * 1000)
        entries = await self._due(now_ms)
        room = asyncio.Semaphore(_CONCURRENT_DELETIONS)
        away: set[DataStore] = set()

        async def settle(entry: _Entry) -> Sequence[Operation]:
            async with room:
                return await self._settle(entry, away, now_ms)

        settled = [each for each in await asyncio.gather(*map(settle, entries)) if each]
        if settled:
            failpoint(FailPoint.AFTER_QUEUED_DATA_DELETION)
            operations = [operation for each in settled for operation in each]
            await self._metadata.commit(operations, [], _REQUEST_ID)
        return len(settled)

    async def _due(self, now_ms: int) -> list[_Entry]:
        """The next page of entries, behind those of the last one."""
        options = {"lt": f"{max(now_ms - self._delay_ms, 0):014}", "limit": _PAGE_ENTRIES}
        if self._after:
            options["gt"] = self._after
        keys = await self._metadata.keys(DELETIONS, options, _REQUEST_ID)
        self._after = keys[-1] if len(keys) == _PAGE_ENTRIES else ""
        read = await self._metadata.get_each([(DELETIONS, key) for key in keys], _REQUEST_ID)
        # One that is gone was somebody else's, who had the lease before.
        return [
            _Entry.parse(key, found.text)
            for key, found in zip(keys, read, strict=True)
            if found is not None
        ]

    async def _settle(
        self, entry: _Entry, away: set[DataStore], now_ms: int
    ) -> Sequence[Operation]:
        """Delete the data of an entry; what becomes of the entry, nothing when it stays."""
        if entry.problem is not None:
            return self._give_up(entry, entry.problem, now_ms)
        try:
            failures = [
                error
                for location in entry.locations
                if (error := await self._remove(location, away)) is not None
            ]
        except _AwayError:
            return ()
        if not failures:
            return [gateway.delete(DELETIONS, entry.key)]
        reason = str(failures[0])
        lasting = any(_is_lasting(error) for error in failures)
        if lasting or entry.tries >= len(RETRY_SECONDS):
            return self._give_up(entry, reason, now_ms)
        self._log.warning("data could not be deleted yet", entry=entry.key, reason=reason)
        due_ms = now_ms + RETRY_SECONDS[entry.tries] * 1000 - self._delay_ms
        later = f"{max(due_ms, 0):014}.{entry.key.partition('.')[2]}"
        document = {**entry.document, "tries": entry.tries + 1, "reason": reason}
        put = gateway.put(DELETIONS, later, orjson.dumps(document).decode())
        return [gateway.delete(DELETIONS, entry.key), put]

    async def _remove(self, location: DataLocation, away: set[DataStore]) -> S3Error | None:
        """Delete one stretch; why it could not be. Raises _AwayError."""
        try:
            store = self._locations.holder(location)
        except S3Error as error:
            return error
        if store in away:
            raise _AwayError
        try:
            await store.delete(stored_blob(location, location.size))
        except S3Error as error:
            if error.status != 503:
                return error
            if store not in away:
                away.add(store)
                self._log.warning(
                    "data cannot be deleted while its place is away",
                    location=location.store_name,
                    reason=str(error),
                )
            raise _AwayError from error
        return None

    def _give_up(self, entry: _Entry, reason: str, now_ms: int) -> Sequence[Operation]:
        self._log.error("data cannot be deleted", entry=entry.key, reason=reason)
        return set_aside(DELETIONS, entry.key, entry.text, reason, now_ms)


def _is_lasting(error: S3Error) -> bool:
    """Whether trying again cannot help."""
    return error.code == "NotImplemented"
