"""One port, two shells: looks at the first request of a connection, and hands the connection over.

A request that opens a websocket of Engine.IO 4 at once goes to the lean shell. Everything else,
whatever is wrong or unusual about it, goes to the shell of python-socketio, which says what there
is to say: long-polling, other versions, requests from web pages (with an ``Origin``), nonsense.
Nothing more is read from such a connection until that shell is there.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast
from urllib.parse import parse_qsl

from dmd.rpc.handshake import PATH
from dmd.rpc.lean_server import LeanConnection, LeanServer
from dmd.rpc.polling import PollingShell
from shared import limits
from shared.process.logs import EventLog
from shared.rpc import websocket

_START: Final = f"GET {PATH}?".encode()
_HEAD_END: Final = b"\r\n\r\n"
_UNUSUAL: Final = frozenset({"origin", "content-length", "transfer-encoding"})


class Entrance(asyncio.Protocol):
    """The protocol of a connection until its first request was read."""

    def __init__(self, lean: LeanServer, polling: PollingShell, log: EventLog) -> None:
        self._lean = lean
        self._polling = polling
        self._log = log
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._timer = asyncio.get_running_loop().call_later(
            limits.RPC_REQUEST_SECONDS_MAX, self._transport.abort
        )

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._waiting is not None:
            return
        start = self._received[: len(_START)]
        if not _START.startswith(start) or len(self._received) > limits.HEADER_SECTION_BYTES_MAX:
            self._hand_over(None, 0)
            return
        end = self._received.find(_HEAD_END)
        if end >= 0:
            size = end + len(_HEAD_END)
            self._hand_over(websocket_key(self._received[:size]), size)

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def _hand_over(self, key: str | None, size: int) -> None:
        assert self._transport is not None
        assert self._timer is not None
        self._timer.cancel()
        if key is not None:
            connection = LeanConnection(self._lean)
            self._transport.set_protocol(connection)
            connection.begin(self._transport, key, self._received[size:])
            return
        self._transport.pause_reading()
        self._waiting = asyncio.get_running_loop().create_task(self._wait_for_polling())

    async def _wait_for_polling(self) -> None:
        try:
            protocol = await self._polling.protocol()
        except Exception as error:
            self._log.error("long-polling cannot be served", exc_info=error)
            if self._transport is not None:
                self._transport.abort()
            return
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        transport.resume_reading()
        protocol.data_received(self._received)


def websocket_key(head: bytes) -> str | None:
    """The key of a request that the lean shell serves; None for any other request."""
    parsed = websocket.parse_head(head)
    if parsed is None or not _UNUSUAL.isdisjoint(parsed.headers):
        return None
    _, target, version = (*parsed.first_line.split(" "), "", "")[:3]
    query = parse_qsl(target.partition("?")[2])
    asked = dict(query)
    if (
        version != "HTTP/1.1"
        or len(asked) != len(query)
        or "sid" in asked
        or (asked.get("EIO"), asked.get("transport")) != ("4", "websocket")
    ):
        return None
    return websocket.requested_key(parsed.headers)
