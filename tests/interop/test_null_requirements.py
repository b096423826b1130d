"""What commits of new versions require of their key: with our daemon, and with one that knows
nothing but the original's calls."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, MetadataGateway
from tests.interop.gateways import gateway_to

NULL = {"isNull": True, "versionId": "2"}
NAMING = {"nullVersionId": "1", "versionId": "2"}
PLAIN = {"versionId": "2"}


@pytest.fixture(params=["ours", "foreign"])
async def metadata(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[MetadataGateway]:
    async with gateway_to(request.param, tmp_path) as connected:
        yield connected


async def test_a_null_version_is_neither_there_nor_named(metadata: MetadataGateway) -> None:
    async def passes(requirement: Any) -> bool:
        try:
            await metadata.commit([gateway.put("bucket", "other", "{}")], [requirement], "test")
        except ChangedError:
            return False
        return True

    is_none = gateway.is_no_null_version("bucket", "key")
    names_none = gateway.names_no_null_version("bucket", "key")
    told = [(await passes(is_none), await passes(names_none))]
    for record in (PLAIN, NAMING, NULL, {}):
        await metadata.commit([gateway.put("bucket", "key", json.dumps(record))], [], "test")
        told.append((await passes(is_none), await passes(names_none)))
    assert told == [(True, True), (True, True), (True, False), (False, False), (False, False)]
