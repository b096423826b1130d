"""What stands between requests and a key service: deadlines, tries, the circuit, and the log."""

from __future__ import annotations

import asyncio
import time

import pytest

from s3front.keys.base import KeeperError, KeyTrouble
from s3front.keys.resilient_keys import ResilientKeys
from s3front.locations.circuit_breaker import FAILURES_IN_A_ROW, CircuitState
from tests.unit.dmd.metadata.support import until
from tests.unit.s3front.keys.scripted_keys import (
    BUCKET,
    Clock,
    ScriptedKeys,
    Trouble,
    altered,
    away,
    busy,
    is_disabled,
    not_allowed,
)
from tests.unit.s3front.locations.scripted_remote import KeptLog


class Stage:
    """Resilience around a scripted keeper."""

    def __init__(self, seconds: float = 0.4) -> None:
        self.service = ScriptedKeys()
        self.clock = Clock()
        self.log = KeptLog()
        self.keys = ResilientKeys(self.service, seconds, self.log, self.clock)

    async def fail(self) -> KeeperError:
        with pytest.raises(KeeperError) as caught:
            await self.keys.opened("master", "wrapped-1", BUCKET)
        return caught.value

    async def open_circuit(self) -> None:
        self.service.trouble = away
        while self.keys.state is not CircuitState.OPEN:
            await self.fail()


async def test_an_answer_passes() -> None:
    stage = Stage()

    assert await stage.keys.opened("master", "wrapped-1", BUCKET) == (1).to_bytes(32, "big")


@pytest.mark.parametrize("trouble", [away, busy])
async def test_a_service_that_is_away_for_a_moment_is_asked_again(trouble: Trouble) -> None:
    stage = Stage()
    stage.service.troubles = [trouble, trouble]

    assert await stage.keys.opened("master", "wrapped-1", BUCKET)
    assert len(stage.service.asked) == 3


@pytest.mark.parametrize("trouble", [not_allowed, is_disabled, altered])
async def test_a_refusal_is_not_asked_for_again(trouble: Trouble) -> None:
    stage = Stage()
    stage.service.trouble = trouble

    failure = await stage.fail()

    assert failure.trouble is not KeyTrouble.AWAY
    assert len(stage.service.asked) == 1


async def test_what_makes_a_master_key_is_asked_for_once() -> None:
    stage = Stage()
    stage.service.trouble = away

    with pytest.raises(KeeperError):
        await stage.keys.create("new")

    assert stage.service.asked == ["create"]


async def test_silence_ends_at_the_deadline_and_says_so() -> None:
    stage = Stage(seconds=0.2)
    stage.service.hangs = True
    began = time.monotonic()

    failure = await stage.fail()

    assert time.monotonic() - began < 3
    assert (failure.code, failure.status) == ("ServiceUnavailable", 503)
    assert "no answer within 0.1 s" in failure.reason
    assert failure.reason in str(failure.__cause__)
    assert "encryption keys" in failure.message


async def test_a_service_that_stays_away_is_not_asked_and_costs_no_time() -> None:
    stage = Stage()
    await stage.open_circuit()
    asked = len(stage.service.asked)

    failures = [await stage.fail() for _ in range(100)]

    assert len(stage.service.asked) == asked >= FAILURES_IN_A_ROW
    assert all("is not asked for a while" in failure.reason for failure in failures)
    assert all("no connection" in failure.reason for failure in failures)


async def test_the_log_is_told_once_when_it_goes_and_once_when_it_comes_back() -> None:
    stage = Stage()
    await stage.open_circuit()
    await stage.fail()
    stage.service.trouble = None
    stage.clock.now += 60.0

    await stage.keys.opened("master", "wrapped-1", BUCKET)
    await stage.keys.opened("master", "wrapped-1", BUCKET)

    assert [event for event, _ in stage.log.lines] == [
        "a key service is away",
        "a key service is there again",
    ]
    assert stage.log.lines[0][1] == {"keeper": "scripted", "reason": "no connection"}


@pytest.mark.parametrize("trouble", [busy, not_allowed, is_disabled, altered])
async def test_who_refuses_or_asks_for_patience_is_there(trouble: Trouble) -> None:
    stage = Stage()
    stage.service.trouble = trouble

    for _ in range(2 * FAILURES_IN_A_ROW):
        await stage.fail()

    assert stage.keys.state is CircuitState.CLOSED


async def test_the_log_is_told_of_refusals_once_a_minute() -> None:
    stage = Stage()
    stage.service.trouble = not_allowed
    for _ in range(10):
        await stage.fail()
    assert len(stage.log.lines) == 1

    stage.clock.now += 61.0
    await stage.fail()

    assert [event for event, _ in stage.log.lines] == ["a key service refuses something"] * 2
    assert stage.log.lines[0][1]["reason"] == "403 permission denied"


async def test_a_request_that_goes_away_says_nothing_of_the_service() -> None:
    stage = Stage(seconds=60)
    stage.service.hangs = True
    for _ in range(2 * FAILURES_IN_A_ROW):
        asking = asyncio.create_task(stage.keys.opened("master", "wrapped-1", BUCKET))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)

    assert stage.keys.state is CircuitState.CLOSED


async def test_a_try_whose_client_goes_away_keeps_nobody_else_from_trying() -> None:
    stage = Stage(seconds=60)
    await stage.open_circuit()
    stage.clock.now += 60.0
    stage.service.trouble, stage.service.hangs = None, True
    trying = asyncio.create_task(stage.keys.opened("master", "wrapped-1", BUCKET))
    asked = len(stage.service.asked)
    await until(lambda: len(stage.service.asked) > asked)
    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)
    stage.service.hangs = False

    assert await stage.keys.opened("master", "wrapped-1", BUCKET)


async def test_a_look_asks_whatever_is_known_and_gives_the_reason() -> None:
    stage = Stage()
    await stage.open_circuit()

    assert await stage.keys.look() == "no connection"
    stage.service.trouble = None
    assert await stage.keys.look() is None
