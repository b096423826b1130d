"""The background work of a front-end process."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from dataclasses import dataclass

from s3front.metadata.gateway import ChangedError
from s3front.workers.client_tokens import TokenWorker
from s3front.workers.deletions import DeletionWorker
from s3front.workers.lease import Lease
from s3front.workers.uploads import UploadWorker
from shared.errors import ServiceError
from shared.observability import Logger

IDLE_SECONDS = 2.0
"""How long to wait when there was nothing to do, or when it could not be done."""

_UPLOADS_SECONDS = 120.0
"""Time between two looks for uploads that somebody left half closed."""


def holder_name() -> str:
    """A name for this process that no other one has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


@dataclass(frozen=True, slots=True)
class Workers:
    """What there is to do."""

    deletions: DeletionWorker
    uploads: UploadWorker
    tokens: TokenWorker


async def work(lease: Lease, workers: Workers, log: Logger) -> None:
    """Do background work for ever, while this process holds the lease.

    Whoever gets the lease looks for uploads at once, and not only when there is nothing else to do:
    the holder before may have died in the middle of one.
    """
    term = 0
    uploads_due = 0.0
    while True:
        busy = False
        try:
            if await lease.hold():
                busy = await workers.deletions.run_once() > 0
                busy = await workers.tokens.run_once() > 0 or busy
                if lease.term != term or time.monotonic() >= uploads_due:
                    await workers.uploads.run_once()
                    term, uploads_due = lease.term, time.monotonic() + _UPLOADS_SECONDS
        except (ServiceError, ChangedError) as error:
            log.debug("background work waits", reason=str(error))
        except Exception as error:
            log.error("background work failed", exc_info=error)
        if not busy:
            await asyncio.sleep(IDLE_SECONDS)
