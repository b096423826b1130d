"""The worker of an outbox, over a store that is a dictionary: no entry holds up another one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from s3front.locations.location_config import Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.metadata import gateway
from s3front.metadata.outbox import outbox_level
from s3front.s3_errors import S3Error
from s3front.work import outbox_worker
from s3front.work.dead_letters import dead_letters, put_back
from s3front.work.outbox_worker import (
    LOOK_AGAIN_SECONDS,
    RETRY_SECONDS,
    NeverError,
    OutboxWorker,
    PlaceAwayError,
)
from s3front.work.worker import Pace, Tools
from shared.records.names import DEAD_LETTERS
from tests.unit.dmd.metadata.support import RecordingLog, until
from tests.unit.s3front.metadata_twin import MetadataTwin

LEVEL = outbox_level("entries")


class Entries(OutboxWorker[str]):
    """Entries are names. ``behaviour`` is what becomes of some; the place of one is its first
    letter."""

    def __init__(self, store: MetadataTwin) -> None:
        self.now = 1000.0
        self.done: list[str] = []
        self.behaviour: dict[str, Exception] = {}
        self.endless: set[str] = set()
        self.store = store
        locations = LocationRegistry({}, Surroundings(None, None))  # type: ignore[arg-type]  # nobody asks
        super().__init__(
            Tools(store, locations, 0, RecordingLog(), lambda: self.now, lambda: self.now), LEVEL
        )

    def parse(self, document: Any) -> str:
        return str(document["name"])

    def places(self, item: str) -> list[str]:
        return [item[0]]

    async def perform(self, item: str) -> None:
        if item in self.endless:
            await asyncio.Event().wait()
        if item in self.behaviour:
            raise self.behaviour[item]
        self.done.append(item)

    async def queue(self, *names: str, at: int = 0) -> None:
        puts = [
            gateway.put(LEVEL, f"{at:014}.{name}", json.dumps({"name": name})) for name in names
        ]
        await self.store.commit(puts, [], "")

    async def work(self) -> None:
        while await self.step() is Pace.BUSY:
            pass

    def queued(self) -> dict[str, Any]:
        return {
            key.partition(".")[2]: json.loads(text)
            for (level, key), (text, _) in self.store.records.items()
            if level == LEVEL
        }

    def set_aside(self) -> set[str]:
        records = self.store.records.items()
        return {
            json.loads(text)["key"].partition(".")[2]
            for (level, _), (text, _) in records
            if level == DEAD_LETTERS
        }


@pytest.fixture
def entries() -> Entries:
    return Entries(MetadataTwin())


async def test_what_hangs_is_postponed_and_the_others_are_done(
    entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_worker, "ENTRY_SECONDS_MAX", 0.02)
    entries.endless = {"hangs"}
    await entries.queue("a", "hangs", "z")
    await entries.work()
    assert entries.done == ["a", "z"]
    assert entries.queued()["hangs"]["tries"] == 1
    assert "longer than" in entries.queued()["hangs"]["reason"]


async def test_however_many_hang_a_step_ends(
    entries: Entries, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a step did not begin with is done by the next ones."""
    monkeypatch.setattr(outbox_worker, "ENTRY_SECONDS_MAX", 0.01)
    names = [f"h{number:03}" for number in range(100)]
    entries.endless = set(names)
    await entries.queue(*names, "hz")
    steps = 0
    advance = asyncio.get_running_loop().time
    begun = advance()
    entries._tools = Tools(
        entries.store,
        entries._tools.locations,
        0,
        RecordingLog(),
        lambda: (advance() - begun) * 3000,
        lambda: entries.now,
    )
    while entries.done != ["hz"]:
        assert await entries.step() is Pace.BUSY
        steps += 1
    assert steps > 1
    assert set(entries.queued()) == set(names)
    assert all(entry["tries"] == 1 for entry in entries.queued().values())


@pytest.mark.parametrize(
    "error", [S3Error("InternalError"), RuntimeError("a defect"), KeyError("poison")]
)
async def test_what_fails_is_tried_so_often_and_then_set_aside(
    entries: Entries, error: Exception
) -> None:
    entries.behaviour = {"bad": error}
    await entries.queue("bad")
    for seconds in RETRY_SECONDS:
        await entries.work()
        assert "bad" in entries.queued()
        entries.now += seconds + 1
    await entries.work()
    assert entries.queued() == {}
    assert entries.set_aside() == {"bad"}
    assert entries.status() == {"done": 0, "postponed": len(RETRY_SECONDS), "setAside": 1}


async def test_what_can_never_be_done_is_set_aside_at_once(entries: Entries) -> None:
    entries.behaviour = {"never": NeverError("no such kind of place")}
    await entries.queue("never", "other")
    await entries.work()
    assert entries.set_aside() == {"never"}
    assert entries.done == ["other"]


