"""Connections to the metadata port that send packets as they are: websockets, and long-polling."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import aiohttp

_SEPARATOR = "\x1e"
_PATH = "/socket.io/?EIO=4&transport="


class Packets(ABC):
    """A connection, whatever carries its packets."""

    @abstractmethod
    async def send(self, packets: Sequence[str]) -> None:
        """Send packets. Raises ConnectionError."""

    @abstractmethod
    async def receive(self) -> list[str]:
        """The next packets, one at least. Raises ConnectionError."""

    @abstractmethod
    async def close(self) -> None: ...


class Websocket(Packets):
    """What the lean server serves."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    query = ""

    @classmethod
    async def open(cls, session: aiohttp.ClientSession, url: str) -> Websocket:
        target = f"{url}{_PATH}websocket{cls.query}"
        return cls(await session.ws_connect(target, max_msg_size=0))

    async def send(self, packets: Sequence[str]) -> None:
        for packet in packets:
            await self._socket.send_bytes(packet.encode()[1:]) if packet.startswith(
                "b"
            ) else await self._socket.send_str(packet)

    async def receive(self) -> list[str]:
        message = await self._socket.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(f"the websocket ended: {message.type}")
        return [message.data]

    async def close(self) -> None:
        await self._socket.close()


class StockWebsocket(Websocket):
    """What python-socketio serves, when it is asked for in an unusual way."""

    query = "&t=1&t=2"


class Polling(Packets):
    """What python-socketio serves."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = f"{url}{_PATH}polling"

    @classmethod
    async def open(cls, session: aiohttp.ClientSession, url: str) -> Polling:
        return cls(session, url)

    async def send(self, packets: Sequence[str]) -> None:
        body = _SEPARATOR.join(packets).encode()
        async with self._session.post(self._url, data=body) as response:
            if response.status != 200:
                raise ConnectionError(f"POST: {response.status}")

    async def receive(self) -> list[str]:
        async with self._session.get(self._url) as response:
            text = await response.text()
            if response.status != 200:
                raise ConnectionError(f"GET: {response.status}")
        packets = text.split(_SEPARATOR)
        if packets[0].startswith("0{"):
            sid = packets[0].partition('"sid":"')[2].partition('"')[0]
            self._url += f"&sid={sid}"
        return packets

    async def close(self) -> None:
        await self.send(["1"])
