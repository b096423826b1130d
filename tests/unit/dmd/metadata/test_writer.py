"""The writer: group commit, what fails whom, and what is answered when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dmd.metadata import stored
from dmd.metadata.conditions import IsPresent
from dmd.metadata.engines.base import Engine, EngineFatalError
from dmd.metadata.engines.lmdb import LmdbEngine
from dmd.metadata.mutations import Committed, Mutation, Outcome, Refused
from dmd.metadata.record_keys import REVISION_KEY
from dmd.metadata.writer import Writer
from shared import limits
from shared.errors import ServiceError
from shared.rpc.envelope import Call
from tests.unit.dmd.metadata.support import (
    RecordingLog,
    ScriptedEngine,
    deleting,
    put,
    putting,
    until,
)


class Harness:
    """A writer over a scripted engine, and what it reported."""

    def __init__(self) -> None:
        self.engine = ScriptedEngine()
        self.log = RecordingLog()
        self.fatal: list[EngineFatalError] = []
        self.writer = Writer(self.engine, self.log, self.fatal.append)

    def submit(self, mutation: Mutation) -> asyncio.Task[Outcome]:
        return asyncio.create_task(self._submit(mutation))

    async def _submit(self, mutation: Mutation) -> Outcome:
        return await self.writer.submit(mutation)

    async def hold(self) -> asyncio.Task[Outcome]:
        """Make the writer wait in the commit of a first mutation, so that others gather."""
        self.engine.gate.clear()
        task = self.submit(putting(b"first"))
        await until(self.engine.held.is_set)
        return task

    async def queued(self, *mutations: Mutation) -> list[asyncio.Task[Outcome]]:
        """Submit mutations in this order; they are in the queue afterwards."""
        tasks = [self.submit(mutation) for mutation in mutations]
        await asyncio.sleep(0)  # one turn of the loop, in which every task submits
        await asyncio.sleep(0)  # and one in which they are handed over
        return tasks

    def let_go(self) -> None:
        self.engine.gate.set()

    @property
    def written(self) -> list[list[bytes]]:
        """The keys of each commit after the held one, without the revision's."""
        return [[key for key in keys if key != REVISION_KEY] for keys in self.engine.commits[1:]]


@pytest.fixture
async def harness() -> AsyncIterator[Harness]:
    made = Harness()
    yield made
    made.let_go()
    await made.writer.close()


async def outcome_of(task: asyncio.Future[Outcome]) -> Outcome | str:
    """What a caller got: an outcome, or the name of an error."""
    try:
        return await task
    except ServiceError as error:
        return error.code


def revisions(outcome: Outcome | str) -> tuple[int | None, ...]:
    assert isinstance(outcome, Committed), outcome
    return outcome.revisions


def absent(key: bytes) -> IsPresent:
    return IsPresent(key, present=False)


async def test_what_gathers_during_a_commit_is_committed_at_once(harness: Harness) -> None:
    first = await harness.hold()
    waiting = await harness.queued(*(putting(b"%03d" % number) for number in range(100)))
    harness.let_go()
    await asyncio.gather(first, *waiting)

    assert harness.written == [[b"%03d" % number for number in range(100)]]


async def test_a_group_has_so_many_mutations_at_most(harness: Harness) -> None:
    first = await harness.hold()
    count = 2 * limits.COMMIT_GROUP_MAX + 1
    waiting = await harness.queued(*(putting(b"%03d" % number) for number in range(count)))
    harness.let_go()
    await asyncio.gather(first, *waiting)

    assert [len(keys) for keys in harness.written] == [
        limits.COMMIT_GROUP_MAX,
        limits.COMMIT_GROUP_MAX,
        1,
    ]


async def test_a_group_has_so_many_operations_at_most(harness: Harness) -> None:
    first = await harness.hold()
    half = limits.COMMIT_OPERATIONS_MAX // 2
    batches = [putting(*(b"%d-%d" % (batch, n) for n in range(half))) for batch in range(5)]
    waiting = await harness.queued(*batches)
    harness.let_go()
    await asyncio.gather(first, *waiting)

    assert [len(keys) for keys in harness.written] == [2 * half, 2 * half, half]


async def test_requirements_count_like_operations(harness: Harness) -> None:
    first = await harness.hold()
    demanding = Mutation((put(b"k"),), (absent(b"x"),) * (limits.COMMIT_OPERATIONS_MAX - 1))
    waiting = await harness.queued(demanding, putting(b"next"))
    harness.let_go()
    await asyncio.gather(first, *waiting)

    assert harness.written == [[b"k"], [b"next"]]


