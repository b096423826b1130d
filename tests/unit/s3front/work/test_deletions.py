"""Deleting the data of entries that name much of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pytest

from s3front.locations.base import Capabilities, DaemonStore, ObjectInfo, Stored, stored_blob
from s3front.locations.location_config import Location, LocationType, Surroundings
from s3front.locations.registry import TYPES, LocationRegistry
from s3front.locations.remote_store import PlaceError, Trouble, new_mark
from s3front.metadata import gateway
from s3front.s3_errors import S3Error
from s3front.work.deletions import GO_SECONDS, DeletionWorker
from s3front.work.worker import Pace, Tools
from shared.process.logs import get_logger
from shared.records.data_location import DataLocation
from shared.records.names import DEAD_LETTERS, DELETIONS
from tests.backends.native_place import NATIVE, TYPE, Details, NativePlace
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.locations.scripted_remote import ScriptedRemote
from tests.unit.s3front.metadata_twin import MetadataTwin

KEYS = [f"{number:040}" for number in range(50)]


class SlowPlace:
    """A place that takes a tenth of a go for each blob; ``bad`` ones it fails to delete."""

    type = "file"
    capabilities = Capabilities(ranges=True, collected=True)

    def __init__(self) -> None:
        self.now = 1000.0
        self.deleted: list[str] = []
        self.bad: set[str] = set()

    async def delete(self, blob: Stored) -> None:
        self.now += GO_SECONDS / 10
        if blob.key in self.bad:
            raise S3Error("InternalError")
        self.deleted.append(blob.key)


class ManyAtOnce(ScriptedRemote):
    """A place that removes four blobs by one request."""

    capabilities = Capabilities(deletes_at_once=4)

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[list[str]] = []
        self.kept = ""

    async def delete(self, blob: Stored) -> None:
        if blob.key == self.kept:
            raise PlaceError(Trouble.REFUSED, "it is locked")
        self.requests.append([blob.key])

    async def delete_many(self, blobs: Sequence[Stored]) -> None:
        assert 1 < len(blobs) <= self.capabilities.deletes_at_once
        self.requests.append([blob.key for blob in blobs])


class Deletions:
    def __init__(self) -> None:
        self.store = MetadataTwin()
        self.place = SlowPlace()

        def clock() -> float:
            return self.place.now

        self.many = {name: ManyAtOnce() for name in ("here", "there")}
        registry = LocationRegistry(
            {name: Location(name=name, type="scripted") for name in self.many},
            Surroundings(cast(DaemonStore, self.place), get_logger()),
            {"scripted": LocationType(lambda *_: None, lambda each, _: self.many[each.name])},
        )
        tools = Tools(self.store, registry, 0, RecordingLog(), clock, clock)
        self.worker = DeletionWorker(tools)

    async def queue(self, keys: list[str], *more: dict[str, str], name: str = "entry") -> None:
        text = json.dumps({"location": [*({"key": key} for key in keys), *more]})
        await self.store.commit([gateway.put(DELETIONS, f"{0:014}.{name}", text)], [], "")

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


async def test_what_one_place_has_is_removed_by_few_requests(deletions: Deletions) -> None:
    where = ["here"] * 6 + ["there"] + ["here"] * 2 + ["there"] * 5
    entries = [
        {"key": f"blob{number}", "dataStoreName": name, "dataStoreType": "scripted"}
        for number, name in enumerate(where)
    ]
    await deletions.queue(KEYS[:2], *entries)
    await deletions.work()
    assert deletions.place.deleted == KEYS[:2]
    assert deletions.many["here"].requests == [
        ["blob0", "blob1", "blob2", "blob3"],
        ["blob4", "blob5"],
        ["blob7", "blob8"],
    ]
    assert deletions.many["there"].requests == [
        ["blob6"],
        ["blob9", "blob10", "blob11", "blob12"],
        ["blob13"],
    ]
    assert deletions.records(DELETIONS) == []


# --- In places that others run -------------------------------------------------------------------

INFO = ObjectInfo("bucket", "key", "text/plain", {})


class There:
    """A place of files, and the queue of what is to be deleted there."""

    def __init__(self, folder: Path, **can: bool) -> None:
        self.store = MetadataTwin()
        details = Details(str(folder), **can)
        self.place = NativePlace(details)
        self.location = Location(name="there", type=TYPE, details=details)
        self.now = 1000.0

    def worker(self, *locations: Location) -> DeletionWorker:
        surroundings = Surroundings(cast(DaemonStore, SlowPlace()), get_logger())
        by_name = {each.name: each for each in locations}
        registry = LocationRegistry(by_name, surroundings, {**TYPES, TYPE: NATIVE})
        clock = (lambda: self.now, lambda: self.now)
        return DeletionWorker(Tools(self.store, registry, 0, RecordingLog(), *clock))

    async def put(self, content: bytes) -> DataLocation:
        return self.located(await self.place.put(len(content), content, INFO, new_mark()))

    def located(self, blob: Stored) -> DataLocation:
        return DataLocation(
            blob.key, blob.size, 0, "there", TYPE, f"1:{blob.etag}", dict(blob.members())
        )

    async def queue(self, *locations: DataLocation) -> None:
        text = json.dumps({"location": [location.document() for location in locations]})
        await self.store.commit([gateway.put(DELETIONS, f"{0:014}.entry", text)], [], "")

    async def work(self, worker: DeletionWorker) -> None:
        while await worker.step() is Pace.BUSY:
            self.now += 1


@pytest.mark.parametrize("versions", [True, False])
async def test_just_the_blob_that_is_named_is_deleted(tmp_path: Path, versions: bool) -> None:
    there = There(tmp_path, versions=versions)
    former, latest = await there.put(b"former"), await there.put(b"latest")
    await there.queue(former)
    await there.work(there.worker(there.location))
    (blob,) = there.place.blobs()
    assert (blob.content, blob.name) == (b"latest", latest.key)
    assert not there.store.records


async def test_what_has_got_the_name_since_stays(tmp_path: Path) -> None:
    there = There(tmp_path)
    former = await there.put(b"former")
    await there.place.delete(stored_blob(former))
    latest = await there.put(b"latest")
    assert latest.key == former.key
    await there.queue(former)
    await there.work(there.worker(there.location))
    assert [blob.content for blob in there.place.blobs()] == [b"latest"]


async def test_an_upload_is_ended_and_its_parts_go_with_it(tmp_path: Path) -> None:
    there = There(tmp_path, multipart=True)
    upload = await there.place.begin_upload(INFO, new_mark())
    part = await there.place.put_part(upload, 1, 4, b"part")
    await there.queue(there.located(part))
    await there.work(there.worker(there.location))
    assert len(there.place.uploads()) == 1
    assert "delete" not in there.place.calls()
    await there.queue(there.located(upload))
    await there.work(there.worker(there.location))
    assert there.place.uploads() == []
    assert not there.store.records


async def test_a_place_that_does_not_let_us_is_waited_for(tmp_path: Path) -> None:
    there = There(tmp_path)
    await there.queue(await there.put(b"kept"))
    faults = [there.place.fault(verb, "refused") for verb in ("delete", "look")]
    worker = there.worker(there.location)
    await there.work(worker)
    for _ in range(10):
        there.now += 10 * 24 * 3600
        await there.work(worker)
    there.now += 1
    await there.work(worker)
    assert "there" in worker.status()["away"]
    assert {level for level, _ in there.store.records} == {DELETIONS}
    for fault in faults:
        fault.unlink()
    there.now += 24 * 3600
    await there.work(there.worker(there.location))
    assert there.place.blobs() == []


async def test_a_blob_that_a_place_keeps_holds_up_no_other(deletions: Deletions) -> None:
    """Somebody has locked it there."""
    place, places = deletions.many["here"], {"dataStoreName": "here", "dataStoreType": "scripted"}
    place.kept = "kept"
    for key in ("kept", "free"):
        await deletions.queue([], {"key": key, **places}, name=key)
    await deletions.work()
    assert place.requests == [["free"]]
    assert "away" not in deletions.worker.status()
    for _ in range(6):
        deletions.place.now += 2 * 24 * 3600
        await deletions.work()
    (letter,) = deletions.records(DEAD_LETTERS)
    assert "it is locked" in letter["reason"]


async def test_a_location_that_is_not_configured_is_waited_for(tmp_path: Path) -> None:
    there = There(tmp_path)
    await there.queue(await there.put(b"goes"))
    worker = there.worker()
    for _ in range(3):
        await there.work(worker)
        there.now += 10 * 24 * 3600
    assert "'there' is not configured" in worker.status()["away"]["there"]
    assert {level for level, _ in there.store.records} == {DELETIONS}
    await there.work(there.worker(there.location))
    assert there.place.blobs() == []
    assert not there.store.records


async def test_a_location_of_another_type_is_a_dead_letter(tmp_path: Path) -> None:
    there = There(tmp_path)
    await there.queue(await there.put(b"kept"))
    await there.work(there.worker(Location(name="there", type="file")))
    (((level, _), (text, _)),) = there.store.records.items()
    assert level == DEAD_LETTERS
    assert "of another type now: file" in json.loads(text)["reason"]