async def test_entries_that_wait_are_not_read_again_and_again(entries: Entries) -> None:
    names = [f"a{number:04}" for number in range(1000)]
    entries.behaviour = {name: PlaceAwayError("a", "it is away") for name in names}
    await entries.queue(*names)
    await entries.work()
    read: list[int] = []
    usual = entries.store.get_each

    async def counting(wanted: Any, request_id: str) -> Any:
        read.append(len(wanted))
        return await usual(wanted, request_id)

    entries.store.get_each = counting  # type: ignore[method-assign]
    for number in range(100):
        await entries.queue(f"b{number}", at=1 + number)
        entries.now += 1
        await entries.work()
    assert len(entries.done) == 100
    assert sum(read) < 100 + 20 * 20
    assert set(entries.queued()) == set(names)
    # A clock that went back has put one before those that wait.
    await entries.queue("b-late")
    entries.now += LOOK_AGAIN_SECONDS
    await entries.work()
    assert entries.done[-1] == "b-late"


async def test_a_commit_that_fails_repeats_the_entries(entries: Entries) -> None:
    await entries.queue("a")
    entries.store.refused_commits = 1
    with pytest.raises(S3Error):
        await entries.step()
    await entries.work()
    assert entries.done == ["a", "a"]
    assert entries.queued() == {}


@pytest.mark.parametrize("loses", ["commit", "read"])
async def test_a_place_whose_trial_fails_is_tried_again(entries: Entries, loses: str) -> None:
    """What waited for it lies before the entries that were read since."""
    away: dict[str, Exception] = {"a": PlaceAwayError("a", "it is away")}
    entries.behaviour = away
    await entries.queue("a")
    await entries.work()
    await entries.queue("b", at=1)
    await entries.work()
    away.clear()
    entries.now += 1
    if loses == "commit":
        entries.store.refused_commits = 1
    else:
        entries.store.is_away = True
    with pytest.raises(S3Error):
        await entries.step()
    entries.store.is_away = False
    await entries.work()
    assert entries.queued() == {}


def refusing(code: str, texts: dict[str, str]) -> Callable[[gateway.Operation], S3Error | None]:
    """No value may be written that has one of these texts in it, in the sub-level of the text."""

    def refuses(operation: gateway.Operation) -> S3Error | None:
        (level,) = operation["subLevel"]
        is_put = operation["type"] == "put" and level in texts
        return S3Error(code) if is_put and texts[level] in operation["value"] else None

    return refuses


async def test_what_cannot_be_written_of_one_holds_no_other_up(entries: Entries) -> None:
    entries.behaviour = {name: S3Error("InternalError") for name in ("later", "long")}
    entries.behaviour |= {"never": NeverError("no such kind of place")}
    await entries.queue("good", "later", "long", "never")
    entries.store.refuses = refusing("InternalError", {LEVEL: "long", DEAD_LETTERS: '{\\"name'})
    await entries.work()
    assert entries.done == ["good"]
    assert set(entries.queued()) == {"later"}
    assert entries.set_aside() == {"long", "never"}
    assert entries.status() == {"done": 1, "postponed": 1, "setAside": 2}


async def test_on_a_full_disk_what_is_done_leaves_the_queue(entries: Entries) -> None:
    entries.behaviour = {"later": S3Error("InternalError"), "never": NeverError("no place")}
    await entries.queue("good", "later", "never")
    entries.store.refuses = refusing("InsufficientStorage", {LEVEL: "", DEAD_LETTERS: ""})
    await entries.work()
    assert set(entries.queued()) == {"later", "never"}
    entries.store.refuses = refusing("", {})
    await entries.work()
    assert entries.done == ["good"]
    assert set(entries.queued()) == {"later"}
    assert entries.set_aside() == {"never"}


async def test_what_fails_at_a_key_of_no_queue_stays_apart(entries: Entries) -> None:
    """Two such keys have no name, and a third one is the longest that there is."""
    keys = ["a", "b", "0." + "x" * 1960]
    entries.behaviour = {"bad": S3Error("InternalError")}
    puts = [gateway.put(LEVEL, key, '{"name":"bad"}') for key in keys]
    await entries.store.commit(puts, [], "")
    entries.now = 10.0**11
    await entries.work()
    later = [key for level, key in entries.store.records if level == LEVEL]
    assert len(later) == 3
    assert all(len(key) < 100 for key in later)


async def test_the_largest_entries_of_a_page_are_not_one_message(entries: Entries) -> None:
    large = {"name": "bad", "rest": "x" * 10**6}
    entries.behaviour = {"bad": S3Error("InternalError")}
    await entries.store.commit(
        [gateway.put(LEVEL, f"{number:014}.{number}", json.dumps(large)) for number in range(10)],
        [],
        "",
    )
    before = entries.store.commits
    await entries.step()
    assert entries.status()["postponed"] == 10
    assert entries.store.commits == before + 3


