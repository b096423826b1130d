"""The lifecycle listings of a real daemon, and the same made of its streams by the front-end."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import pytest

from s3front.metadata.foreign import ForeignMetadata
from s3front.rpc.rpc_client import RpcClient
from tests.interop.daemons import MetadataProcess
from tests.interop.raw_client import NAMESPACE
from tests.unit.dmd.metadata.support import RecordingLog

CURRENT, NON_CURRENT, ORPHANS = TYPES = (
    "DelimiterCurrent",
    "DelimiterNonCurrent",
    "DelimiterOrphanDeleteMarker",
)


@pytest.fixture
async def rpc(daemon: MetadataProcess) -> AsyncIterator[RpcClient]:
    client = RpcClient(daemon.url, NAMESPACE, RecordingLog(), connect_wait_seconds=10)
    client.start()
    yield client
    await client.close()


def record(day: int, **members: Any) -> str:
    return json.dumps({"last-modified": f"2026-01-{day:02}T00:00:00.000Z", **members})


@pytest.fixture
async def bucket(rpc: RpcClient, sub: list[str]) -> list[str]:
    """Objects of one to three versions, written oldest first, null versions, and delete markers."""
    enabled = {"versioning": True}

    async def put(key: str, value: str, options: dict[str, Any]) -> None:
        await rpc.call("put", [key, value, options], sub)

    for number in range(8):
        key = f"k{number}"
        await put(key, record(1 + number, dataStoreName="here"), {} if number % 2 else enabled)
        for day in range(10, 10 + number % 4):
            await put(key, record(day, dataStoreName="there"), enabled)
    await put("null", record(1, isNull=True), {"versionId": ""})
    await put("null", record(3, isDeleteMarker=True, isNull=True), {"versionId": ""})
    await put("orphan", record(2, isDeleteMarker=True), enabled)
    await put("marked", record(4), enabled)
    await put("marked", record(5, isDeleteMarker=True), enabled)
    return sub


Ask = dict[str, Any]


def criteria() -> Iterator[Ask]:
    for before in (None, "2026-01-04T00:00:00.000Z", "2026-01-11T00:00:00.000Z"):
        for excluded in (None, "here"):
            for scanned_max in (1, 3, 1000):
                yield {
                    "beforeDate": before,
                    "excludedDataStoreName": excluded,
                    "maxScannedLifecycleListingEntries": scanned_max,
                }


def following(asked: Ask, page: Ask) -> Ask:
    """The parameters of the next page."""
    if asked["type"] != NON_CURRENT:
        return {**asked, "marker": page["NextMarker"]}
    markers = page["NextKeyMarker"], page["NextVersionIdMarker"]
    return {**asked, "keyMarker": markers[0], "versionIdMarker": markers[1]}


async def pages(rpc: RpcClient, bucket: Sequence[str], asked: Ask) -> AsyncIterator[Ask]:
    """Every page, which the daemon and the front-end must make alike."""
    foreign = ForeignMetadata(rpc)
    asked = {"prefix": "", "marker": "", "keyMarker": "", "versionIdMarker": None} | asked
    while True:
        page = await rpc.call("list", [asked], bucket)
        made_here = await foreign.list_page(bucket, asked, "request")
        for ours, theirs in zip(page["Contents"], made_here["Contents"], strict=True):
            assert ours[:-1] == [*theirs[:-1]]
            assert ours[-1][0] == theirs[-1].last_modified
        assert {**page, "Contents": 0} == {**made_here, "Contents": 0}
        yield page
        if not page["IsTruncated"]:
            return
        asked = following(asked, page)


@pytest.mark.parametrize("listing", TYPES)
@pytest.mark.parametrize("keys_max", [1, 2, 1000])
async def test_daemon_and_front_end_make_the_same_pages(
    rpc: RpcClient, bucket: list[str], listing: str, keys_max: int
) -> None:
    assert await rpc.lists(listing)
    for asked in criteria():
        asked |= {"type": listing, "maxKeys": keys_max}
        found: list[Any] = []
        async for page in pages(rpc, bucket, asked):
            found += page["Contents"]
        whole = await rpc.call("list", [{"type": listing, **criteria_of(asked)}], bucket)
        assert (found, whole["IsTruncated"]) == (whole["Contents"], False)


def criteria_of(asked: Ask) -> Ask:
    return {name: asked[name] for name in ("beforeDate", "excludedDataStoreName")}


async def test_what_is_listed(rpc: RpcClient, bucket: list[str]) -> None:
    async def names(listing: str, before: int, **asked: Any) -> list[str]:
        date = f"2026-01-{before:02}T00:00:00.000Z"
        params = {"type": listing, "beforeDate": date, **asked}
        return [entry[0] for entry in (await rpc.call("list", [params], bucket))["Contents"]]

    assert await names(CURRENT, 6) == ["k0", "k4"]
    assert await names(CURRENT, 11) == ["k0", "k1", "k4", "k5"]
    assert await names(CURRENT, 11, excludedDataStoreName="here") == ["k1", "k5"]
    assert await names(NON_CURRENT, 11) == ["k2", "k6", "marked"]
    assert await names(NON_CURRENT, 6) == ["marked"]
    assert await names(ORPHANS, 3) == ["orphan"]
    assert await names(ORPHANS, 31) == ["null", "orphan"]
    assert await names(ORPHANS, 31, prefix="o") == ["orphan"]
