"""``python -m tests.faults.work_process NAME…``: a process of background work with these workers.

They are those of the product and some that do what no worker should; each of these says in the log
what it does.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from s3front.metadata import gateway
from s3front.metadata.outbox import outbox_level
from s3front.work.__main__ import main
from s3front.work.outbox_worker import OutboxWorker
from s3front.work.worker import Pace, Registration, Step, Tools
from s3front.work.workers import WORKERS

COUNTING = "counting"
COUNTED = outbox_level(COUNTING)
"""The outbox that this worker works off: an entry has a number."""
DEAF = "..deaf"
"""Sub-level that ``deaf`` writes to, if it can."""


class _Odd:
    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        tools.log.info("made", worker=type(self).__name__)

    def status(self) -> Mapping[str, Any]:
        return {}


class Raising(_Odd):
    async def step(self) -> Step:
        raise RuntimeError("a defect")


class Hanging(_Odd):
    async def step(self) -> Step:
        self._tools.log.info("hangs")
        await asyncio.Event().wait()
        return Pace.IDLE


class Deaf(_Odd):
    """Does not even let itself be cancelled, and changes something in the end."""

    async def step(self) -> Step:
        self._tools.log.info("hangs")
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                break
        await asyncio.sleep(1)
        try:
            await self._tools.metadata.commit([gateway.put(DEAF, "key", "{}")], [], "deaf")
        except Exception as error:
            self._tools.log.info("refused", reason=repr(error))
        return Pace.IDLE


class Killing(_Odd):
    """Dies as from a defect of compiled code."""

    async def step(self) -> Step:
        os.kill(os.getpid(), signal.SIGSEGV)
        return Pace.IDLE


UNBEARABLE = -1


class Counting(OutboxWorker[int]):
    """Says of each entry that it was done, but for a number that it cannot bear."""

    def __init__(self, tools: Tools) -> None:
        super().__init__(tools, COUNTED)

    def parse(self, document: Any) -> int:
        return int(document["number"])

    def places(self, item: int) -> list[str]:
        return []

    async def perform(self, item: int) -> None:
        if item == UNBEARABLE:
            raise RuntimeError("a defect")
        self._tools.log.info("counted", number=item)


_MADE_UP = (
    Registration("raising", Raising),
    Registration("hanging", Hanging, step_seconds_max=1),
    Registration("deaf", Deaf, step_seconds_max=1),
    Registration("killing", Killing),
    Registration(COUNTING, Counting),
)

if __name__ == "__main__":
    main([worker for worker in (*WORKERS, *_MADE_UP) if worker.name in sys.argv[1:]])
