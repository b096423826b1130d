"""The background work of a front-end process."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from s3front.metadata.gateway import ChangedError
from s3front.s3_errors import S3Error
from s3front.work.job_lease import Lease
from shared.process.logs import Logger

IDLE_SECONDS = 2.0
"""How long to wait when there was nothing to do, or when it could not be done."""

_FAILED_SECONDS = 60.0
"""How long a job rests that failed in a way that nobody expected."""


def holder_name() -> str:
    """A name for this process that no other one has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of background work. ``run`` does a slice of it and says how much that was; after
    some, it is asked again at once.

    ``period_seconds`` is the time between two slices, for jobs that look through everything.
    """

    name: str
    run: Callable[[], Awaitable[int]]
    period_seconds: float = 0.0


async def work(lease: Lease, jobs: Sequence[Job], log: Logger) -> None:
    """Do background work for ever, while this process holds the lease.

    A job that fails holds up no other one. Whoever gets the lease begins with all jobs at once,
    whatever their periods: the holder before may have died in the middle of one.
    """
    term = 0
    due = dict.fromkeys(jobs, 0.0)
    while True:
        busy = False
        if await _held(lease, log):
            if lease.term != term:
                term, due = lease.term, dict.fromkeys(jobs, 0.0)
            for job in jobs:
                if time.monotonic() < due[job]:
                    continue
                count, rest = await _slice(job, log)
                due[job] = time.monotonic() + rest
                busy = busy or (count > 0 and not rest)
        if not busy:
            await asyncio.sleep(IDLE_SECONDS)


async def _held(lease: Lease, log: Logger) -> bool:
    try:
        return await lease.hold()
    except (S3Error, ChangedError) as error:
        log.debug("background work waits", reason=str(error))
    except Exception as error:
        log.error("background work failed", exc_info=error)
    return False


async def _slice(job: Job, log: Logger) -> tuple[int, float]:
    """Run a job once; how much it did, and for how long it is to rest."""
    try:
        return await job.run(), job.period_seconds
    except (S3Error, ChangedError) as error:
        log.debug("background work waits", job=job.name, reason=str(error))
        return 0, 0.0
    except Exception as error:
        log.error("background work failed", job=job.name, exc_info=error)
        return 0, _FAILED_SECONDS
