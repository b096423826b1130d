"""Forgetting what is kept for some periods: all of it that is older, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from s3front.locations.location_config import Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.metadata import gateway, refusal_store, token_store
from s3front.work.old_periods import PeriodWorker, refusal_worker, token_worker
from s3front.work.worker import Pace, Throttled, Tools
from shared.records.names import CLIENT_TOKENS, REFUSALS
from tests.unit.dmd.metadata.support import RecordingLog
from tests.unit.s3front.metadata_twin import MetadataTwin

NOW = 1_800_000_000.0


def tools(store: MetadataTwin) -> Tools:
    locations = LocationRegistry({}, Surroundings(None, None))  # type: ignore[arg-type]  # nobody asks
    return Tools(store, locations, 0, RecordingLog(), lambda: 5.0, lambda: NOW)


@pytest.mark.parametrize(
    ("sub_level", "make", "kept_seconds"),
    [
        (CLIENT_TOKENS, token_worker, token_store.PERIOD_SECONDS),
        (
            REFUSALS,
            refusal_worker,
            refusal_store.PERIOD_SECONDS * (refusal_store.PERIODS_KEPT - 1),
        ),
    ],
)
async def test_what_is_old_is_forgotten(
    sub_level: str, make: Callable[[Tools], PeriodWorker], kept_seconds: int
) -> None:
    store = MetadataTwin()
    period = token_store.PERIOD_SECONDS
    assert period == refusal_store.PERIOD_SECONDS
    young = f"{int(NOW - kept_seconds) // period:012}.a"
    old = [f"{int(NOW - kept_seconds) // period - 2:012}.{number:04}" for number in range(450)]
    await store.commit([gateway.put(sub_level, key, "{}") for key in [young, *old]], [], "")
    worker = make(tools(store))
    steps = [await worker.step() for _ in range(4)]
    assert steps[:3] == [Pace.BUSY] * 3
    assert isinstance(steps[3], Throttled)
    assert steps[3].until > 5.0
    assert [key for _, key in store.records] == [young]
    assert worker.status() == {"done": 450}
