"""Threads that race through two front-ends, and what they must leave in the daemons."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.records.names import METASTORE, UPLOADS_PREFIX, USERS_BUCKET
from tests.faults.stores import blobs_of, stored_blobs, stored_records
from tests.load_requests import ObjectClient
from tests.servers import Cluster, wait_for

_T = TypeVar("_T")


def create_bucket(running: Cluster, name: str) -> None:
    response = ObjectClient(running.fronts[0]).request("PUT", f"/{name}")
    assert response.status == 200, response.body


@dataclass(frozen=True)
class Racer:
    """One of several threads, with a connection to a front-end."""

    number: int
    client: ObjectClient
    _together: threading.Barrier

    def meet(self) -> None:
        """Wait for all the others, so that what follows happens at the same time."""
        self._together.wait()


def race(running: Cluster, count: int, work: Callable[[Racer], _T]) -> list[_T]:
    """What ``work`` returns in each of so many threads, which take the front-ends in turn."""
    together = threading.Barrier(count, timeout=30)

    def run(number: int) -> _T:
        client = ObjectClient(running.fronts[number % len(running.fronts)])
        racer = Racer(number, client, together)
        try:
            # A connection that is made already, so that the requests themselves meet.
            client.request("GET", "/")
            racer.meet()
            return work(racer)
        except BaseException:
            together.abort()
            raise
        finally:
            client.close()

    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(run, number) for number in range(count)]
    errors = [error for future in futures if (error := future.exception()) is not None]
    # Those who were let down by somebody else say nothing new.
    for error in sorted(errors, key=lambda error: isinstance(error, threading.BrokenBarrierError)):
        raise error
    return [future.result() for future in futures]


def assert_consistent(running: Cluster, buckets: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The records of the buckets, and that daemons hold these, their blobs, and nothing else."""
    levels = [*buckets, *(UPLOADS_PREFIX + bucket for bucket in buckets)]
    records = stored_records(running, [METASTORE, USERS_BUCKET, *levels])
    known = records.pop(METASTORE)
    owned = {key.rpartition("..|..")[2] for key in records.pop(USERS_BUCKET)}
    assert owned == set(known), "ListBuckets and the buckets differ"
    for bucket in set(buckets) - set(known):
        assert not records[bucket], f"objects without their bucket {bucket}"
    everything = stored_records(running, list(known))
    expected = {blob for objects in everything.values() for blob in blobs_of(objects)}
    wait_for(
        lambda: stored_blobs(running) == expected,
        "the data directory to hold what records name, and nothing else",
        10,
    )
    incoming = running.folder / "data" / "incoming"
    wait_for(lambda: not list(incoming.iterdir()), "no upload under way", 10)
    return {bucket: records[bucket] for bucket in buckets}
