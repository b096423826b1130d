"""Runs the workers of a process, each by itself.

Every worker has a task of its own, which waits for the worker's lease, makes the worker, and calls
its steps. One that fails holds up no other one:

* When a step raises, the worker is made again after a while: ``FAILED_SECONDS_MIN`` at first, then
  twice as long each time up to ``FAILED_SECONDS_MAX``, until a step succeeds.
* When a step lasts longer than it may, it is cancelled, and the lease is given up: another process
  may do better. This one stands back for ``HUNG_SECONDS``. A step that does not even let itself be
  cancelled is left to itself; without the epoch of its lease it can change nothing any more.
* When the lease is lost, the worker is forgotten.

Its status is told with the lease (``LeaseKeeper``), in ``..workStatus``.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import orjson

from s3front.metadata.gateway import ChangedError, MetadataGateway, Requirement
from s3front.s3_errors import S3Error
from s3front.work.job_lease import Lease, LeaseKeeper, LeaseLostError
from s3front.work.worker import Pace, Registration, Step, Throttled, Tools, Worker

IDLE_SECONDS: Final = 1.0
"""How long to wait when there was nothing to do, or when the daemon is away."""

FAILED_SECONDS_MIN: Final = 1.0
FAILED_SECONDS_MAX: Final = 60.0
HUNG_SECONDS: Final = 60.0
_REASON_CHARACTERS_MAX: Final = 300


class StepHungError(Exception):
    """A step did not end in time."""


Leased = Callable[[Requirement], MetadataGateway]
"""Makes the metadata as they are changed under a lease (``job_lease.LeasedMetadata``)."""


def holder_name() -> str:
    """A name for this process that no other one has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class Runner:
    """See the module. ``run`` it as a task of the process; ``close`` it at the end.

    ``tools`` are those of all workers; each gets them with ``metadata`` that ``leased`` makes.
    """

    def __init__(
        self, leased: Leased, tools: Tools, workers: Sequence[Registration], holder: str
    ) -> None:
        leases = [Lease(worker.name, holder) for worker in workers]
        self._keeper = LeaseKeeper(tools.metadata, leases, self._status_of, tools.log, tools.clock)
        self._seats = {
            worker.name: Seat(worker, lease, self._keeper, leased, tools)
            for worker, lease in zip(workers, leases, strict=True)
        }

    async def run(self) -> None:
        """Work for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._keeper.follow(), name="leases")
            for name, seat in self._seats.items():
                group.create_task(seat.run(), name=f"worker {name}")

    def use(self, tools: Tools) -> None:
        """Work with these from the next step of each worker on."""
        for seat in self._seats.values():
            seat.tools = tools

    async def close(self) -> None:
        """Give up all leases, once ``run`` was cancelled."""
        with suppress(S3Error):
            await self._keeper.give_up_all()

    def _status_of(self, name: str) -> str:
        return orjson.dumps(self._seats[name].status()).decode()


class Seat:
    """The place of one worker in this process."""

    def __init__(
        self,
        registration: Registration,
        lease: Lease,
        keeper: LeaseKeeper,
        leased: Leased,
        tools: Tools,
    ) -> None:
        self._registration = registration
        self._lease = lease
        self._keeper = keeper
        self._leased = leased
        self.tools = tools
        self._worker: Worker | None = None
        self._failures = 0
        self._failed: dict[str, Any] = {}
        self._abandoned: set[asyncio.Task[Step]] = set()

    def status(self) -> dict[str, Any]:
        """What is known of the worker: ``holder``, the failures in a row, and what it says."""
        said = {} if self._worker is None else dict(self._worker.status())
        return {"holder": self._lease.holder, **self._failed, **said}

    async def run(self) -> None:
        """Hold the lease and work, for ever."""
        while True:
            await self._lease.wait()
            try:
                await self._drive()
            except LeaseLostError:
                self.tools.log.info("background work was taken over", worker=self._lease.name)
            except StepHungError as error:
                self._report(error)
                await self._stand_back()
            except Exception as error:
                self._report(error)
                await asyncio.sleep(rest_seconds(self._failures))
            finally:
                self._worker = None

    async def _drive(self) -> None:
        """Make the worker, and call its steps until something ends that."""
        tools, log, epoch = self.tools, self.tools.log, self._lease.epoch
        metadata = self._leased(self._lease.requirement)
        self._worker = worker = self._registration.make(replace(tools, metadata=metadata))

        def goes_on() -> bool:
            return self._lease.epoch == epoch and self.tools is tools

        rest_until = tools.clock()
        while goes_on():
            if (left := rest_until - tools.clock()) > 0:
                await asyncio.sleep(min(left, IDLE_SECONDS))
                continue
            try:
                step = await self._step(worker)
            except (S3Error, ChangedError) as error:
                self._failed = {"reason": str(error)[:_REASON_CHARACTERS_MAX]}
                log.debug("background work waits", worker=self._lease.name, reason=str(error))
                await asyncio.sleep(IDLE_SECONDS)
                continue
            self._failures, self._failed = 0, {}
            if step is Pace.IDLE:
                await asyncio.sleep(IDLE_SECONDS)
            elif isinstance(step, Throttled):
                rest_until = step.until

    async def _step(self, worker: Worker) -> Step:
        task = asyncio.get_running_loop().create_task(worker.step())
        try:
            done, _ = await asyncio.wait({task}, timeout=self._registration.step_seconds_max)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if done and not task.cancelled():
            return task.result()
        if done:
            raise RuntimeError("a step cancelled itself")
        task.cancel()
        self._abandoned.add(task)
        task.add_done_callback(self._forget)
        limit = self._registration.step_seconds_max
        raise StepHungError(f"a step lasted longer than {limit:g} s")

    def _forget(self, task: asyncio.Task[Step]) -> None:
        """A step that was given up has ended after all; nobody asks how."""
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()

    def _report(self, error: Exception) -> None:
        self._failures += 1
        self._failed = {
            "failures": self._failures,
            "reason": repr(error)[:_REASON_CHARACTERS_MAX],
        }
        name = self._lease.name
        self.tools.log.error("background work failed", worker=name, exc_info=error)

    async def _stand_back(self) -> None:
        self._lease.stand_back(self.tools.clock() + HUNG_SECONDS)
        with suppress(S3Error):
            await self._keeper.give_up(self._lease)


def rest_seconds(failures: int) -> float:
    """How long a worker rests after so many failures in a row."""
    return min(FAILED_SECONDS_MIN * 2.0 ** min(failures - 1, 30), FAILED_SECONDS_MAX)
