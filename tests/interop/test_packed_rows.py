"""Pages of objects: with our daemon, one that packs no rows, and one that makes no pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from s3front.metadata import gateway
from s3front.metadata.gateway import MetadataGateway
from s3front.metadata.listing_store import ListingStore
from shared.listing.delimiter import Query
from shared.records.listed_rows import Common
from shared.rpc.envelope import PACKED_ROWS_EXTENSION
from tests.interop.gateways import gateway_to


@pytest.fixture(params=["ours", "older", "foreign"])
async def metadata(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MetadataGateway]:
    async with gateway_to(request.param, tmp_path, PACKED_ROWS_EXTENSION) as connected:
        yield connected


async def test_a_page_is_the_same_whoever_makes_it(metadata: MetadataGateway) -> None:
    documents: dict[str, dict[str, Any]] = {
        f"k{number}": {"content-length": number, "content-md5": "e", "owner-id": "o"}
        for number in range(5)
    }
    documents["marked"] = {"isDeleteMarker": True}
    documents["p/x"] = {}
    puts = [gateway.put("bucket", key, json.dumps(each)) for key, each in documents.items()]
    await metadata.commit(puts, [], "request")
    listings = ListingStore(metadata)
    page = await listings.objects("bucket", Query(delimiter="/", keys_max=5), "request")
    (run,) = page.runs
    assert run.keys == ["k0", "k1", "k2", "k3", "k4"]
    assert run.columns == ([None] * 5, [0, 1, 2, 3, 4], ["e"] * 5)
    assert run.common == Common(None, "o", None, None, None)
    assert (page.keys, page.last_key) == (5, "k4")
    assert (page.is_truncated, page.next_marker, page.common_prefixes) == (True, "k4", [])
    page = await listings.objects("bucket", Query(delimiter="/", after="k4"), "request")
    assert (page.runs, page.last_key, page.common_prefixes) == ([], None, ["p/"])
    assert not page.is_truncated


async def test_pages_that_are_too_much_together_come_all_the_same(
    metadata: MetadataGateway,
) -> None:
    keys = [f"{number:03}{'k' * 1000}" for number in range(1000)]
    for start in range(0, len(keys), 250):
        puts = [gateway.put("bucket", key, "{}") for key in keys[start : start + 250]]
        await metadata.commit(puts, [], "request")
    listings = ListingStore(metadata)
    # All of them are asked for in one turn of the event loop.
    asked = [listings.objects("bucket", Query(), "request") for _ in range(6)]
    for page in await asyncio.gather(*asked):
        assert [key for run in page.runs for key in run.keys] == keys
