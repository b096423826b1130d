"""The shell of long-polling, as the port sees it: it is loaded when the first client needs it.

aiohttp and python-socketio take 200 ms of CPU and 12 MB, and most daemons never see a client of
theirs: those of this project, and browsers' libraries told so, are websockets from the start.

The modules are imported by a thread, so that the others are served meanwhile. Clients that come
before it is done wait for the same import. One that fails, for want of memory for instance, ends
the connections that waited for it; the next client tries again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

from dmd.rpc.dispatch import Dispatcher
from shared.budget import Budget
from shared.daemon_secret import Gate

if TYPE_CHECKING:
    from dmd.rpc.stock_server import PollingServer


class PollingShell:
    """What serves the clients that are no websockets from the start. ``hang_seconds`` is how long
    they may take to close their connections when they are told to."""

    def __init__(
        self,
        dispatchers: Mapping[str, Dispatcher],
        message_bytes_max: int,
        gate: Gate,
        budget: Budget,
        hang_seconds: float,
    ) -> None:
        self._dispatchers = dispatchers
        self._message_bytes_max = message_bytes_max
        self._gate = gate
        self._budget = budget
        self._hang_seconds = hang_seconds
        self._loading: asyncio.Task[PollingServer] | None = None

    async def protocol(self) -> asyncio.Protocol:
        """The protocol of a new connection; raises whatever the import raises."""
        if self._loading is None:
            self._loading = asyncio.create_task(self._load(), name="long-polling")
        loading = self._loading
        try:
            server = await asyncio.shield(loading)
        except BaseException:
            if loading is self._loading and loading.done():
                self._loading = None
            raise
        return server.protocol()

    async def close(self) -> None:
        """End all connections."""
        if self._loading is None:
            return
        try:
            server = await self._loading
        except Exception:
            return  # those who waited for it were told
        await server.close()

    async def _load(self) -> PollingServer:
        server_class = await asyncio.to_thread(_server_class)
        return await server_class.start(
            self._dispatchers,
            self._message_bytes_max,
            self._gate,
            self._budget,
            self._hang_seconds,
        )


def _server_class() -> type[PollingServer]:
    from dmd.rpc.stock_server import PollingServer  # noqa: PLC0415  # on first use: see the module

    return PollingServer
