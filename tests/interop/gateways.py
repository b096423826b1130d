"""The front-end's adapter with a daemon behind it: ours, an older one, or one that is not ours."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from s3front.metadata.gateway import MetadataGateway
from s3front.rpc.rpc_client import RpcClient
from shared.rpc.envelope import METADATA_NAMESPACE
from tests.interop.daemons import metadata_process
from tests.interop.foreign_daemon import foreign_daemon
from tests.unit.dmd.metadata.support import RecordingLog, until


@asynccontextmanager
async def gateway_to(
    kind: str, folder: Path, extension: str | None = None
) -> AsyncIterator[MetadataGateway]:
    """``kind`` is "ours", "foreign", which knows nothing but the original's calls, or "older": ours
    without an ``extension``."""
    async with AsyncExitStack() as running:
        if kind == "foreign":
            daemon = await running.enter_async_context(foreign_daemon())
            url = f"http://127.0.0.1:{daemon.port}"
        else:
            url = running.enter_context(metadata_process(folder)).url
        client = RpcClient(url, METADATA_NAMESPACE, RecordingLog())
        client.start()
        running.push_async_callback(client.close)
        await until(lambda: client.connected)
        if kind == "older":
            client._extensions -= {extension}
        yield MetadataGateway(client)
