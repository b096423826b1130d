"""The journal of strays and its worker: what no record names is removed, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest

from s3front.locations.base import ObjectInfo
from s3front.locations.location_config import Location, Surroundings
from s3front.locations.registry import TYPES, LocationRegistry
from s3front.locations.remote_store import new_mark
from s3front.metadata import gateway
from s3front.metadata.strays import Stray, StrayNote, commit_noted, forget_strays, note_stray
from s3front.s3_errors import S3Error
from s3front.work.stray_removal import StrayWorker
from s3front.work.worker import Pace, Tools
from shared.process.logs import get_logger
from shared.records.names import DEAD_LETTERS, STRAYS
from tests.backends.native_place import NATIVE, TYPE, Details, NativePlace
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.metadata_twin import MetadataTwin

GRACE_SECONDS = 100.0
INFO = ObjectInfo("bucket", "key", "text/plain", {})
RECORD = gateway.put("bucket", "key", "{}")


class Journal:
    """The journal, a place, and the clock of the worker, which goes on from that of the notes."""

    def __init__(self, folder: Path) -> None:
        self.store = MetadataTwin()
        details = Details(str(folder))
        self.place = NativePlace(details)
        self.location = Location(name="there", type=TYPE, details=details)
        self.now = 0.0

    def worker(self, *locations: Location) -> StrayWorker:
        surroundings = Surroundings(cast(Any, None), get_logger())
        registry = LocationRegistry({each.name: each for each in locations}, surroundings, _TYPES)
        clock = (lambda: self.now, lambda: self.now)
        return StrayWorker(Tools(self.store, registry, 0, RecordingLog(), *clock, GRACE_SECONDS))

    async def note(self) -> StrayNote:
        note = await note_stray(self.store, Stray("there", "bucket", "key", new_mark()), "")
        self.now = int(note.key[:14]) / 1000
        return note

    async def work(self, *, after_seconds: float = GRACE_SECONDS + 1) -> None:
        self.now += after_seconds
        worker = self.worker(self.location)
        while await worker.step() is Pace.BUSY:
            self.now += 0.01

    def records(self, level: str) -> list[Any]:
        found = self.store.records.items()
        return [json.loads(text) for (each, _), (text, _) in found if each == level]


_TYPES = {**TYPES, TYPE: NATIVE}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


async def test_what_no_record_names_is_removed_by_its_mark(journal: Journal) -> None:
    lost, other = await journal.note(), new_mark()
    for mark in (lost.mark, other):
        await journal.place.put(3, b"abc", INFO, mark)
    upload = await journal.place.begin_upload(INFO, lost.mark)
    assert journal.place.uploads() == [upload.extra["dataStoreUploadId"]]
    await journal.work()
    assert [blob.mark for blob in journal.place.blobs()] == [other]
    assert journal.place.uploads() == []
    assert journal.records(STRAYS) == []


async def test_a_young_note_stays(journal: Journal) -> None:
    note = await journal.note()
    await journal.place.put(3, b"abc", INFO, note.mark)
    await journal.work(after_seconds=GRACE_SECONDS / 2)
    assert len(journal.place.blobs()) == 1
    assert len(journal.records(STRAYS)) == 1


async def test_a_commit_deletes_the_notes_of_what_it_names(journal: Journal) -> None:
    note = await journal.note()
    await journal.place.put(3, b"abc", INFO, note.mark)
    committed = await commit_noted(journal.store, [RECORD], [], [note], "")
    assert committed.revisions == [journal.store.revision("bucket", "key")]
    assert journal.records(STRAYS) == []
    await journal.work()
    assert len(journal.place.blobs()) == 1


async def test_a_commit_that_is_late_fails(journal: Journal) -> None:
    """Whether what it names has been removed, or is only about to be."""
    removed = await journal.note()
    await journal.work()
    condemned = await journal.note()
    journal.place.fault("remove_strays", "refused")
    await journal.work()
    assert [each["condemned"] for each in journal.records(STRAYS)] == [True]
    for note in (removed, condemned):
        with pytest.raises(S3Error, match="ServiceUnavailable"):
            await commit_noted(journal.store, [RECORD], [], [note], "")
    assert journal.records("bucket") == []


async def test_a_commit_while_the_worker_looks_keeps_its_blob(journal: Journal) -> None:
    """The worker has read the note; then the commit takes it; then the worker condemns it."""
    note = await journal.note()
    await journal.place.put(3, b"abc", INFO, note.mark)
    journal.now += GRACE_SECONDS + 1
    worker = journal.worker(journal.location)
    commit = journal.store.commit

    async def faster(operations: Any, requires: Any, request_id: str) -> Any:
        journal.store.commit = commit  # type: ignore[method-assign]
        await commit_noted(journal.store, [RECORD], [], [note], "")
        return await commit(operations, requires, request_id)

    journal.store.commit = faster  # type: ignore[assignment,method-assign]
    while await worker.step() is Pace.BUSY:
        pass
    assert journal.records(STRAYS) == []
    assert len(journal.place.blobs()) == 1
    assert journal.place.calls() == ["put"]


async def test_other_requirements_fail_as_ever(journal: Journal) -> None:
    note = await journal.note()
    with pytest.raises(gateway.ChangedError) as caught:
        await commit_noted(
            journal.store, [RECORD], [gateway.is_present("bucket", "key")], [note], ""
        )
    assert caught.value.index == 0
    assert len(journal.records(STRAYS)) == 1


async def test_a_note_is_forgotten_when_nothing_was_stored(journal: Journal) -> None:
    await forget_strays(journal.store, [await journal.note(), await journal.note()], "")
    assert journal.records(STRAYS) == []


@pytest.mark.parametrize("trouble", ["unreached", "busy", "refused"])
async def test_a_place_that_is_away_or_does_not_let_us_is_waited_for(
    journal: Journal, trouble: str
) -> None:
    note = await journal.note()
    await journal.place.put(3, b"abc", INFO, note.mark)
    faults = [journal.place.fault(verb, trouble) for verb in ("remove_strays", "look")]
    await journal.work()
    await journal.work(after_seconds=10 * 24 * 3600)
    assert len(journal.records(STRAYS)) == 1
    assert journal.records(DEAD_LETTERS) == []
    for fault in faults:
        fault.unlink()
    await journal.work()
    assert journal.place.blobs() == []
    assert journal.records(STRAYS) == []


async def test_a_location_that_is_not_configured_is_waited_for(journal: Journal) -> None:
    note = await journal.note()
    await journal.place.put(3, b"abc", INFO, note.mark)
    journal.now += GRACE_SECONDS + 1
    worker = journal.worker()
    for _ in range(3):
        while await worker.step() is Pace.BUSY:
            journal.now += 0.01
        journal.now += 24 * 3600
    assert "'there' is not configured" in worker.status()["away"]["there"]
    assert [each["condemned"] for each in journal.records(STRAYS)] == [True]
    await journal.work()
    assert journal.place.blobs() == []
    assert journal.records(STRAYS) == journal.records(DEAD_LETTERS) == []


async def test_a_location_that_others_run_no_more_is_a_dead_letter(journal: Journal) -> None:
    await journal.note()
    journal.now += GRACE_SECONDS + 1
    worker = journal.worker(Location(name="there", type="file"))
    while await worker.step() is Pace.BUSY:
        journal.now += 0.01
    (letter,) = journal.records(DEAD_LETTERS)
    assert "'there' is of another type now: file" in letter["reason"]
    assert json.loads(letter["entry"])["condemned"] is True
