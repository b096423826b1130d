"""Entries for workers in commits: with our daemon, with one that cannot append, and with one that
knows nothing but the original's calls."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, MetadataGateway
from s3front.metadata.outbox import append, outbox_level
from shared.rpc.envelope import APPEND_EXTENSION
from tests.interop.gateways import gateway_to


@pytest.fixture(params=["ours", "older", "foreign"])
async def metadata(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MetadataGateway]:
    async with gateway_to(request.param, tmp_path, APPEND_EXTENSION) as connected:
        yield connected


async def test_entries_go_with_their_commit(metadata: MetadataGateway) -> None:
    level = outbox_level("worker")
    put = gateway.put("bucket", "key", "{}")
    for number in range(3):
        await metadata.commit([append("worker", {"number": number}), put], [], "request")
    keys = await metadata.keys(level, {}, "request")
    assert all(re.fullmatch(r"[0-9]{14}\.[0-9]{20}", key) for key in keys)
    found = await metadata.get_many([(level, key) for key in keys], "request")
    numbers = [json.loads(entry[0])["number"] for entry in found if entry is not None]
    assert sorted(numbers) == [0, 1, 2]
    assert await metadata.get_many([("bucket", "key")], "request") != [None]


async def test_a_refused_commit_has_no_entries(metadata: MetadataGateway) -> None:
    requires = [gateway.is_present("bucket", "absent")]
    with pytest.raises(ChangedError):
        await metadata.commit([append("worker", {})], requires, "request")
    assert await metadata.keys(outbox_level("worker"), {}, "request") == []
