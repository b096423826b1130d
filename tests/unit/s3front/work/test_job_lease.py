"""Leases on background work, by a clock of the test's own and a store that is a dictionary."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError
from s3front.work.job_lease import (
    EXPIRES_SECONDS,
    LOOK_SECONDS,
    RENEW_SECONDS,
    Lease,
    LeaseKeeper,
    LeaseLostError,
    epoch_key,
)
from shared.records.names import LEASES, WORK_STATUS
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.metadata_twin import MetadataTwin


class Process:
    """One process's side of a lease, with its clock."""

    def __init__(self, store: MetadataTwin, holder: str) -> None:
        self.now = 0.0
        self.status = "{}"
        self.store = store
        self.lease = Lease("job", holder)
        self.keeper = LeaseKeeper(
            store, [self.lease], lambda _: self.status, RecordingLog(), lambda: self.now
        )

    async def look(self, after: float = 0.0) -> bool:
        """Look at the lease so much later; whether the process holds it then."""
        self.now += after
        await self.keeper.look()
        return self.lease.epoch is not None


@pytest.fixture
def store() -> MetadataTwin:
    return MetadataTwin()


@pytest.fixture
def first(store: MetadataTwin) -> Process:
    return Process(store, "first")


@pytest.fixture
def second(store: MetadataTwin) -> Process:
    return Process(store, "second")


async def test_one_of_two_gets_a_lease_that_is_free(first: Process, second: Process) -> None:
    held = await asyncio.gather(first.look(), second.look())
    assert sorted(held) == [False, True]


async def test_who_renews_keeps_it(first: Process, second: Process) -> None:
    assert await first.look()
    for _ in range(20):
        assert await first.look(after=RENEW_SECONDS)
        assert not await second.look(after=RENEW_SECONDS)


async def test_it_is_renewed_no_more_often_than_it_must_be(
    first: Process, store: MetadataTwin
) -> None:
    assert await first.look()
    before = store.commits
    for _ in range(60):
        assert await first.look(after=LOOK_SECONDS)
    assert store.commits - before <= 60 * LOOK_SECONDS / RENEW_SECONDS


async def test_who_is_silent_loses_it_to_whoever_has_watched(
    first: Process, second: Process
) -> None:
    assert await first.look()
    assert not await second.look()
    assert not await second.look(after=EXPIRES_SECONDS)
    assert await second.look(after=LOOK_SECONDS)
    # The clock of the first has stood still: it learns it by looking.
    assert not await first.look()


async def test_who_begins_to_watch_waits_as_long(first: Process, second: Process) -> None:
    assert await first.look()
    second.now = 1_000_000
    assert not await second.look()
    assert await second.look(after=EXPIRES_SECONDS + LOOK_SECONDS)


async def test_a_lease_that_was_given_up_is_free(first: Process, second: Process) -> None:
    assert await first.look()
    assert not await second.look()
    await first.keeper.give_up_all()
    assert await second.look()


async def test_who_stands_back_leaves_it_to_others(first: Process, second: Process) -> None:
    assert await first.look()
    first.lease.stand_back(first.now + 60)
    await first.keeper.give_up(first.lease)
    assert not await first.look(after=59)
    assert await first.look(after=2)
    await first.keeper.give_up(first.lease)
    assert await second.look()


async def test_mutations_need_the_epoch(
    first: Process, second: Process, store: MetadataTwin
) -> None:
    """A holder that does not know of its successor changes nothing."""
    operations = [gateway.put("queue", "key", "{}")]
    with pytest.raises(LeaseLostError):
        store.leased(first.lease.requirement)
    assert await first.look()
    metadata = store.leased(first.lease.requirement)
    await metadata.commit(operations, [], "")
    assert await first.look(after=RENEW_SECONDS)
    await metadata.commit(operations, [], "")
    assert not await second.look()
    assert await second.look(after=EXPIRES_SECONDS + LOOK_SECONDS)
    assert first.lease.epoch is not None
    with pytest.raises(LeaseLostError):
        await metadata.commit([gateway.delete("queue", "key")], [], "")
    assert store.text("queue", "key") == "{}"
    await store.leased(second.lease.requirement).commit([gateway.delete("queue", "key")], [], "")


async def test_other_requirements_are_told_as_ever(first: Process, store: MetadataTwin) -> None:
    assert await first.look()
    metadata = store.leased(first.lease.requirement)
    with pytest.raises(ChangedError) as refused:
        await metadata.commit([], [gateway.is_present("queue", "key")], "")
    assert refused.value.index == 0


async def test_the_epoch_goes_with_the_lease(first: Process, store: MetadataTwin) -> None:
    """A step that goes on after its lease was given up changes nothing."""
    assert await first.look()
    left = dict(first.lease.requirement)
    await first.keeper.give_up(first.lease)
    with pytest.raises(ChangedError):
        await store.commit([gateway.put("queue", "key", "{}")], [left], "")
    assert store.text(LEASES, epoch_key("job")) is None


async def test_a_status_is_told_when_it_is_new(first: Process, store: MetadataTwin) -> None:
    assert await first.look()
    told: list[Any] = []
    for status in ("1", "1", "2"):
        first.status = status
        assert await first.look(after=RENEW_SECONDS)
        told.append((store.text(WORK_STATUS, "job"), store.revision(WORK_STATUS, "job")))
    assert [text for text, _ in told] == ["1", "1", "2"]
    assert told[0] == told[1]


async def test_a_renewal_whose_answer_was_lost_is_its_own(
    first: Process, store: MetadataTwin
) -> None:
    assert await first.look()
    store.lose_answers = 1
    with pytest.raises(gateway.OutcomeUnknownError):
        await first.look(after=RENEW_SECONDS)
    epoch = first.lease.epoch
    assert await first.look(after=LOOK_SECONDS)
    assert first.lease.epoch == epoch


async def test_a_record_that_is_none_is_somebody_elses(first: Process, store: MetadataTwin) -> None:
    await store.commit([gateway.put(LEASES, "job", "[poison")], [], "")
    assert not await first.look()
    assert await first.look(after=EXPIRES_SECONDS + LOOK_SECONDS)


async def test_a_damaged_lease_is_taken_by_one(
    first: Process, second: Process, store: MetadataTwin
) -> None:
    """It says of nobody that he has it, and is still there."""
    assert await first.look()
    epoch = first.lease.epoch
    store.records[LEASES, "job"] = (None, None)  # type: ignore[assignment]  # it cannot be read
    assert await second.look()
    assert not await first.look(after=LOOK_SECONDS)
    assert second.lease.epoch == store.revision(LEASES, epoch_key("job")) != epoch
    assert await second.look(after=RENEW_SECONDS)


async def test_who_finds_his_own_lease_damaged_takes_it_anew(
    first: Process, store: MetadataTwin
) -> None:
    assert await first.look()
    epoch = first.lease.epoch
    store.records[LEASES, "job"] = (None, None)  # type: ignore[assignment]  # it cannot be read
    assert await first.look(after=LOOK_SECONDS)
    assert first.lease.epoch == store.revision(LEASES, epoch_key("job")) != epoch
