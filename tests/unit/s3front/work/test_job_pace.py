"""A job is slow, but no object may be slower than garbage collection lets it be."""

from __future__ import annotations

import pytest

from s3front.s3_errors import S3Error
from s3front.work.job_pace import JobPace, ObjectPace

SECONDS_MAX = 1000.0
BLOCK = 100


class Time:
    """``lag`` is how long each block takes besides, in seconds."""

    def __init__(self) -> None:
        self.now = 5.0
        self.lag = 0.0
        self.looks = 0
        self.pace = JobPace(SECONDS_MAX, lambda: self.now, self.sleep)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds

    async def look(self) -> None:
        self.looks += 1

    def of_object(self, size: int, rate: float) -> ObjectPace:
        return self.pace.of_object(size, rate, self.look)

    async def spend(self, pace: ObjectPace, blocks: int) -> None:
        for _ in range(blocks):
            await pace.spend(BLOCK)
            self.now += self.lag
        pace.require_in_time()


@pytest.fixture
def time() -> Time:
    return Time()


async def test_objects_share_the_rate(time: Time) -> None:
    for _ in range(5):
        await time.spend(time.of_object(2 * BLOCK, BLOCK), 2)
    assert time.now == 5 + 9  # the last block need not be waited for
    assert time.looks == 10


async def test_a_large_object_goes_faster_to_be_done_in_time(time: Time) -> None:
    await time.spend(time.of_object(2000 * BLOCK, BLOCK / 10), 2000)
    assert time.now - 5 == pytest.approx(SECONDS_MAX / 2, rel=0.01)


async def test_what_cannot_be_done_in_time_is_given_up_early(time: Time) -> None:
    time.lag = 2.0
    with pytest.raises(S3Error, match="InternalError") as raised:
        await time.spend(time.of_object(2000 * BLOCK, BLOCK), 2000)
    assert time.now - 5 < 0.11 * SECONDS_MAX
    assert "200000 bytes" in str(raised.value.__cause__)


async def test_a_machine_that_slept_is_too_late(time: Time) -> None:
    pace = time.of_object(2 * BLOCK, BLOCK)
    await time.spend(pace, 2)
    time.now += SECONDS_MAX
    with pytest.raises(S3Error, match="InternalError"):
        pace.require_in_time()


async def test_a_slow_beginning_is_forgiven(time: Time) -> None:
    pace = time.of_object(2000 * BLOCK, BLOCK)
    time.lag = 5.0
    await time.spend(pace, 10)
    time.lag = 0.0
    await time.spend(pace, 1990)
