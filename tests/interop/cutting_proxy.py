"""A TCP proxy that breaks connections: after so many bytes, wherever in a frame that may be."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress


class CuttingProxy:
    """Passes bytes on until a connection has carried so many in one of its directions (at most
    ``bytes_max``), and resets both its ends then; what is on its way is lost or not, as it happens.
    One direction loses requests, the other answers.

    ``cuts`` counts the connections that were cut.
    """

    def __init__(self, port: int, chance: random.Random, bytes_max: int) -> None:
        self._port = port
        self._chance = chance
        self._bytes_max = bytes_max
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.cutting = True
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        limits = [self._chance.randrange(1, self._bytes_max), sys.maxsize]
        self._chance.shuffle(limits)
        async with asyncio.TaskGroup() as group:
            ways = (
                group.create_task(self._pass_on(reader, far_writer, limits[0])),
                group.create_task(self._pass_on(far_reader, writer, limits[1])),
            )
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                writer.transport.abort()
                far_writer.transport.abort()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, left: int
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if self.cutting and len(data) >= left:
                    writer.write(data[:left])
                    if self._chance.random() < 0.5:
                        await writer.drain()
                        await asyncio.sleep(0)  # half of the time, what was passed on arrives
                    self.cuts += 1
                    return
                left -= len(data)
                writer.write(data)
                await writer.drain()

    async def end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


@asynccontextmanager
async def cutting_proxy(
    port: int, chance: random.Random, bytes_max: int
) -> AsyncIterator[CuttingProxy]:
    """A proxy in front of a loopback port, until the end of the block."""
    proxy = CuttingProxy(port, chance, bytes_max)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy.end()
