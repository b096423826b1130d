"""Removing data that no record owns any more.

The daemon queues it in the commit that takes it from its record (``..deletions``); this worker
deletes it once ``deleteDelaySeconds`` have passed, so that replies which still read it can end.
Data in a kind of place that this server does not know is never tried again. The data of an object
of many parts may take longer than an entry has, so it is deleted in several goes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from s3front.locations.base import stored_blob
from s3front.locations.remote_store import PART_OF, RemoteStore
from s3front.s3_errors import S3Error
from s3front.work.outbox_worker import (
    ENTRY_SECONDS_MAX,
    MoreToDoError,
    NeverError,
    OutboxWorker,
    PlaceAwayError,
)
from s3front.work.place_failures import meaning
from s3front.work.worker import Tools
from shared.records.data_location import DataLocation, data_locations
from shared.records.names import DELETIONS

GO_SECONDS: Final = ENTRY_SECONDS_MAX / 2
"""After so long, what is left of an entry waits for another go."""


class DeletionWorker(OutboxWorker[Sequence[DataLocation]]):
    """See the module."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, DELETIONS, tools.delete_delay_seconds)
        self._locations = tools.locations

    def parse(self, document: Any) -> Sequence[DataLocation]:
        locations = data_locations(document["location"], None)
        # Parts of an upload of their place's own go with it.
        return [each for each in locations if PART_OF not in (each.members or ())]

    def places(self, item: Sequence[DataLocation]) -> Collection[str]:
        return {location.store_name for location in item}

    async def perform(self, item: Sequence[DataLocation]) -> None:
        failures: list[Exception] = []
        failed: list[DataLocation] = []
        clock = self._tools.clock
        go_until = clock() + GO_SECONDS
        number = 0
        while number < len(item):
            if number > len(failed) and clock() > go_until:
                left = (*item[number:], *failed)
                raise MoreToDoError({"location": [each.document() for each in left]})
            together = self._together(item, number)
            try:
                await self._delete(together)
            except S3Error as error:
                failure = await self._meaning(error, item[number])
                if isinstance(failure, PlaceAwayError):
                    raise failure from error
                failures.append(failure)
                failed += together
            number += len(together)
        # What can be deleted of an entry is, whatever else it names.
        for failure in failures:
            if isinstance(failure, NeverError):
                raise failure
        if failures:
            raise failures[0]

    async def _meaning(self, error: S3Error, location: DataLocation) -> Exception:
        known = error.code != "NotImplemented"  # which ``holder`` raises
        store = self._locations.holder(location) if known else None
        return await meaning(error, location.store_name, store)

    def _together(self, item: Sequence[DataLocation], first: int) -> Sequence[DataLocation]:
        """As many as their place removes by one request, from this one on."""
        location = item[first]
        try:
            most = self._locations.holder(location).capabilities.deletes_at_once
        except S3Error:
            most = 1
        place = (location.store_type, location.store_name)
        end = first + 1
        while end < min(first + most, len(item)):
            if (item[end].store_type, item[end].store_name) != place:
                break
            end += 1
        return item[first:end]

    async def _delete(self, together: Sequence[DataLocation]) -> None:
        store = self._locations.holder(together[0])
        if len(together) > 1:
            assert isinstance(store, RemoteStore)
            await store.delete_many([stored_blob(each) for each in together])
        else:
            await store.delete(stored_blob(together[0]))
