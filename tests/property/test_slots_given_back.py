"""Whatever becomes of those that use a place, each slot is given back, and none is given twice.

Random requests come to a place that answers, fails, hangs and breaks bodies off, with random
pauses between; a third of them are cancelled at a random moment, some of those at just the turn of
the loop in which they are let in. At every turn no more than the limit are being served.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
from collections.abc import AsyncGenerator

import pytest

from s3front.locations.base import DataNotFoundError, ObjectInfo, Stored
from s3front.locations.remote_store import Trouble
from s3front.locations.resilience import ResilientStore
from s3front.s3_errors import S3Error
from tests.unit.s3front.locations.scripted_remote import (
    NOT_FOUND,
    ScriptedRemote,
    hang,
    resilient,
    trouble,
)

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
HISTORIES = 200 if SOAK else 12
REQUESTS = 120
CALLS_MAX, BODIES_MAX = 3, 2
INFO = ObjectInfo("bucket", "key", "text/plain", {})
BLOB = Stored("key", 3000, "version")


class History:
    """A place, and requests for it."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.remote = ScriptedRemote()
        self.store = resilient(self.remote, calls_max=CALLS_MAX, bodies_max=BODIES_MAX)
        self.store._seconds = 0.02
        self.remote.always = self.behave

    async def behave(self) -> None:
        """What the place does with a call."""
        await self.pause()
        kind = self.random.random()
        if kind < 0.1:
            raise trouble(self.random.choice(list(Trouble)))
        if kind < 0.15:
            raise NOT_FOUND
        if kind < 0.2:
            await hang()
        self.remote.read_script = self.random.choice(
            [[], [self.pause], [self.pause, trouble(Trouble.SILENT)], [hang]]
        )

    async def pause(self) -> None:
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)

    async def request(self) -> None:
        await self.pause()
        with contextlib.suppress(S3Error, DataNotFoundError):
            await self.random.choice([self.put, self.put_blocks, self.read, self.delete])()

    async def put(self) -> None:
        await self.store.put(3, b"abc", INFO)

    async def put_blocks(self) -> None:
        async def body() -> AsyncGenerator[bytes, None]:
            for _ in range(3):
                await self.pause()
                yield b"abc"

        await self.store.put(9, body(), INFO)

    async def read(self) -> None:
        reader = await self.store.open(BLOB, 0, 2999)
        try:
            if self.random.random() < 0.5:
                async for _ in reader.blocks():
                    await self.pause()
                    if self.random.random() < 0.2:
                        return
            else:
                await reader.read()
        finally:
            reader.close()

    async def delete(self) -> None:
        await self.store.delete(BLOB)

    async def run(self) -> None:
        tasks: list[asyncio.Task[None]] = []
        watching = asyncio.ensure_future(self.watch())
        for _ in range(REQUESTS):
            tasks.append(asyncio.ensure_future(self.request()))
            await self.pause()
            if self.random.random() < 0.33:
                self.random.choice(tasks).cancel()
            if self.random.random() < 0.1:
                self.store._breaker._try_at = 0.0  # a rest is over
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(
            outcome is None or isinstance(outcome, asyncio.CancelledError) for outcome in outcomes
        ), outcomes
        watching.cancel()
        await asyncio.wait([watching])
        assert watching.cancelled()

    async def watch(self) -> None:
        while True:
            report = self.store.report()
            assert report.running <= CALLS_MAX
            assert self.remote.running <= CALLS_MAX + BODIES_MAX
            assert report.reading <= BODIES_MAX
            assert report.writing <= BODIES_MAX
            await asyncio.sleep(0)


def free_again(store: ResilientStore) -> bool:
    report = store.report()
    return (report.running, report.waiting, report.reading, report.writing) == (0, 0, 0, 0)


@pytest.mark.parametrize("seed", range(HISTORIES))
async def test_every_slot_is_given_back(seed: int) -> None:
    history = History(seed)
    await history.run()
    assert free_again(history.store)
    assert history.remote.open_readers == 0
    assert history.remote.running == 0
