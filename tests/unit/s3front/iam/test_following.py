"""A directory is as the metadata have it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Any

import pytest

from s3front.iam import change_log, following, store
from s3front.iam.records import VERSION_KEY
from s3front.iam.user_changes import create_user, delete_user
from s3front.metadata.gateway import Entry
from s3front.s3_errors import S3Error
from shared.records.names import IAM, IAM_CHANGES
from tests.unit.s3front.iam.stored_identities import BART_ID, Front
from tests.unit.s3front.metadata_twin import MetadataTwin


class _Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _is_fresh(front: Front) -> bool:
    return front.following.is_fresh


async def _make(front: Front, *names: str) -> None:
    for name in names:
        await front.change(lambda d, name=name: create_user(d, BART_ID, name))  # type: ignore[misc]


def _users(front: Front) -> list[str]:
    return [key.rpartition("/")[2] for key in front.directory.identities.keys(f"user/{BART_ID}")]


async def test_a_look_when_nothing_has_changed_reads_one_record() -> None:
    metadata = MetadataTwin()
    one, other = Front(metadata), Front(metadata)
    await _make(one, "a")
    await other.directory.refresh()
    before = metadata.reads
    await other.directory.refresh()
    assert metadata.reads == before + 1


async def test_only_what_has_changed_is_read_again() -> None:
    metadata = MetadataTwin()
    one, other = Front(metadata), Front(metadata)
    await _make(one, "a", "b")
    await other.directory.refresh()
    kept = other.directory.identities.text(f"user/{BART_ID}/a")
    await _make(one, "c")
    await one.change(lambda d: delete_user(d, BART_ID, "b"))
    await other.directory.refresh()
    assert _users(other) == ["a", "c"]
    assert other.directory.identities.text(f"user/{BART_ID}/a") is kept


async def test_what_is_changed_while_changes_are_read_is_not_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metadata = MetadataTwin()
    one, other = Front(metadata), Front(metadata)
    await _make(one, "a")
    await other.directory.refresh()
    await _make(one, "b")
    read = metadata.get_many

    async def then_change(wanted: Sequence[tuple[str, str]], request_id: str) -> list[Entry | None]:
        found = await read(wanted, request_id)
        if wanted[0][0] == IAM_CHANGES:
            monkeypatch.undo()
            await _make(one, "c")
        return found

    monkeypatch.setattr(metadata, "get_many", then_change)
    await other.directory.refresh()
    await other.directory.refresh()
    assert _users(other) == ["a", "b", "c"]


async def test_who_has_missed_more_changes_than_are_kept_reads_everything(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(change_log, "KEPT_CHANGES", 3)
    metadata = MetadataTwin()
    one, other = Front(metadata), Front(metadata)
    await other.directory.refresh()
    await _make(one, "a", "b", "c", "d", "e")
    assert len([level for level, _ in metadata.records if level == IAM_CHANGES]) == 3
    await other.directory.refresh()
    assert _users(other) == ["a", "b", "c", "d", "e"]


async def test_a_store_that_was_put_back_is_read_again() -> None:
    metadata = MetadataTwin()
    one, other = Front(metadata), Front(metadata)
    await _make(one, "a")
    backup = dict(metadata.records)
    await _make(one, "b", "c")
    await other.directory.refresh()
    metadata.records = backup
    metadata.connections += 1
    third = Front(metadata)
    await _make(third, "d", "e", "f")
    await other.directory.refresh()
    assert _users(other) == ["a", "d", "e", "f"]


async def test_a_store_that_is_empty_again_has_nobody() -> None:
    metadata = MetadataTwin()
    one = Front(metadata)
    await _make(one, "a")
    metadata.records.clear()
    metadata.connections += 1
    await one.directory.refresh()
    assert _users(one) == []
    await _make(one, "b")
    assert _users(one) == ["b"]


async def test_everything_is_read_again_from_a_daemon_that_has_no_commits() -> None:
    metadata = MetadataTwin()
    metadata.atomic = False
    one, other = Front(metadata), Front(metadata)
    await _make(one, "a")
    await other.directory.refresh()
    # Somebody else's list of changes was lost.
    hidden = metadata.records[IAM, f"user/{BART_ID}/a"]
    metadata.records[IAM, f"user/{BART_ID}/z"] = (hidden[0].replace('"a"', '"z"'), 77)
    await _make(one, "b")
    await other.directory.refresh()
    assert _users(other) == ["a", "b", "z"]


async def test_many_at_once_ask_twice_at_most() -> None:
    metadata = MetadataTwin()
    front = Front(metadata)
    await front.directory.refresh()
    before = metadata.reads
    await asyncio.gather(*(front.directory.refresh() for _ in range(100)))
    assert metadata.reads == before + 2


async def test_one_question_is_under_way_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = MetadataTwin()
    front = Front(metadata)
    asking, most = 0, 0
    ask = metadata.get_with_known

    async def counted(*arguments: Any) -> Any:
        nonlocal asking, most
        asking += 1
        most = max(most, asking)
        try:
            await asyncio.sleep(0.01)
            return await ask(*arguments)
        finally:
            asking -= 1

    monkeypatch.setattr(metadata, "get_with_known", counted)
    refreshing = []
    for _ in range(20):
        refreshing.append(asyncio.create_task(front.directory.refresh()))
        await asyncio.sleep(0)
    await asyncio.gather(*refreshing)
    assert most == 1


async def test_who_asks_while_a_question_is_under_way_gets_a_later_answer() -> None:
    metadata = MetadataTwin()
    one, other = Front(metadata), Front(metadata)
    await other.directory.refresh()
    first = asyncio.create_task(other.directory.refresh())
    await asyncio.sleep(0)
    await _make(one, "a")
    await other.directory.refresh()
    assert _users(other) == ["a"]
    await first


async def test_who_goes_away_takes_the_answer_from_nobody() -> None:
    metadata = MetadataTwin()
    front = Front(metadata)
    tasks = [asyncio.create_task(front.directory.refresh()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    tasks[1].cancel()
    with suppress(asyncio.CancelledError):
        await tasks[0]
    await tasks[2]
    await front.directory.refresh()
    assert _is_fresh(front)


async def test_what_was_told_is_good_for_a_while_and_over_one_connection() -> None:
    metadata, clock = MetadataTwin(), _Clock()
    front = Front(metadata, clock)
    assert not _is_fresh(front)
    await front.directory.ready()
    assert _is_fresh(front)
    metadata.is_away = True
    clock.now += following.FRESH_SECONDS - 0.1
    await front.directory.ready()
    clock.now += 0.2
    with pytest.raises(S3Error) as caught:
        await front.directory.ready()
    assert caught.value.code == "ServiceUnavailable"
    metadata.is_away = False
    await front.directory.ready()
    metadata.connections += 1
    assert not _is_fresh(front)


async def test_a_damaged_count_of_changes_is_no_state() -> None:
    metadata = MetadataTwin()
    front = Front(metadata)
    metadata.records[IAM, VERSION_KEY] = ("{", 1)
    with pytest.raises(S3Error) as caught:
        await front.directory.ready()
    assert caught.value.code == "InternalError"


async def test_looks_go_on_when_the_metadata_are_back() -> None:
    metadata = MetadataTwin()
    metadata.is_away = True
    front = Front(metadata)
    looking = asyncio.create_task(front.following.run())
    await asyncio.sleep(0.01)
    assert not _is_fresh(front)
    metadata.is_away = False
    async with asyncio.timeout(5):
        while not _is_fresh(front):  # noqa: ASYNC110  # what it waits for has no event
            await asyncio.sleep(0.01)
    looking.cancel()
    with suppress(asyncio.CancelledError):
        await looking


class _Silent:
    """Metadata that do not answer for a while, and count who waits for them."""

    def __init__(self, metadata: MetadataTwin, monkeypatch: pytest.MonkeyPatch) -> None:
        self._ask = metadata.get_with_known
        self.speak = asyncio.Event()
        monkeypatch.setattr(metadata, "get_with_known", self._held)

    async def _held(self, *arguments: Any) -> Any:
        await self.speak.wait()
        return await self._ask(*arguments)


def _silence(monkeypatch: pytest.MonkeyPatch, seconds: float = 0.2) -> None:
    monkeypatch.setattr(following, "SILENCE_SECONDS_MAX", seconds)
    monkeypatch.setattr(following, "LATER_SECONDS_MAX", seconds / 10)


async def _unanswered(front: Front) -> float:
    """How many seconds somebody waits for nothing."""
    begun = time.monotonic()
    async with asyncio.timeout(10):
        with pytest.raises(S3Error) as caught:
            await front.directory.refresh()
    assert caught.value.code == "ServiceUnavailable"
    return time.monotonic() - begun


async def test_nobody_waits_long_for_metadata_that_are_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metadata = MetadataTwin()
    front = Front(metadata, time.monotonic)
    await _make(front, "a")
    _silence(monkeypatch, 1.0)
    silent = _Silent(metadata, monkeypatch)
    first = asyncio.create_task(_unanswered(front))
    await asyncio.sleep(0.1)
    assert await _unanswered(front) < 5
    assert await first >= 1.0
    # Who comes when it has been silent for that long need not wait for as long again.
    assert await _unanswered(front) < 0.9
    silent.speak.set()
    await front.directory.refresh()
    assert _is_fresh(front)


async def test_metadata_that_tell_much_are_not_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = MetadataTwin()
    await _make(Front(metadata), "a")
    _silence(monkeypatch)
    pages = metadata.pages

    async def slowly(*arguments: Any) -> AsyncGenerator[list[tuple[str, str]], None]:
        for _ in range(6):
            await asyncio.sleep(following.SILENCE_SECONDS_MAX / 2)
            yield []
        async for page in pages(*arguments):
            yield page

    monkeypatch.setattr(metadata, "pages", slowly)
    front = Front(metadata, time.monotonic)
    await front.directory.refresh()
    assert _users(front) == ["a"]


async def test_changes_do_not_wait_in_line_for_metadata_that_are_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    metadata = MetadataTwin()
    front = Front(metadata, time.monotonic)
    await _make(front, "a")
    _silence(monkeypatch)
    monkeypatch.setattr(following, "FRESH_SECONDS", 0.2)
    monkeypatch.setattr(store, "TURN_LOOK_SECONDS", 0.05)
    commit, speak = metadata.commit, asyncio.Event()

    async def held(*arguments: Any) -> Any:
        await speak.wait()
        return await commit(*arguments)

    monkeypatch.setattr(metadata, "commit", held)
    changing = asyncio.create_task(_make(front, "b"))
    await asyncio.sleep(0.01)
    silent = _Silent(metadata, monkeypatch)
    waiting = [asyncio.create_task(_make(front, name)) for name in "cdefgh"]
    async with asyncio.timeout(5):
        failures = await asyncio.gather(*waiting, return_exceptions=True)
    assert {getattr(each, "code", each) for each in failures} == {"ServiceUnavailable"}
    speak.set()
    silent.speak.set()
    await changing
    await _make(front, "z")
    assert _users(front) == ["a", "b", "z"]
