"""Fixtures: metadata daemons that tests share, and a fresh sub-level for each test."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.interop.daemons import MetadataProcess, metadata_process
from tests.interop.raw_client import RawClient, raw_client
from tests.interop.stock_clients import KINDS, TRANSPORTS, StockClient, connect

IMPATIENT_ACK_TIMEOUT_MS = 300


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetadataProcess]:
    """A daemon with the settings that it has by default: leave it running."""
    with metadata_process(tmp_path_factory.mktemp("metadata")) as running:
        yield running


@pytest.fixture(scope="session")
def impatient_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MetadataProcess]:
    """A daemon that waits only a moment for acknowledgements: leave it running."""
    folder = tmp_path_factory.mktemp("impatient")
    with metadata_process(folder, streamAckTimeoutMs=IMPATIENT_ACK_TIMEOUT_MS) as running:
        yield running


@pytest.fixture
def sub() -> list[str]:
    """A sub-level of the test's own."""
    return [f"test-{uuid.uuid4().hex}"]


@pytest.fixture
async def raw(daemon: MetadataProcess) -> AsyncIterator[RawClient]:
    """A connection to the shared daemon, on its metadata namespace."""
    async with raw_client(daemon.port) as client:
        yield client


@pytest.fixture
async def impatient(impatient_daemon: MetadataProcess) -> AsyncIterator[RawClient]:
    """A connection to the impatient daemon, on its metadata namespace."""
    async with raw_client(impatient_daemon.port) as client:
        yield client


@pytest.fixture(params=KINDS, ids="-".join)
async def client(
    request: pytest.FixtureRequest, daemon: MetadataProcess
) -> AsyncIterator[StockClient]:
    """A client that others wrote, on the metadata namespace of the shared daemon."""
    kind, way = request.param
    async with connect(kind, daemon, TRANSPORTS[way]) as connected:
        yield connected
