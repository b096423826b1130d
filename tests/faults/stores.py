"""What lies in the two stores, and whether it is right.

Everything is asked of the daemons' own stores: records through the metadata RPC, blobs in the data
directory. Invariants, at any time when no request is under way:

* Every blob that a record names is there.
* A blob belongs to one record, or to the deletion queue, or to nobody. The last is what a request
  that was interrupted between data and record may leave, and nothing else may.

And once the background work is done: the queue is empty, and nothing is left of uploads that have
ended.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmd.jobs.check import check
from dmd.metadata.metadata_directory import open_engine
from s3front.rpc.rpc_client import RpcClient
from s3front.work.workers import WORKERS
from shared.records.names import (
    DELETIONS,
    ENDED_UPLOADS,
    LEASES,
    METASTORE,
    UPLOADS_PREFIX,
    USERS_BUCKET,
)
from shared.records.upload import CLOSING_PREFIX, OVERVIEW_PREFIX, parse_overview_key
from shared.rpc.envelope import METADATA_NAMESPACE
from tests.servers import Cluster, wait_for
from tests.unit.dmd.data.harness import keys_in
from tests.unit.dmd.metadata.support import RecordingLog

Records = dict[str, dict[str, Any]]
"""The documents of sub-levels, by key."""

_SETTLED_SECONDS = 60.0


def call_metadata(running: Cluster, name: str, arguments: list[Any], sub_level: list[str]) -> Any:
    """One call of the metadata daemon."""

    async def call() -> Any:
        client = _client(running)
        client.start()
        try:
            return await client.call(name, arguments, sub_level)
        finally:
            await client.close()

    return asyncio.run(call())


def stored_records(running: Cluster, sub_levels: Sequence[str]) -> Records:
    """Every record of some sub-levels, asked of the metadata daemon itself."""

    async def read() -> Records:
        client = _client(running)
        client.start()
        records: Records = {}
        for sub_level in sub_levels:
            found = records[sub_level] = {}
            async for page in client.pages("createReadStream", [{}], [sub_level]):
                found |= {item["key"]: json.loads(item["value"]) for item in page}
        await client.close()
        return records

    return asyncio.run(read())


def stored_blobs(running: Cluster) -> set[str]:
    """The keys of all blobs in the data directory, whichever store they are in."""
    return keys_in(running.folder / "data")


def blobs_of(records: dict[str, Any]) -> list[str]:
    """The blobs that records of any kind name."""
    return [
        location["key"]
        for record in records.values()
        for member in ("location", "partLocations")
        for location in record.get(member) or ()
    ]


def one_each(records: dict[str, Any]) -> dict[str, Any]:
    """One record of every version: the master, or what is stored of one that is not the latest."""
    chosen: dict[str, Any] = {}
    for key, record in records.items():
        master = records.get(key.partition("\0")[0], record)
        if record is master or record.get("versionId") != master.get("versionId"):
            chosen[key] = record
    return chosen


@dataclass(frozen=True)
class Stores:
    """Both stores as they were read. ``objects`` and ``uploads`` are by bucket."""

    objects: Records
    uploads: Records
    queue: dict[str, Any]
    blobs: set[str]

    @property
    def owned(self) -> set[str]:
        """The blobs of objects and parts. An upload that has ended has parts whose blobs the object
        took over: those are its, and no longer the part's."""
        names = [name for records in self.objects.values() for name in blobs_of(one_each(records))]
        assert all(count == 1 for count in Counter(names).values()), "objects share a blob"
        return {*names, *(name for records in self.uploads.values() for name in blobs_of(records))}

    @property
    def missing(self) -> set[str]:
        """Blobs that records name and that are not there."""
        return self.owned - self.blobs

    @property
    def unowned(self) -> set[str]:
        """Blobs that nobody names, not even the deletion queue."""
        return self.blobs - self.owned - set(blobs_of(self.queue))

    def ended_uploads(self) -> set[str]:
        """What is left of uploads that are not under way: closing records and parts."""
        left: set[str] = set()
        for records in self.uploads.values():
            under_way = {
                parse_overview_key(key)[1] for key in records if key.startswith(OVERVIEW_PREFIX)
            }
            left |= {key for key in records if key.startswith(CLOSING_PREFIX)}
            left |= {
                key
                for key in records
                if not key.startswith((OVERVIEW_PREFIX, CLOSING_PREFIX))
                and key.partition("..|..")[0] not in under_way
            }
        return left