async def test_a_mutation_of_more_operations_than_a_group_has_is_committed_alone(
    harness: Harness,
) -> None:
    first = await harness.hold()
    large = putting(*(b"%d" % number for number in range(limits.COMMIT_OPERATIONS_MAX + 1)))
    waiting = await harness.queued(putting(b"before"), large, putting(b"after"))
    harness.let_go()
    await asyncio.gather(first, *waiting)

    assert [len(keys) for keys in harness.written] == [1, limits.COMMIT_OPERATIONS_MAX + 1, 1]


async def test_the_order_of_submission_is_the_order_of_effect(harness: Harness) -> None:
    first = await harness.hold()
    waiting = await harness.queued(
        putting(b"k"), deleting(b"k"), Mutation((put(b"k", b"last"),)), deleting(b"other")
    )
    harness.let_go()
    await asyncio.gather(first, *waiting)

    with harness.engine.snapshot() as reader:
        value = reader.get(b"k")
    assert value is not None
    assert stored.unpack(b"k", value).record == b"last"


async def test_nothing_is_answered_before_its_commit(harness: Harness) -> None:
    first = await harness.hold()
    refused = Mutation((put(b"k"),), (absent(b"first"),))
    waiting = await harness.queued(refused, putting(b"other"))
    assert not any(task.done() for task in (first, *waiting))
    harness.let_go()
    assert await outcome_of(waiting[0]) == Refused(0)


async def test_requirements_see_the_writes_before_them_in_their_group(harness: Harness) -> None:
    first = await harness.hold()
    creation = Mutation((put(b"k"),), (absent(b"k"),))
    one, two, _, three = await harness.queued(creation, creation, deleting(b"k"), creation)
    harness.let_go()
    await first

    assert isinstance(await outcome_of(one), Committed)
    assert await outcome_of(two) == Refused(0)
    assert isinstance(await outcome_of(three), Committed)
    assert len(harness.written) == 1


async def test_a_refused_mutation_writes_nothing(harness: Harness) -> None:
    await harness.writer.submit(putting(b"there"))
    refused = Mutation((put(b"new"), put(b"there")), (absent(b"x"), absent(b"there")))

    assert await harness.writer.submit(refused) == Refused(1)
    assert harness.engine.commits[1:] == [[]]


async def test_a_mutation_that_fails_fails_alone(harness: Harness) -> None:
    harness.engine.bad_keys.add(b"bad")
    first = await harness.hold()
    one, bad, two = await harness.queued(putting(b"one"), putting(b"x", b"bad"), putting(b"two"))
    harness.let_go()
    await first

    assert isinstance(await outcome_of(one), Committed)
    assert await outcome_of(bad) == "InternalError"
    assert isinstance(await outcome_of(two), Committed)
    assert harness.written == [[b"one"], [b"two"]]


async def test_a_requirement_on_a_damaged_record_fails_alone(harness: Harness) -> None:
    with harness.engine.inner.transaction() as transaction:
        transaction.put(b"damaged", b"\0" * 30)
    first = await harness.hold()
    returning = Mutation((put(b"damaged"),), return_previous=True)
    one, bad = await harness.queued(putting(b"one"), returning)
    harness.let_go()
    await first

    assert isinstance(await outcome_of(one), Committed)
    assert await outcome_of(bad) == "InternalError"


async def test_each_put_has_a_greater_revision_than_all_before(harness: Harness) -> None:
    first = await harness.hold()
    waiting = await harness.queued(putting(b"a", b"b"), deleting(b"a"), putting(b"a"))
    harness.let_go()

    assert revisions(await first) == (1,)
    assert [revisions(await task) for task in waiting] == [(2, 3), (None,), (4,)]


async def test_a_refusal_uses_up_no_revision(harness: Harness) -> None:
    await harness.writer.submit(putting(b"k"))
    await harness.writer.submit(Mutation((put(b"k"),), (absent(b"k"),)))
    assert revisions(await harness.writer.submit(putting(b"k"))) == (2,)


async def test_a_revision_of_a_lost_commit_is_counted_again(harness: Harness) -> None:
    """What is known of the counter is what the store has, not what was meant to be there."""
    harness.engine.bad_keys.add(b"bad")
    await harness.writer.submit(putting(b"a"))
    assert await outcome_of(harness.writer.submit(putting(b"b", b"bad"))) == "InternalError"
    assert revisions(await harness.writer.submit(putting(b"c"))) == (2,)


@pytest.mark.parametrize("bit", range(0, 8 * 17, 5))
async def test_a_counter_that_is_damaged_gives_no_revision(harness: Harness, bit: int) -> None:
    await harness.writer.submit(putting(b"a"))
    with harness.engine.inner.transaction() as transaction:
        whole = transaction.get(REVISION_KEY)
        assert whole is not None
        flipped = int.from_bytes(whole, "big") ^ 1 << bit
        transaction.put(REVISION_KEY, flipped.to_bytes(len(whole), "big"))
    assert await outcome_of(harness.writer.submit(putting(b"b"))) == "InternalError"
    with harness.engine.inner.transaction() as transaction:
        transaction.put(REVISION_KEY, whole)
    assert revisions(await harness.writer.submit(putting(b"b"))) == (2,)


