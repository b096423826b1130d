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
from s3front.rpc.rpc_client import RpcClient
from shared.rpc.envelope import APPEND_EXTENSION, METADATA_NAMESPACE
from tests.interop.daemons import metadata_process
from tests.interop.foreign_daemon import foreign_daemon
from tests.unit.dmd.metadata.support import RecordingLog, until


@pytest.fixture(params=["ours", "older", "foreign"])
async def metadata(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MetadataGateway]:
    if request.param == "foreign":
        async with foreign_daemon() as daemon:
            async for connected in _gateway(f"http://127.0.0.1:{daemon.port}"):
                yield connected
        return
    with metadata_process(tmp_path) as process:
        async for connected in _gateway(process.url):
            if request.param == "older":
                connected._client._extensions -= {APPEND_EXTENSION}
            yield connected


async def _gateway(url: str) -> AsyncIterator[MetadataGateway]:
    client = RpcClient(url, METADATA_NAMESPACE, RecordingLog())
    client.start()
    await until(lambda: client.connected)
    yield MetadataGateway(client)
    await client.close()


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
