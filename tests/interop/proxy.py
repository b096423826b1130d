"""A websocket proxy between a client and a daemon, which notes frames and can interfere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web

from tests.interop.daemons import MetadataProcess

Filter = Callable[[str], bool]


class Proxy:
    """``to_daemon`` and ``to_client`` have the frames that were passed on.

    Frames to the client for which ``held`` is true wait until ``release`` is called.
    """

    def __init__(self, daemon_url: str) -> None:
        self._daemon_url = daemon_url
        self.to_daemon: list[str] = []
        self.to_client: list[str] = []
        self.held: Filter = _nothing
        self.waiting: list[str] = []
        self._client: web.WebSocketResponse | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        client = self._client = web.WebSocketResponse(max_msg_size=0)
        await client.prepare(request)
        async with aiohttp.ClientSession() as session:
            url = f"{self._daemon_url}{request.path_qs}"
            async with session.ws_connect(url, max_msg_size=0) as daemon:
                await asyncio.wait(
                    [
                        asyncio.ensure_future(self._pass_to_daemon(client, daemon)),
                        asyncio.ensure_future(self._pass_to_client(client, daemon)),
                    ],
                    return_when=asyncio.FIRST_COMPLETED,
                )
        await client.close()
        return client

    async def _pass_to_daemon(
        self, client: web.WebSocketResponse, daemon: aiohttp.ClientWebSocketResponse
    ) -> None:
        async for message in client:
            self.to_daemon.append(message.data)
            await daemon.send_str(message.data)

    async def _pass_to_client(
        self, client: web.WebSocketResponse, daemon: aiohttp.ClientWebSocketResponse
    ) -> None:
        async for message in daemon:
            if self.held(message.data):
                self.waiting.append(message.data)
                continue
            self.to_client.append(message.data)
            await client.send_str(message.data)

    async def send_to_client(self, frame: str) -> None:
        """Send a frame as if it came from the daemon."""
        assert self._client is not None
        await self._client.send_str(frame)

    async def release(self) -> None:
        """Pass on what was held, and hold no more."""
        self.held = _nothing
        while self.waiting:
            await self.send_to_client(self.waiting.pop(0))

    async def cut(self) -> None:
        """Break the connection."""
        assert self._client is not None
        await self._client.close()


def _nothing(_frame: str) -> bool:
    return False


@asynccontextmanager
async def proxy_of(daemon: MetadataProcess) -> AsyncIterator[Proxy]:
    """A proxy in front of a daemon, until the end of the block."""
    proxy = Proxy(daemon.url)
    application = web.Application()
    application.router.add_get("/socket.io/", proxy.serve)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy.port = runner.addresses[0][1]
    try:
        yield proxy
    finally:
        await runner.cleanup()