def read_stores(running: Cluster) -> Stores:
    """Both stores. The daemons run, and no request is under way; background work may be."""
    known = stored_records(running, [METASTORE, USERS_BUCKET])
    owned = {key.rpartition("..|..")[2] for key in known[USERS_BUCKET]}
    buckets = sorted(known[METASTORE])
    assert owned == set(buckets), "ListBuckets and the buckets differ"
    # Those of buckets that were deleted are still to be removed.
    with_uploads = {*buckets, *stored_records(running, [ENDED_UPLOADS])[ENDED_UPLOADS]}
    levels = [UPLOADS_PREFIX + bucket for bucket in with_uploads]
    records = stored_records(running, [DELETIONS, *buckets, *levels])
    return Stores(
        objects={bucket: records[bucket] for bucket in buckets},
        uploads={bucket: records[UPLOADS_PREFIX + bucket] for bucket in with_uploads},
        queue=records[DELETIONS],
        blobs=stored_blobs(running),
    )


def assert_consistent(running: Cluster, unowned: int = 0, seconds: float = 10) -> Stores:
    """The stores, in which every named blob is there and ``unowned`` blobs belong to nobody.

    Two reads never see the same moment, so what background work does in between is waited for.
    """
    found: list[Stores] = []

    def consistent() -> bool:
        found[:] = [read_stores(running)]
        return not found[0].missing and len(found[0].unowned) == unowned

    try:
        wait_for(consistent, f"no blob to be missing, and {unowned} to be nobody's", seconds)
    except AssertionError as error:
        stores = found[0]
        raise AssertionError(f"missing {stores.missing}, unowned {stores.unowned}") from error
    return found[0]


def expire_leases(running: Cluster) -> None:
    """Let the leases on background work be as if their holder, which a test has killed, had been
    silent for long: whoever asks next gets them."""
    for worker in WORKERS:
        call_metadata(running, "del", [worker.name, {}], [LEASES])


def let_background_work_be_done(running: Cluster) -> None:
    """Start the process for it, should it not run, and let it begin at once."""
    if not running.supervised and running.work.handle is None:
        running.work.start()
    expire_leases(running)


def assert_settled(running: Cluster, unowned_max: int = 0) -> Stores:
    """The stores once everything has restarted and the background work is done.

    The cluster deletes without a delay (``deleteDelaySeconds``). ``unowned_max`` is how many blobs
    interrupted requests may have left to nobody.
    """
    let_background_work_be_done(running)
    found: list[Stores] = []

    def settled() -> bool:
        found[:] = [read_stores(running)]
        return not found[0].queue and not found[0].ended_uploads()

    try:
        wait_for(settled, "the background work", _SETTLED_SECONDS)
    except AssertionError as error:
        queued, left = len(found[0].queue), found[0].ended_uploads()
        raise AssertionError(f"{queued} deletions queued, {left} left of uploads") from error
    # What was in the queue while the blobs were listed is gone by now.
    stores = read_stores(running)
    assert not stores.missing, "records name blobs that are not there"
    assert len(stores.unowned) <= unowned_max, f"nobody's: {stores.unowned}"
    incoming = list((running.folder / "data" / "incoming").iterdir())
    assert not incoming, "uploads under way that nobody sends"
    assert_metadata_is_well(running.folder / "metadata")
    return stores


def assert_metadata_is_well(directory: Path) -> None:
    """What ``dmd check`` says of a store, beside a serving daemon or without one."""
    engine = open_engine(directory, read_only=True)
    try:
        problems = list(check(engine, lambda _count: None))
    finally:
        engine.close()
    assert not problems


def _client(running: Cluster) -> RpcClient:
    url = f"http://127.0.0.1:{running.metadata_port}"
    return RpcClient(url, METADATA_NAMESPACE, RecordingLog())
