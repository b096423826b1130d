"""Doing a row of ``tests.bench.workloads`` with an endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import uvloop

from tests.bench.load import Address, Client, FailedRequestError, Result, S3Endpoint, run
from tests.bench.workloads import Work, bucket_requests

CONFLICT: Final = 409
"""The status of a bucket that is there already, and is ours."""

_FILLING_CONNECTIONS: Final = 16


def measure(endpoint: S3Endpoint, work: Work, seconds: float, *, tolerant: bool = False) -> Result:
    """Do the work for so long. Raises FailedRequestError and OSError, unless it is to be
    ``tolerant``: then what fails is counted."""
    step = work.steps(endpoint)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(
            run(
                Address.of(endpoint),
                work.connections,
                seconds,
                step,
                count_min=work.count_min,
                count_max=work.count_max,
                tolerant=tolerant,
            )
        )


def make_buckets(endpoint: S3Endpoint) -> None:
    """Make the buckets of the rows, unless they are there. Raises FailedRequestError, OSError."""
    for request in bucket_requests(endpoint):
        try:
            _send(endpoint, [request], 1)
        except FailedRequestError as error:
            if error.status != CONFLICT:
                raise


def fill(endpoint: S3Endpoint, work: Work) -> None:
    """Write what the row finds. Raises FailedRequestError, OSError."""
    _send(endpoint, work.fill(endpoint), _FILLING_CONNECTIONS)


def _send(endpoint: S3Endpoint, payloads: Sequence[bytes], connections: int) -> None:
    async def send(client: Client, number: int) -> None:
        await client.call(payloads[number])

    count = len(payloads)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(
            run(Address.of(endpoint), connections, 0, send, count_min=count, count_max=count)
        )
