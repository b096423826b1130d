"""What stands in front of a place that others run: limits, deadlines, tries, and what is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import pytest

from s3front.locations.base import DataNotFoundError, DataReader, ObjectInfo, Stored
from s3front.locations.circuit_breaker import FAILURES_IN_A_ROW
from s3front.locations.remote_store import (
    PART_OF,
    LostConnectionError,
    PlaceError,
    RemoteStore,
    Trouble,
    UploadedPart,
    is_undone,
)
from s3front.locations.resilience import ResilientStore
from s3front.s3_errors import S3Error
from tests.unit.dmd.metadata.support import until
from tests.unit.s3front.locations.scripted_remote import (
    BLOCK,
    NOT_FOUND,
    Act,
    KeptLog,
    ScriptedRemote,
    hang,
    resilient,
    trouble,
)

INFO = ObjectInfo("bucket", "key", "text/plain", {})
BLOB = Stored("key", 3000, "version")
PARTS = [UploadedPart(1, 10, "md5", BLOB)]

Call = Callable[[RemoteStore], Awaitable[object]]


async def _read(store: RemoteStore) -> bytes:
    reader = await store.open(BLOB, 0, 2999)
    try:
        return await reader.read()
    finally:
        reader.close()


async def new_mark() -> str:
    return "other"


async def no_mark() -> str:
    raise S3Error("ServiceUnavailable")


CALLS: dict[str, Call] = {
    "put": lambda store: store.maker(new_mark).put(5, b"bytes", INFO, "mark"),
    "open": _read,
    "delete": lambda store: store.delete(BLOB),
    "remove_strays": lambda store: store.remove_strays(INFO, "mark"),
    "begin_upload": lambda store: store.maker(new_mark).begin_upload(INFO, "mark"),
    "put_part": lambda store: store.put_part(BLOB, 1, 5, b"bytes"),
    "complete_upload": lambda store: store.complete_upload(BLOB, PARTS, INFO),
    "copy": lambda store: store.maker(new_mark).copy(store, BLOB, INFO, "mark"),
    "put_tags": lambda store: store.put_tags(BLOB, {"a": "b"}),
}
MAKING = ("put", "begin_upload", "copy")
HARMLESS_TWICE = {"open", "delete", "remove_strays", "complete_upload", "put_tags"}
UNHELPFUL = (Trouble.REFUSED, Trouble.UNFIT, Trouble.BROKEN)

every_call = pytest.mark.parametrize("name", CALLS)


async def _all(reader: DataReader) -> None:
    async for _ in reader.blocks():
        pass


async def blocks(*pieces: bytes | BaseException) -> AsyncGenerator[bytes, None]:
    for piece in pieces:
        if isinstance(piece, BaseException):
            raise piece
        yield piece


async def failure_of(call: Awaitable[object]) -> S3Error:
    with pytest.raises(S3Error) as caught:
        await call
    return caught.value


def nothing_is_held(store: ResilientStore) -> bool:
    report = store.report()
    return (report.running, report.waiting, report.reading, report.writing) == (0, 0, 0, 0)


@every_call
async def test_each_call_reaches_the_place(name: str) -> None:
    remote = ScriptedRemote()
    store = resilient(remote)
    await CALLS[name](store)
    assert remote.asked == [name]
    assert store.report().requests == 1
    assert nothing_is_held(store)
    assert (store.type, store.capabilities) == (remote.type, remote.capabilities)


# --- Tries ----------------------------------------------------------------------------------------


@every_call
@pytest.mark.parametrize("kind", [Trouble.UNREACHED, Trouble.BUSY])
async def test_what_has_done_nothing_is_tried_again(name: str, kind: Trouble) -> None:
    remote = ScriptedRemote(trouble(kind), trouble(kind))
    store = resilient(remote)
    await CALLS[name](store)
    assert remote.asked == [name] * 3
    assert (store.report().retries, store.report().failures) == (2, {})


@every_call
async def test_after_silence_only_what_is_harmless_twice_is_tried_again(name: str) -> None:
    remote = ScriptedRemote(trouble(Trouble.SILENT))
    store = resilient(remote)
    if name in HARMLESS_TWICE:
        await CALLS[name](store)
        assert len(remote.asked) == 2
    else:
        assert (await failure_of(CALLS[name](store))).code == "ServiceUnavailable"
        assert len(remote.asked) == 1
        assert store.report().failures == {"SILENT": 1}


@every_call
@pytest.mark.parametrize("kind", UNHELPFUL)
async def test_what_another_try_does_not_help_is_not_tried_again(name: str, kind: Trouble) -> None:
    remote = ScriptedRemote(trouble(kind))
    error = await failure_of(CALLS[name](resilient(remote)))
    assert isinstance(error, PlaceError)
    assert error.trouble is kind
    assert len(remote.asked) == 1


@every_call
async def test_what_is_the_requests_own_fault_is_told_as_it_is(name: str) -> None:
    fault = S3Error("InvalidPart")
    store = resilient(ScriptedRemote(*[fault] * 20))
    for _ in range(20):
        assert await failure_of(CALLS[name](store)) is fault
    assert store.report().state == "closed"
    assert store.report().failures == {}


async def test_a_blob_that_is_gone_is_no_failure() -> None:
    store = resilient(ScriptedRemote(*[NOT_FOUND] * 20))
    for _ in range(20):
        with pytest.raises(DataNotFoundError):
            await _read(store)
    assert store.report().state == "closed"
    assert nothing_is_held(store)


@pytest.mark.parametrize("last", [Trouble.UNREACHED, Trouble.BUSY, Trouble.REFUSED])
async def test_what_may_have_been_done_is_not_told_to_be_undone(last: Trouble) -> None:
    """A try that the place refuses says nothing of the one before, to which it did not answer."""
    remote = ScriptedRemote(trouble(Trouble.SILENT))
    remote.always = trouble(last)
    error = await failure_of(resilient(remote).complete_upload(BLOB, PARTS, INFO))
    assert isinstance(error, PlaceError)
    assert error.trouble is Trouble.SILENT
    assert len(remote.asked) > 1


@pytest.mark.parametrize("last", [Trouble.UNREACHED, Trouble.REFUSED])
async def test_what_has_failed_inside_may_have_been_done(last: Trouble) -> None:
    """A server that says 500, or that it is busy, may have stored what it was sent."""
    remote = ScriptedRemote(trouble(Trouble.BUSY))
    remote.always = trouble(last)
    error = await failure_of(resilient(remote).maker(new_mark).put(4, b"body", INFO, "mark"))
    assert isinstance(error, PlaceError)
    assert error.trouble is Trouble.BUSY
    assert not is_undone(error)
    assert len(remote.asked) > 1


@pytest.mark.parametrize("name", MAKING)
@pytest.mark.parametrize(
    ("failure", "mark"),
    [
        (trouble(Trouble.UNREACHED), "mark"),
        (trouble(Trouble.BUSY), "other"),
        (LostConnectionError("as scripted"), "other"),
    ],
    ids=str,
)
async def test_what_may_have_been_made_is_made_under_another_mark(
    name: str, failure: PlaceError, mark: str
) -> None:
    """With the note of the one that a record names the other would be forgotten."""
    remote = ScriptedRemote(failure)
    store = resilient(remote)
    await CALLS[name](store)
    assert remote.marks == ["mark", mark]
    assert store.report().state == "closed"


@pytest.mark.parametrize("failure", [trouble(Trouble.BUSY), LostConnectionError("as scripted")])
async def test_what_may_have_been_made_is_not_made_again_without_another_mark(
    failure: PlaceError,
) -> None:
    remote = ScriptedRemote(failure, failure)
    store = resilient(remote)
    asked = [store.put(4, b"body", INFO, "mark"), store.maker(no_mark).put(4, b"body", INFO, "m")]
    for each in asked:
        error = await failure_of(each)
        assert isinstance(error, PlaceError)
        assert error.trouble is failure.trouble
        assert not is_undone(error)
    assert remote.marks == ["mark", "m"]


async def test_connections_that_had_ended_say_nothing_of_a_place() -> None:
    remote = ScriptedRemote()
    remote.always = LostConnectionError("as scripted")
    store = resilient(remote)
    for _ in range(FAILURES_IN_A_ROW + 1):
        assert (await failure_of(store.put_tags(BLOB, {}))).code == "ServiceUnavailable"
    assert store.report().state == "closed"


async def test_what_was_not_asked_for_is_undone() -> None:
    remote = ScriptedRemote()
    remote.always = hang
    store = resilient(remote, calls_max=1)
    tasks = [asyncio.ensure_future(store.delete(BLOB)) for _ in range(5)]
    await until(lambda: store.report().waiting == 4)
    assert is_undone(await failure_of(store.put(4, b"body", INFO)))
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


async def test_there_are_not_many_more_requests_than_clients_make() -> None:
    remote = ScriptedRemote()
    remote.always = trouble(Trouble.BUSY)
    store = resilient(remote)
    for _ in range(30):
        await failure_of(store.delete(BLOB))
    assert len(remote.asked) <= 30 + 10 + 3
    assert store.report().retries == len(remote.asked) - 30


async def test_a_body_that_was_not_begun_is_sent_with_the_next_try() -> None:
    remote = ScriptedRemote(trouble(Trouble.UNREACHED))
    stored = await resilient(remote).put(6, blocks(b"abc", b"def"), INFO)
    assert stored.size == 6
    assert len(remote.asked) == 2


class ReadsFirst(ScriptedRemote):
    """Fails when it has had the first block."""

    def __init__(self, failure: PlaceError) -> None:
        super().__init__()
        self.failure = failure

    async def put(self, size: int, body: Any, info: ObjectInfo, mark: str = "") -> Stored:
        self.asked.append("put")
        await anext(body)
        raise self.failure


@pytest.mark.parametrize("kind", [Trouble.UNREACHED, Trouble.BUSY, Trouble.SILENT])
async def test_a_body_that_was_begun_is_not_sent_again(kind: Trouble) -> None:
    remote = ReadsFirst(trouble(kind))
    closed = []

    async def body() -> AsyncGenerator[bytes, None]:
        try:
            yield b"abc"
            yield b"def"
        finally:
            closed.append(True)

    await failure_of(resilient(remote).put(6, body(), INFO))
    assert remote.asked == ["put"]
    assert closed == [True]


@pytest.mark.parametrize(
    "fault", [S3Error("BadDigest"), trouble(Trouble.SILENT), trouble(Trouble.BUSY), TimeoutError()]
)
async def test_what_a_body_fails_with_is_not_the_places_fault(fault: Exception) -> None:
    """It may come from another place, of which it is a copy."""
    remote = ScriptedRemote()
    store = resilient(remote)
    for _ in range(FAILURES_IN_A_ROW + 1):
        with pytest.raises(type(fault)) as caught:
            await store.put(6, blocks(b"abc", fault), INFO)
        assert caught.value is fault
    report = store.report()
    assert (report.state, report.failures, report.retries) == ("closed", {}, 0)
    assert nothing_is_held(store)


# --- Deadlines ------------------------------------------------------------------------------------


@every_call
async def test_no_answer_is_waited_for_longer_than_the_deadline(name: str) -> None:
    remote = ScriptedRemote()
    remote.always = hang
    store = resilient(remote, deadline_seconds=1)
    store._seconds = 0.05 if name not in ("copy", "complete_upload") else 0.005
    began = time.monotonic()
    error = await failure_of(CALLS[name](store))
    assert time.monotonic() - began < 5
    assert error.code == "ServiceUnavailable"
    assert "no answer within" in str(error.__cause__)
    assert remote.running == 0
    assert nothing_is_held(store)


async def test_the_time_that_a_body_takes_is_not_the_places() -> None:
    store = resilient(ScriptedRemote())
    store._seconds = 0.1

    async def slow() -> AsyncGenerator[bytes, None]:
        for _ in range(3):
            await asyncio.sleep(0.15)  # longer than the place may take
            yield b"abc"

    assert (await store.put(9, slow(), INFO)).size == 9


async def test_a_place_that_takes_no_more_of_a_body_is_given_up() -> None:
    class Stuck(ScriptedRemote):
        async def put(self, size: int, body: Any, info: ObjectInfo, mark: str = "") -> Stored:
            await anext(body)
            await hang()
            raise AssertionError

    store = resilient(Stuck())
    store._seconds = 0.05
    error = await failure_of(store.put(6, blocks(b"abc", b"def"), INFO))
    assert "no answer within" in str(error.__cause__)
    assert nothing_is_held(store)


# --- Readers --------------------------------------------------------------------------------------


async def test_a_reader_keeps_its_slot_until_it_is_closed() -> None:
    remote = ScriptedRemote()
    store = resilient(remote)
    reader = await store.open(BLOB, 0, 2999)
    assert (store.report().reading, store.report().running) == (1, 0)
    reader.close()
    reader.close()
    assert (store.report().reading, remote.open_readers) == (0, 0)


async def test_a_body_comes_in_blocks() -> None:
    remote = ScriptedRemote()
    remote.read_script = [lambda: None, lambda: None]
    store = resilient(remote)
    reader = await store.open(BLOB, 0, 2999)
    assert [block async for block in reader.blocks()] == [BLOCK] * 3
    assert store.report().reading == 0
    reader.close()


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("step", [trouble(Trouble.SILENT, "it was cut"), hang])
async def test_a_body_that_breaks_off_is_a_failure_of_the_place(whole: bool, step: Any) -> None:
    remote = ScriptedRemote()
    remote.read_script = [step]
    log = KeptLog()
    store = resilient(remote, log)
    store._seconds = 0.05
    for _ in range(FAILURES_IN_A_ROW):
        reader = await store.open(BLOB, 0, 2999)
        error = await failure_of(reader.read() if whole else _all(reader))
        reader.close()
        assert str(error.__cause__).startswith("location 'away', read: ")
    assert store.report().state == "open"
    assert store.report().failures == {"SILENT": FAILURES_IN_A_ROW}
    assert log.events == ["a location is cut off"]
    assert remote.open_readers == 0
    assert nothing_is_held(store)


async def test_slow_readers_do_not_keep_others_from_what_is_quick() -> None:
    remote = ScriptedRemote()
    store = resilient(remote, calls_max=1, bodies_max=2)
    readers = [await store.open(BLOB, 0, 2999) for _ in range(2)]
    await store.delete(BLOB)
    await store.put(5, b"bytes", INFO)
    await store.put(3, blocks(b"abc"), INFO)
    waiting = asyncio.ensure_future(store.open(BLOB, 0, 2999))
    await until(lambda: store.report().waiting == 1)
    readers.pop().close()
    readers.append(await waiting)
    for reader in readers:
        reader.close()
    assert nothing_is_held(store)


# --- Limits ---------------------------------------------------------------------------------------


async def test_no_more_than_so_many_are_asked_at_once() -> None:
    remote = ScriptedRemote()
    remote.always = lambda: asyncio.sleep(0.001)
    store = resilient(remote, calls_max=4)
    await asyncio.gather(*(store.delete(BLOB) for _ in range(20)))
    assert remote.most_running == 4
    assert nothing_is_held(store)


async def test_who_finds_no_room_is_told_to_slow_down() -> None:
    remote = ScriptedRemote()
    remote.always = hang
    store = resilient(remote, calls_max=1)
    tasks = [asyncio.ensure_future(store.delete(BLOB)) for _ in range(5)]
    await until(lambda: store.report().waiting == 4)
    error = await failure_of(store.delete(BLOB))
    assert error.code == "SlowDown"
    assert str(error.__cause__) == "location 'away', delete: 1 are being served, and 4 wait"
    assert store.report().failures == {"CROWDED": 1}
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert nothing_is_held(store)


async def test_a_place_that_is_busy_is_asked_less_and_not_cut_off() -> None:
    remote = ScriptedRemote()
    remote.always = trouble(Trouble.BUSY)
    log = KeptLog()
    store = resilient(remote, log, calls_max=8)
    for _ in range(10):
        assert (await failure_of(store.put(5, b"bytes", INFO))).code == "SlowDown"
    report = store.report()
    assert (report.state, report.limit) == ("closed", 2)
    assert log.events == ["a location wants to be asked less"]
    remote.always = None
    for _ in range(40):
        await store.put(5, b"bytes", INFO)
    assert store.report().limit == 8


@every_call
async def test_who_goes_away_leaves_nothing_behind(name: str) -> None:
    remote = ScriptedRemote()
    remote.always = hang
    store = resilient(remote, calls_max=1)
    tasks = [asyncio.ensure_future(CALLS[name](store)) for _ in range(3)]
    await until(lambda: remote.running == 1 and store.report().waiting == 2)
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert all(task.cancelled() for task in tasks)
    assert remote.running == 0
    assert nothing_is_held(store)
    assert store.report().state == "closed"


# --- The circuit ----------------------------------------------------------------------------------


async def cut_off(remote: ScriptedRemote, store: ResilientStore, kind: Trouble) -> None:
    remote.always = trouble(kind, "connection refused")
    for _ in range(FAILURES_IN_A_ROW):
        await failure_of(store.begin_upload(INFO, "mark"))
    assert store.report().state == "open"


@pytest.mark.parametrize("kind", [Trouble.UNREACHED, Trouble.SILENT, Trouble.BROKEN])
async def test_a_place_that_fails_is_not_asked_for_a_while(kind: Trouble) -> None:
    remote, log = ScriptedRemote(), KeptLog()
    store = resilient(remote, log)
    await cut_off(remote, store, kind)
    asked = len(remote.asked)
    for call in CALLS.values():
        error = await failure_of(call(store))
        assert error.code == "ServiceUnavailable"
        assert "not asked, as it failed: connection refused" in str(error.__cause__)
    assert len(remote.asked) == asked
    assert store.report().failures["CUT_OFF"] >= len(CALLS)
    assert [event for event, _ in log.lines] == ["a location is cut off"]
    _, fields = log.lines[0]
    assert fields == {
        "location": "away",
        "operation": "begin upload",
        "trouble": kind.name,
        "reason": "connection refused",
    }


async def test_a_place_that_is_back_is_asked_again() -> None:
    remote, log = ScriptedRemote(), KeptLog()
    store = resilient(remote, log)
    await cut_off(remote, store, Trouble.UNREACHED)
    remote.always = None
    store._breaker._try_at = 0.0  # its rest is over
    await store.delete(BLOB)
    assert store.report().state == "closed"
    assert log.events == ["a location is cut off", "a location is there again"]
    assert (store.report().opened, store.report().closed) == (1, 1)


async def test_those_that_wait_are_told_at_once() -> None:
    remote = ScriptedRemote()
    store = resilient(remote, calls_max=FAILURES_IN_A_ROW)
    ended = asyncio.Event()

    async def fail_together() -> None:
        await ended.wait()
        raise trouble(Trouble.SILENT)

    remote.always = fail_together
    running = [
        asyncio.ensure_future(store.begin_upload(INFO, "m")) for _ in range(FAILURES_IN_A_ROW)
    ]
    waiting = [asyncio.ensure_future(store.delete(BLOB)) for _ in range(3)]
    await until(lambda: store.report().waiting == 3)
    ended.set()
    outcomes = await asyncio.gather(*running, *waiting, return_exceptions=True)
    assert all(isinstance(outcome, PlaceError) for outcome in outcomes)
    assert len(remote.asked) == FAILURES_IN_A_ROW
    assert nothing_is_held(store)


async def test_what_a_place_does_not_take_keeps_nobody_from_the_rest() -> None:
    remote = ScriptedRemote()
    remote.always = trouble(Trouble.UNFIT)
    store = resilient(remote)
    for _ in range(30):
        assert (await failure_of(store.put(5, b"bytes", INFO))).code == "InternalError"
    assert store.report().state == "closed"


async def test_a_place_that_refuses_is_not_cut_off() -> None:
    remote, log = ScriptedRemote(), KeptLog()
    remote.always = trouble(Trouble.REFUSED)
    store = resilient(remote, log)
    for _ in range(30):
        await failure_of(store.put(5, b"bytes", INFO))
    assert store.report().state == "closed"
    assert log.events == ["a location does not let us in"]
    remote.always = None
    await store.put(5, b"bytes", INFO)
    assert log.events == ["a location does not let us in", "a location lets us in again"]


async def test_a_place_that_refuses_now_and_then_does_not_fill_the_log() -> None:
    log = KeptLog()
    answers: list[Act] = [trouble(Trouble.REFUSED), lambda: None] * 30
    store = resilient(ScriptedRemote(*answers), log)
    for _ in range(30):
        await failure_of(store.put(5, b"bytes", INFO))
        await store.delete(BLOB)
    assert log.events == ["a location does not let us in", "a location lets us in again"]


async def test_a_place_that_is_busy_does_not_fill_the_log_either() -> None:
    remote, log = ScriptedRemote(), KeptLog()
    remote.always = trouble(Trouble.BUSY)
    store = resilient(remote, log, calls_max=1)
    for _ in range(30):
        await failure_of(store.put(5, b"bytes", INFO))
    assert log.events == []  # it is asked as little as can be
    assert store.report().failures == {"BUSY": 30}


async def test_a_blob_that_is_another_one_does_not_keep_others_from_theirs() -> None:
    remote = ScriptedRemote(*[trouble(Trouble.BROKEN)] * 30)
    store = resilient(remote)
    for _ in range(30):
        await failure_of(_read(store))
    remote.read_script = [trouble(Trouble.BROKEN)]
    for _ in range(30):
        await failure_of(_read(store))
    assert store.report().state == "closed"
    assert store.report().failures == {"BROKEN": 60}


async def test_a_try_that_its_client_gives_up_does_not_keep_the_place_cut_off() -> None:
    remote = ScriptedRemote()
    store = resilient(remote)
    await cut_off(remote, store, Trouble.UNREACHED)
    store._breaker._try_at = 0.0
    remote.always = hang
    task = asyncio.ensure_future(store.delete(BLOB))
    await until(lambda: remote.running == 1)
    assert (await failure_of(store.delete(BLOB))).code == "ServiceUnavailable"
    task.cancel()
    await asyncio.wait([task])
    remote.always = None
    await store.delete(BLOB)
    assert store.report().state == "closed"


# --- What is passed on ----------------------------------------------------------------------------


async def test_a_copy_is_between_the_places_themselves() -> None:
    remote = ScriptedRemote()
    store = resilient(remote)
    assert await store.copy(store, BLOB, INFO, "mark") == BLOB
    assert await store.copy(ScriptedRemote(), BLOB, INFO, "mark") is None


async def test_to_delete_a_part_is_to_ask_nothing() -> None:
    remote = ScriptedRemote()
    await resilient(remote).delete(Stored("key", 1, None, None, {PART_OF: "id"}))
    assert remote.asked == []


async def test_a_look_is_let_through_whatever_is_known() -> None:
    remote = ScriptedRemote()
    store = resilient(remote)
    await cut_off(remote, store, Trouble.UNREACHED)
    remote.always = None
    assert await store.look(thorough=False) == ()
    remote.always = hang
    store._seconds = 0.005
    with pytest.raises(PlaceError):
        await store.look(thorough=True)
    await store.close()
    assert remote.closed


async def test_how_long_answers_take_is_counted() -> None:
    store = resilient(ScriptedRemote())
    for _ in range(3):
        await store.delete(BLOB)
    report = store.report()
    assert sum(report.latencies) == 3
    assert report.latency_seconds < 3