async def test_a_counter_that_another_has_moved_is_gone_on_from(harness: Harness) -> None:
    await harness.writer.submit(putting(b"a"))
    with harness.engine.inner.transaction() as transaction:
        moved = stored.Stored(41, stored.NO_PROJECTION, b"", b"")
        transaction.put(REVISION_KEY, stored.pack(REVISION_KEY, moved))
    assert revisions(await harness.writer.submit(putting(b"b"))) == (42,)


async def test_the_revision_of_a_record_is_the_one_that_was_answered(harness: Harness) -> None:
    (revision,) = revisions(await harness.writer.submit(putting(b"k")))
    with harness.engine.snapshot() as reader:
        value = reader.get(b"k")
    assert value is not None
    assert stored.unpack(b"k", value).revision == revision


@asynccontextmanager
async def writing(engine: Engine) -> AsyncIterator[Writer]:
    """A writer over an engine until the end of the block."""
    writer = Writer(engine, RecordingLog(), lambda error: pytest.fail(str(error)))
    try:
        yield writer
    finally:
        await writer.close()


async def test_revisions_go_on_after_a_restart(tmp_path: Path) -> None:
    seen: list[int | None] = []
    for _ in range(3):
        engine = LmdbEngine(tmp_path)
        async with writing(engine) as writer:
            # The record with the greatest revision goes away, its revision does not come back.
            seen += revisions(await writer.submit(putting(b"a", b"b")))
            await writer.submit(deleting(b"a", b"b"))
        engine.close()
    assert seen == [1, 2, 3, 4, 5, 6]


async def test_what_was_replaced_is_returned_when_asked_for(harness: Harness) -> None:
    await harness.writer.submit(Mutation((put(b"k", b"old"),)))
    changes = (put(b"k", b"new"), put(b"k", b"newer"), *deleting(b"k", b"absent").operations)
    outcome = await harness.writer.submit(Mutation(changes, return_previous=True))

    assert isinstance(outcome, Committed)
    assert [entry and (entry.revision, entry.record) for entry in outcome.previous] == [
        (1, b"old"),
        (2, b"new"),
        (3, b"newer"),
        None,
    ]


async def test_a_commit_of_unknown_outcome_is_reported_and_answers_nobody(
    harness: Harness,
) -> None:
    first = await harness.hold()
    harness.engine.fatal_keys.add(b"fatal")
    waiting = await harness.queued(putting(b"one"), putting(b"fatal"), putting(b"two"))
    harness.let_go()
    await first
    await until(lambda: bool(harness.fatal))
    await harness.writer.close()

    assert len(harness.fatal) == 1
    assert not any(task.done() for task in waiting)
    for task in waiting:
        task.cancel()


async def test_nothing_is_committed_after_an_unknown_outcome(harness: Harness) -> None:
    first = await harness.hold()
    harness.engine.fatal_keys.add(b"fatal")
    full = [putting(b"fatal"), *(putting(b"%d" % n) for n in range(limits.COMMIT_GROUP_MAX))]
    waiting = await harness.queued(*full)
    harness.let_go()
    await first
    await until(lambda: bool(harness.fatal))

    with pytest.raises(ServiceError, match="ServiceUnavailable"):
        await harness.writer.submit(putting(b"later"))
    await harness.writer.close()
    assert harness.written == []
    for task in waiting:
        task.cancel()


async def test_an_unknown_outcome_of_one_that_is_tried_alone_ends_the_others(
    harness: Harness,
) -> None:
    harness.engine.bad_keys.add(b"bad")
    first = await harness.hold()
    harness.engine.fatal_keys.add(b"fatal")
    waiting = await harness.queued(putting(b"bad"), putting(b"fatal"), putting(b"other"))
    harness.let_go()
    await first
    await until(lambda: bool(harness.fatal))
    await harness.writer.close()

    assert len(harness.fatal) == 1
    assert harness.written == []
    for task in waiting:
        task.cancel()


class Client:
    """Whose call it is."""

    def __init__(self, *, gone: bool = False) -> None:
        self.gone = gone


def named(operation_id: str, client: Client | None = None, expires: float | None = None) -> Call:
    return Call("put", [], [], None, operation_id, expires, client)


async def test_the_mutations_of_a_turn_are_committed_at_once(harness: Harness) -> None:
    await harness.writer.submit(putting(b"first"))
    for _ in range(20):
        tasks = [harness.submit(putting(b"%d" % number)) for number in range(10)]
        await asyncio.gather(*tasks)
    assert {len(keys) for keys in harness.written} == {10}