async def test_letters_that_are_set_aside_again_are_put_back_once(entries: Entries) -> None:
    names = [f"never{number:03}" for number in range(300)]
    entries.behaviour = {name: NeverError("no such kind of place") for name in names}
    await entries.queue(*names)
    await entries.work()
    put_back_names = []
    async for letter in dead_letters(entries.store):
        put_back_names.append(letter.key.partition(".")[2])
        entries.now += 1
        assert await put_back(entries.store, letter, int(entries.now * 1000) - 1) is None
        await entries.work()
        assert len(put_back_names) <= len(names)
    assert put_back_names == names
    assert entries.set_aside() == set(names)


async def test_a_place_that_hangs_holds_up_no_other(entries: Entries) -> None:
    """Neither when it is found to be away, nor when it is tried again, however long that takes."""
    away: dict[str, Exception] = {
        f"a{number:02}": PlaceAwayError("a", "it is away") for number in range(60)
    }
    entries.behaviour = away
    await entries.queue(*away)
    await entries.work()
    entries.behaviour = {}
    entries.endless = set(away)
    entries.now += 1
    for number in range(3):
        await entries.queue(f"b{number}", at=1 + number)
        await asyncio.wait_for(entries.work(), 5)
    assert entries.done == ["b0", "b1", "b2"]
    assert len(entries._trials) == 1
    for trial in entries._trials.values():
        trial.cancel()


async def test_entries_of_others_are_done_while_some_hang(entries: Entries) -> None:
    entries.endless = {f"a{number:02}" for number in range(60)}
    await entries.queue(*entries.endless, "b")
    step = asyncio.ensure_future(entries.step())
    await until(lambda: entries.done == ["b"])
    assert not step.done()
    step.cancel()


async def test_nothing_is_done_twice_at_once(entries: Entries) -> None:
    """A trial and the rest of a step may come upon the same entries."""
    away: dict[str, Exception] = {"a": PlaceAwayError("a", "it is away")}
    entries.behaviour = away
    names = [f"b{number:02}" for number in range(5)]
    await entries.queue("a", *names)
    await entries.step()
    away.clear()
    await entries.queue("a2", "b9", at=1)
    entries.now += LOOK_AGAIN_SECONDS
    await entries.work()
    assert sorted(entries.done) == sorted(["a", "a2", *names, "b9"])
    assert entries.queued() == {}


async def test_places_that_are_tried_at_once_are_told_apart(entries: Entries) -> None:
    """Their entries lie among each other."""
    away: dict[str, Exception] = {
        name: PlaceAwayError(name[0], "it is away") for name in ("a1", "b1", "a2", "b2")
    }
    entries.behaviour = away
    await entries.queue(*away)
    for _ in range(100):
        await entries.work()
        entries.now += 1
    for name in ("b1", "b2"):
        del away[name]
    entries.now += outbox_worker.AWAY_SECONDS_MAX
    await entries.work()
    assert sorted(entries.done) == ["b1", "b2"]
    assert set(entries.status()["away"]) == {"a"}
    away.clear()
    entries.now += outbox_worker.AWAY_SECONDS_MAX
    await entries.work()
    assert sorted(entries.done) == ["a1", "a2", "b1", "b2"]


async def test_one_answer_is_enough_for_a_place_that_lets_one_request_through(
    entries: Entries,
) -> None:
    """While a place is cut off, only one of the entries of a trial gets to it."""
    names = ["a1", "a2", "a3"]
    entries.behaviour = {name: PlaceAwayError("a", "it is away") for name in names}
    await entries.queue(*names)
    await entries.work()
    unasked = PlaceAwayError("a", "it is not asked", was_asked=False)
    entries.behaviour = dict.fromkeys(("a1", "a3"), unasked)
    entries.now += 1
    await entries.step()
    assert entries.done == ["a2"]
    entries.behaviour = {}
    await entries.work()
    assert sorted(entries.done) == names
    assert "away" not in entries.status()


async def test_a_place_that_was_not_even_asked_is_not_left_alone_for_longer(
    entries: Entries,
) -> None:
    entries.behaviour = {"a": PlaceAwayError("a", "it is not asked", was_asked=False)}
    await entries.queue("a")
    await entries.work()
    for _ in range(10):
        entries.now += outbox_worker.AWAY_SECONDS_MIN
        await entries.work()
        assert set(entries.status()["away"]) == {"a"}
    entries.behaviour = {}
    entries.now += outbox_worker.AWAY_SECONDS_MIN
    await entries.work()
    assert entries.done == ["a"]
