"""Deleting the data of entries that name much of it."""

from __future__ import annotations

import json
from typing import Any, cast

import pytest

from s3front.locations.base import DaemonStore, Stored
from s3front.locations.location_config import Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.metadata import gateway
from s3front.s3_errors import S3Error
from s3front.work.deletions import GO_SECONDS, DeletionWorker
from s3front.work.worker import Pace, Tools
from shared.process.logs import get_logger
from shared.records.names import DEAD_LETTERS, DELETIONS
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.metadata_twin import MetadataTwin

KEYS = [f"{number:040}" for number in range(50)]


class SlowPlace:
    """A place that takes a tenth of a go for each blob; ``bad`` ones it fails to delete."""

    type = "file"

    def __init__(self) -> None:
        self.now = 1000.0
        self.deleted: list[str] = []
        self.bad: set[str] = set()

    async def delete(self, blob: Stored) -> None:
        self.now += GO_SECONDS / 10
        if blob.key in self.bad:
            raise S3Error("InternalError")
        self.deleted.append(blob.key)


class Deletions:
    def __init__(self) -> None:
        self.store = MetadataTwin()
        self.place = SlowPlace()

        def clock() -> float:
            return self.place.now

        registry = LocationRegistry({}, Surroundings(cast(DaemonStore, self.place), get_logger()))
        tools = Tools(self.store, registry, 0, RecordingLog(), clock, clock)
        self.worker = DeletionWorker(tools)

    async def queue(self, keys: list[str]) -> None:
        text = json.dumps({"location": [{"key": key} for key in keys]})
        await self.store.commit([gateway.put(DELETIONS, f"{0:014}.entry", text)], [], "")

    async def work(self) -> None:
        while await self.worker.step() is Pace.BUSY:
            self.place.now += 1  # a step takes its time

    def records(self, level: str) -> list[Any]:
        found = self.store.records.items()
        return [json.loads(text) for (each, _), (text, _) in found if each == level]


@pytest.fixture
def deletions() -> Deletions:
    return Deletions()


async def test_an_entry_of_much_data_is_done_in_several_goes(deletions: Deletions) -> None:
    await deletions.queue(KEYS)
    assert await deletions.worker.step() is Pace.BUSY
    assert 0 < len(deletions.place.deleted) < len(KEYS)
    deletions.place.now += 1
    await deletions.work()
    assert deletions.place.deleted == KEYS
    assert deletions.records(DELETIONS) == []
    assert deletions.records(DEAD_LETTERS) == []


async def test_what_fails_of_it_holds_up_nothing_else_of_it(deletions: Deletions) -> None:
    deletions.place.bad = {KEYS[0], KEYS[30]}
    await deletions.queue(KEYS)
    await deletions.work()
    assert set(deletions.place.deleted) == set(KEYS) - deletions.place.bad
    (entry,) = deletions.records(DELETIONS)
    assert {each["key"] for each in entry["location"]} >= deletions.place.bad
    assert entry["tries"] == 1
