"""The runner of background work, with workers that do what no worker should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import orjson
import pytest

from s3front.locations.location_config import Surroundings
from s3front.locations.registry import LocationRegistry
from s3front.metadata import gateway
from s3front.s3_errors import S3Error
from s3front.work import runner as runner_module
from s3front.work.job_lease import LeaseLostError
from s3front.work.runner import FAILED_SECONDS_MAX, FAILED_SECONDS_MIN, Runner, rest_seconds
from s3front.work.worker import Pace, Registration, Step, Throttled, Tools
from shared.records.names import LEASES, WORK_STATUS
from tests.unit.dmd.metadata.support import RecordingLog, until
from tests.unit.s3front.metadata_twin import MetadataTwin

HOLDER = "this process"


class Script:
    """A worker whose steps do what the test says; a step without a script is idle."""

    def __init__(self) -> None:
        self.made: list[Tools] = []
        self.steps = 0
        self.is_broken = False
        self.script: Callable[[Tools], Awaitable[Step]] | None = None

    def make(self, tools: Tools) -> Script.Made:
        if self.is_broken:
            raise ValueError("it cannot be made")
        self.made.append(tools)
        return Script.Made(self, tools)

    class Made:
        def __init__(self, script: Script, tools: Tools) -> None:
            self._script = script
            self._tools = tools

        def status(self) -> Mapping[str, Any]:
            return {"steps": self._script.steps}

        async def step(self) -> Step:
            self._script.steps += 1
            if self._script.script is not None:
                return await self._script.script(self._tools)
            return Pace.IDLE


class Stage:
    """A running runner of two workers, ``odd`` and ``other``; waits are short."""

    def __init__(self) -> None:
        self.store = MetadataTwin()
        self.log = RecordingLog()
        self.odd, self.other = Script(), Script()
        workers = [
            Registration("odd", self.odd.make, step_seconds_max=0.05),
            Registration("other", self.other.make),
        ]
        self.runner = Runner(self.store.leased, self.tools(), workers, HOLDER)
        self.task = asyncio.ensure_future(self.runner.run())

    def tools(self) -> Tools:
        clock = asyncio.get_running_loop().time
        locations = LocationRegistry({}, Surroundings(None, None))  # type: ignore[arg-type]  # no worker here asks
        return Tools(self.store, locations, 0.0, self.log, clock, clock)

    async def other_goes_on(self) -> None:
        """Wait until the other worker has made two more steps."""
        before = self.other.steps
        await until(lambda: self.other.steps >= before + 2)

    def status(self, name: str) -> dict[str, Any]:
        text = self.store.text(WORK_STATUS, name)
        return {} if text is None else orjson.loads(text)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.setattr(runner_module, "IDLE_SECONDS", 0.005)
    monkeypatch.setattr(runner_module, "FAILED_SECONDS_MIN", 0.01)
    for name in ("LOOK_SECONDS", "RENEW_SECONDS"):
        monkeypatch.setattr(f"s3front.work.job_lease.{name}", 0.01)
    stage = Stage()
    yield stage
    stage.task.cancel()
    await asyncio.wait({stage.task})


def test_who_fails_again_and_again_rests_longer() -> None:
    rests = [rest_seconds(failures) for failures in range(1, 100)]
    assert rests[0] == FAILED_SECONDS_MIN
    assert rests == sorted(rests)
    assert rests[-1] == FAILED_SECONDS_MAX


async def test_a_worker_that_raises_is_made_again_and_holds_up_no_other(stage: Stage) -> None:
    async def raises(_tools: Tools) -> Step:
        raise RuntimeError("a defect")

    stage.odd.script = raises
    await until(lambda: len(stage.odd.made) >= 3)
    await stage.other_goes_on()
    await until(lambda: stage.status("odd").get("failures", 0) >= 3)
    assert "a defect" in stage.status("odd")["reason"]
    assert "background work failed" in stage.log.events
    stage.odd.script = None
    await until(lambda: "failures" not in stage.status("odd"))


async def test_a_worker_that_cannot_be_made_holds_up_no_other(stage: Stage) -> None:
    stage.odd.is_broken = True
    stage.runner.use(stage.tools())
    await until(lambda: "background work failed" in stage.log.events)
    await stage.other_goes_on()


async def test_a_worker_that_cancels_itself_is_made_again(stage: Stage) -> None:
    async def cancels(_tools: Tools) -> Step:
        raise asyncio.CancelledError

    stage.odd.script = cancels
    await until(lambda: len(stage.odd.made) >= 2)
    await stage.other_goes_on()


async def test_a_worker_that_hangs_loses_its_lease(stage: Stage) -> None:
    async def hangs(_tools: Tools) -> Step:
        await asyncio.Event().wait()
        return Pace.IDLE

    await until(lambda: stage.store.text(LEASES, "odd") is not None)
    stage.odd.script = hangs
    await until(lambda: stage.store.text(LEASES, "odd") is None)
    await stage.other_goes_on()
    assert stage.store.text(LEASES, "odd") is None
    assert stage.store.text(LEASES, "other") is not None


async def test_a_step_that_does_not_end_when_it_is_cancelled_can_change_nothing(
    stage: Stage,
) -> None:
    refused: list[Exception] = []
    goes_on = asyncio.Event()

    async def is_deaf(tools: Tools) -> Step:
        while not goes_on.is_set():
            try:
                await goes_on.wait()
            except asyncio.CancelledError:
                continue
        try:
            await tools.metadata.commit([gateway.put("queue", "key", "{}")], [], "")
        except LeaseLostError as error:
            refused.append(error)
        return Pace.IDLE

    stage.odd.script = is_deaf
    await until(lambda: stage.odd.steps == 1)
    await until(lambda: stage.store.text(LEASES, "odd") is None)
    goes_on.set()
    await until(lambda: bool(refused))
    assert stage.store.text("queue", "key") is None


async def test_what_is_not_there_is_waited_for(stage: Stage) -> None:
    """A daemon that is away is no failure of a worker."""

    async def asks(tools: Tools) -> Step:
        await tools.metadata.get_many([("queue", "key")], "")
        return Pace.IDLE

    async def is_refused(_tools: Tools) -> Step:
        raise S3Error("InternalError")

    stage.odd.script = asks
    await until(lambda: stage.odd.steps > 0)
    stage.store.is_away = True
    await stage.other_goes_on()
    stage.store.is_away = False
    stage.odd.script = is_refused
    await until(lambda: "reason" in stage.status("odd"))
    assert "failures" not in stage.status("odd")
    assert len(stage.odd.made) == 1
    assert "background work failed" not in stage.log.events


async def test_a_throttled_worker_is_left_alone_so_long(
    stage: Stage,
) -> None:
    until_when: list[float] = []

    async def throttles(tools: Tools) -> Step:
        until_when.append(tools.clock() + 0.2)
        return Throttled(until_when[0])

    stage.odd.script = throttles
    await until(lambda: bool(until_when))
    await until(lambda: len(until_when) >= 2)
    assert until_when[1] - until_when[0] >= 0.2


async def test_a_reload_makes_the_workers_again(stage: Stage) -> None:
    async def throttles(tools: Tools) -> Step:
        return Throttled(tools.clock() + 1000)

    stage.odd.script = throttles
    await until(lambda: stage.odd.steps == 1)
    stage.runner.use(stage.tools())
    await until(lambda: len(stage.odd.made) == 2)


async def test_whoever_has_lost_the_lease_begins_anew(stage: Stage) -> None:
    """Even if nobody else has had it."""
    await until(lambda: bool(stage.odd.made))
    await stage.store.commit([gateway.delete(LEASES, "odd")], [], "")
    await until(lambda: len(stage.odd.made) == 2)
    await stage.store.commit([gateway.put(LEASES, "odd", '{"holder":"another"}')], [], "")
    await until(lambda: stage.runner._seats["odd"]._worker is None)
    before = stage.odd.steps
    await stage.other_goes_on()
    assert stage.odd.steps == before


async def test_at_the_end_leases_are_free(stage: Stage) -> None:
    await until(lambda: stage.store.text(LEASES, "odd") is not None)
    stage.task.cancel()
    await asyncio.wait({stage.task})
    await stage.runner.close()
    assert stage.store.text(LEASES, "odd") is None
    assert stage.store.text(LEASES, "other") is None