async def test_a_repeated_mutation_gets_the_first_answer_and_is_not_done_again(
    harness: Harness,
) -> None:
    creation = Mutation((put(b"k"),), (absent(b"k"),))
    first = await harness.writer.submit(creation, named("one"))
    assert await harness.writer.submit(creation, named("one")) == first
    assert await harness.writer.submit(creation, named("two")) == Refused(0)
    await harness.writer.submit(deleting(b"k"))
    assert await harness.writer.submit(creation, named("two")) == Refused(0)
    assert revisions(await harness.writer.submit(creation, named("three"))) == (2,)


async def test_a_mutation_that_is_repeated_in_its_own_group_is_done_once(harness: Harness) -> None:
    first = await harness.hold()
    tasks = [harness.writer.submit(putting(b"k"), named("id")) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # they are handed over
    harness.let_go()
    await first
    assert [revisions(await task) for task in tasks] == [(2,)] * 3


async def test_a_mutation_that_failed_can_be_repeated(harness: Harness) -> None:
    harness.engine.bad_keys.add(b"k")
    with pytest.raises(ServiceError, match="InternalError"):
        await harness.writer.submit(putting(b"k"), named("id"))
    harness.engine.bad_keys.clear()
    assert revisions(await harness.writer.submit(putting(b"k"), named("id"))) == (1,)


async def test_what_nobody_waits_for_does_not_begin(harness: Harness) -> None:
    first = await harness.hold()
    client = Client()
    calls = [named("left", client), named("late", expires=0.0), named("wanted", Client())]
    tasks = [
        harness.writer.submit(putting(b"%d" % number), call) for number, call in enumerate(calls)
    ]
    await asyncio.sleep(0)
    await asyncio.sleep(0)  # they are handed over
    client.gone = True
    harness.let_go()
    await first
    assert await outcome_of(tasks[0]) == "ServiceUnavailable"
    assert await outcome_of(tasks[1]) == "ServiceUnavailable"
    assert isinstance(await outcome_of(tasks[2]), Committed)
    keys = [key for commit in harness.written for key in commit if key.isdigit()]
    assert keys == [b"2"]
    # It never began, so it may begin when it is asked for again.
    assert isinstance(await harness.writer.submit(putting(b"0"), named("left")), Committed)


async def test_a_call_without_an_id_begins_although_its_client_has_left(harness: Harness) -> None:
    call = Call("put", [], [], None, None, None, Client(gone=True))
    assert isinstance(await harness.writer.submit(putting(b"k"), call), Committed)


async def test_closing_commits_what_waits(harness: Harness) -> None:
    first = await harness.hold()
    waiting = await harness.queued(putting(b"one"), putting(b"two"))
    closing = asyncio.create_task(harness.writer.close())
    await asyncio.sleep(0)  # one turn, in which close has closed the queue
    harness.let_go()
    await closing

    assert revisions(await first) == (1,)
    assert [revisions(await task) for task in waiting] == [(2,), (3,)]


async def test_a_closed_writer_takes_nothing(harness: Harness) -> None:
    await harness.writer.close()
    with pytest.raises(ServiceError, match="ServiceUnavailable"):
        await harness.writer.submit(putting(b"k"))


async def test_closing_twice_is_no_error(harness: Harness) -> None:
    await harness.writer.close()
    await harness.writer.close()


async def test_a_caller_that_goes_away_does_not_disturb_the_group(harness: Harness) -> None:
    first = await harness.hold()
    one, leaving, two = await harness.queued(putting(b"one"), putting(b"gone"), putting(b"two"))
    leaving.cancel()
    harness.let_go()
    await first

    assert revisions(await one) == (2,)
    assert revisions(await two) == (4,)
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_caller_that_goes_away_leaves_room_in_the_queue(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MUTATIONS_WAITING_MAX", 2)
    first = await harness.hold()
    (leaving,) = await harness.queued(putting(b"gone"))
    leaving.cancel()
    harness.let_go()
    await first
    await until(lambda: len(harness.written) == 1)
    for number in range(4):
        await harness.writer.submit(putting(b"%d" % number))


async def test_too_many_waiting_mutations_are_told_to_slow_down(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "MUTATIONS_WAITING_MAX", 3)
    first = await harness.hold()
    one, two, too_many = await harness.queued(putting(b"1"), putting(b"2"), putting(b"3"))
    assert await outcome_of(too_many) == "SlowDown"
    harness.let_go()
    await asyncio.gather(first, one, two)

    assert harness.written == [[b"1", b"2"]]
    await harness.writer.submit(putting(b"3"))
