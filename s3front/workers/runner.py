"""The background work of a front-end process."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket

from s3front.metadata.gateway import ChangedError
from s3front.workers.deletions import DeletionWorker
from s3front.workers.lease import Lease
from s3front.workers.uploads import UploadWorker
from shared.errors import ServiceError
from shared.observability import Logger

IDLE_SECONDS = 2.0
"""How long to wait when there was nothing to do, or when it could not be done."""

_UPLOADS_EVERY = 60
"""Idle rounds between two looks for uploads that somebody left half closed."""


def holder_name() -> str:
    """A name for this process that no other one has."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


async def work(lease: Lease, deletions: DeletionWorker, uploads: UploadWorker, log: Logger) -> None:
    """Do background work for ever, while this process holds the lease."""
    rounds = 0
    while True:
        busy = False
        try:
            if await lease.hold():
                busy = await deletions.run_once() > 0
                if not busy and rounds % _UPLOADS_EVERY == 0:
                    await uploads.run_once()
                rounds += 1
        except (ServiceError, ChangedError) as error:
            log.debug("background work waits", reason=str(error))
        except Exception as error:
            log.error("background work failed", exc_info=error)
        if not busy:
            await asyncio.sleep(IDLE_SECONDS)
