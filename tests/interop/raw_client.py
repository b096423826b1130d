"""A websocket that speaks Engine.IO frames as text: what the daemon sends, nothing interpreted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

NAMESPACE = "/MDFile/metadata"
DEADLINE_SECONDS = 20.0


class RawClient:
    """One Engine.IO connection. ``frames`` has every frame received, pings left out."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.frames: list[str] = []
        self.closed = False
        self._arrived = asyncio.Condition()
        self._reader = asyncio.create_task(self._read())
        self._taken = 0

    async def _read(self) -> None:
        async for message in self.socket:
            if message.data == "2":
                await self.socket.send_str("3")
                continue
            async with self._arrived:
                self.frames.append(message.data)
                self._arrived.notify_all()
        async with self._arrived:
            self.closed = True
            self._arrived.notify_all()

    async def send(self, frame: str) -> None:
        await self.socket.send_str(frame)

    async def next(self) -> str:
        """The next frame that was not taken yet."""
        async with self._arrived, asyncio.timeout(DEADLINE_SECONDS):
            await self._arrived.wait_for(lambda: self._taken < len(self.frames) or self.closed)
        assert self._taken < len(self.frames), "the daemon closed the connection"
        self._taken += 1
        return self.frames[self._taken - 1]

    async def until_closed(self) -> int | None:
        """Wait until the daemon has closed the connection; the websocket's close code."""
        async with self._arrived, asyncio.timeout(DEADLINE_SECONDS):
            await self._arrived.wait_for(lambda: self.closed)
        return self.socket.close_code

    async def silence(self, seconds: float) -> None:
        """Fail when a frame that was not taken yet comes within this time."""
        try:
            async with self._arrived, asyncio.timeout(seconds):
                await self._arrived.wait_for(lambda: self._taken < len(self.frames))
        except TimeoutError:
            return
        raise AssertionError(f"unexpected frame: {self.frames[self._taken]}")

    async def join(self, namespace: str = NAMESPACE) -> None:
        """Connect to a namespace."""
        await self.send(f"40{namespace},")
        assert (await self.next()).startswith(f"40{namespace}," + '{"sid":')

    async def call(self, number: int, name: str, arguments: list[Any], sub: list[str]) -> None:
        """Send a call; its answer is among the next frames."""
        params = json.dumps({"rpcArgs": arguments, "subLevel": sub}, separators=(",", ":"))
        await self.send(f'42{NAMESPACE},{number}["call","{name}",{params}]')

    async def result(self, number: int, name: str, arguments: list[Any], sub: list[str]) -> Any:
        """Send a call and take its answer, which must be the next frame and a result."""
        await self.call(number, name, arguments, sub)
        frame = await self.next()
        assert frame.startswith(f"43{NAMESPACE},{number}[null,"), frame
        return json.loads(frame.partition(f",{number}")[2])[1]

    async def close(self) -> None:
        await self.socket.close()
        await self._reader


@asynccontextmanager
async def raw_client(port: int, *, join: bool = True) -> AsyncIterator[RawClient]:
    """A connection, on the metadata namespace unless told otherwise."""
    async with aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        async with session.ws_connect(url, max_msg_size=0) as socket:
            client = RawClient(socket)
            try:
                if join:
                    assert (await client.next()).startswith("0{")
                    await client.join()
                yield client
            finally:
                await client.close()


def event_of(frame: str) -> tuple[int | None, str, Any]:
    """The acknowledgement number, name and argument of an event frame of the namespace."""
    start = f"42{NAMESPACE},"
    assert frame.startswith(start), frame
    number, bracket, rest = frame.removeprefix(start).partition("[")
    name, payload = json.loads(bracket + rest)
    return (int(number) if number else None), name, payload
