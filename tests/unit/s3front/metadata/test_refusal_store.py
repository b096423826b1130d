"""Why requests were refused: noted without waiting, found by request ID, forgotten in time."""

from __future__ import annotations

from msgspec.structs import replace

from s3front.metadata.refusal_store import (
    ANONYMOUS_MAX,
    NOTED_MAX,
    PERIOD_SECONDS,
    PERIODS_KEPT,
    Refusal,
    RefusalStore,
    forgotten_before,
)
from shared.records.names import REFUSALS
from tests.unit.s3front.metadata_twin import MetadataTwin

REFUSAL = Refusal(
    "0123456789ABCDEF",
    "2026-01-02T00:00:00.000Z",
    "GetObject",
    "arn:aws:iam::123456789012:user/anna",
    "10.1.2.3",
    "s3:GetObject",
    "arn:aws:s3:::bucket/key",
    "policy-denies",
    "denied s3:GetObject by Sid1 of bucket policy (resource-based policy)",
    "resource-based policy",
    "bucket policy",
    "Sid1",
)


class Clock:
    """A wall clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def kept_keys(twin: MetadataTwin) -> list[str]:
    return [key for sub_level, key in twin.records if sub_level == REFUSALS]


async def test_what_was_noted_is_found_by_every_process_once_it_is_written() -> None:
    twin, clock = MetadataTwin(), Clock()
    store, other = RefusalStore(twin, clock), RefusalStore(twin, clock)
    store.note(REFUSAL)
    assert await other.find(REFUSAL.request_id) is None
    await store.write()
    assert await other.find(REFUSAL.request_id) == REFUSAL
    assert await other.find("F" * 16) is None


async def test_many_are_one_commit_and_none_is_none() -> None:
    twin = MetadataTwin()
    store = RefusalStore(twin)
    await store.write()
    assert twin.commits == 0
    for number in range(NOTED_MAX + 10):
        store.note(replace(REFUSAL, request_id=f"{number:016}"))
    await store.write()
    assert (twin.commits, len(kept_keys(twin))) == (1, NOTED_MAX)


async def test_strangers_leave_room_for_those_who_sign() -> None:
    twin = MetadataTwin()
    store = RefusalStore(twin)
    for _ in range(2):
        for number in range(NOTED_MAX * 2):
            store.note(replace(REFUSAL, request_id=f"{number:016}", caller="*"))
        store.note(REFUSAL)
        await store.write()
        assert len(kept_keys(twin)) == ANONYMOUS_MAX + 1
        assert await store.find(REFUSAL.request_id) == REFUSAL


async def test_it_is_found_for_a_time_and_then_forgotten() -> None:
    twin, clock = MetadataTwin(), Clock()
    store = RefusalStore(twin, clock)
    store.note(REFUSAL)
    await store.write()
    (key,) = kept_keys(twin)
    clock.now += PERIOD_SECONDS * (PERIODS_KEPT - 1)
    assert await store.find(REFUSAL.request_id) is not None
    assert key >= forgotten_before(clock.now)
    clock.now += PERIOD_SECONDS
    assert await store.find(REFUSAL.request_id) is None
    clock.now += PERIOD_SECONDS
    assert key < forgotten_before(clock.now)


async def test_metadata_that_are_away_take_nothing_down_and_harm_nothing() -> None:
    twin = MetadataTwin()
    store = RefusalStore(twin)
    store.note(REFUSAL)
    twin.refused_commits = 1
    await store.write()
    assert kept_keys(twin) == []
    store.note(REFUSAL)
    await store.write()
    assert len(kept_keys(twin)) == 1


async def test_names_of_any_length_and_kind_are_cut() -> None:
    twin = MetadataTwin()
    store = RefusalStore(twin)
    odd = replace(REFUSAL, resource="arn:aws:s3:::bucket/" + "x" * 5_000 + "\ud800")
    store.note(replace(odd, operation="\ud800"))
    await store.write()
    found = await store.find(REFUSAL.request_id)
    assert found is not None
    assert len(found.resource) == 256
    assert found.operation == "?"
