"""A client's end of the wire: one websocket, joined to one namespace of a Socket.IO server.

``connect`` opens it. From then on it answers pings, hands events and acknowledgements to its
receiver as they come, and tells it once when the connection is over, for whatever reason: closed by
either side, broken, silent for longer than the server's pings allow, or not understood.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Sequence
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from shared import limits
from shared.credentials import NO_CREDENTIALS, Credentials
from shared.loop.turn_writer import TurnWriter
from shared.rpc import packets, websocket
from shared.rpc.attachments import Gathering
from shared.tls import explain

_TARGET = "/socket.io/?EIO=4&transport=websocket"
_HTTP = b"HTTP/"
_HEAD_END = b"\r\n\r\n"
_GOODBYE_SECONDS = 1.0
_TEXT = websocket.TEXT
_BINARY = websocket.BINARY
_MASK = websocket.NO_CHANGE
"""Masks keep what somebody else has chosen (a script in a browser; here, who stores an object) from
being taken for HTTP by a proxy on the way (RFC 6455, section 10.3). Between a front-end and its
daemon there is none that caches, so frames have the mask that costs neither side anything."""


class RpcConnectError(Exception):
    """There is nobody at the address, or nobody who speaks this protocol there."""


class Receiver(Protocol):
    """Who is told what arrives. Nothing here may raise."""

    def on_event(self, connection: Connection, packet: packets.Event) -> None: ...
    def on_ack(self, packet: packets.Ack) -> None: ...
    def on_lost(self, connection: Connection) -> None:
        """A connection that had joined has ended; called once."""


async def connect(
    url: str,
    namespace: str,
    receiver: Receiver,
    timeout_seconds: float,
    credentials: Credentials = NO_CREDENTIALS,
) -> Connection:
    """A connection that has joined the namespace; raises RpcConnectError.

    ``url`` is ``http://host:port``; with TLS it is ``https``, and the server's certificate must be
    for that host.
    """
    parts = urlsplit(url)
    if parts.scheme != credentials.scheme or parts.hostname is None or parts.port is None:
        raise RpcConnectError(f"{url!r} is not an address {credentials.scheme}://host:port")
    loop = asyncio.get_running_loop()
    connection = Connection(parts.netloc, namespace, receiver, credentials.secret.payload)
    try:
        async with asyncio.timeout(timeout_seconds):
            await loop.create_connection(
                lambda: connection, parts.hostname, parts.port, ssl=credentials.tls
            )
            await connection.joined
    except (OSError, RpcConnectError) as error:  # TimeoutError is an OSError
        connection.abort()
        raise RpcConnectError(f"{url}: {explain(error) or 'no answer in time'}") from error
    except BaseException:
        connection.abort()
        raise
    return connection


class Connection(asyncio.Protocol):
    """See the module; made by ``connect``."""

    def __init__(
        self,
        host: str,
        namespace: str,
        receiver: Receiver,
        payload: dict[str, str] | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.joined: asyncio.Future[None] = self._loop.create_future()
        self.ended = asyncio.Event()
        self._namespace = namespace
        self._usual_acks = packets.usual_acks(namespace)
        self._receiver = receiver
        self._payload = payload
        self._request, self._accept = websocket.request(host, _TARGET, os.urandom(16))
        self._head: bytes | None = b""
        self._reader = websocket.FrameReader(
            from_client=False, message_bytes_max=limits.RPC_MESSAGE_BYTES_MAX
        )
        self.message_bytes_max = limits.RPC_MESSAGE_BYTES_MAX
        """The largest message that the server takes."""
        self._gathering: Gathering | None = None
        self._transport: asyncio.Transport | None = None
        self._writer: TurnWriter | None = None
        self._silence_seconds_max = 0.0
        self._heard = 0.0
        self._timer: asyncio.TimerHandle | None = None

    # -- What the client does ---------------------------------------------------------------------

    def send(self, packet: bytes, attachments: Sequence[bytes] = ()) -> None:
        """Send a packet, and what is attached to it, at the end of this turn; nowhere, when the
        connection is over."""
        if self._writer is not None:
            for frame in framed(packet, attachments):
                self._writer.add(frame)

    def send_now(self, frames: Sequence[bytes]) -> None:
        """Send what ``framed`` makes now, behind what waits for the end of this turn."""
        if self._writer is not None:
            self._writer.write(frames)

    def acknowledge(self, ack_id: int | None) -> None:
        """Acknowledge an event, if it wants that."""
        if ack_id is not None:
            self.send(packets.encode_ack(self._namespace, ack_id, b"[null]"))

    async def close(self) -> None:
        """Leave the namespace and end the connection, cleanly if the server takes part."""
        self.send(packets.encode_disconnect(self._namespace))
        self._end(1000)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE_SECONDS):
                await self.ended.wait()
        self.abort()

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    # -- What the event loop says -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not derive from asyncio's.
        self._transport = cast(asyncio.Transport, transport)
        self._writer = TurnWriter(self._transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        try:
            if self._head is not None:
                data = self._shake_hands(data)
            whole = self._reader.whole_text(data)
            if whole is not None:
                self._handle_text(whole)
                return
            self._reader.feed(data)
            while (message := self._reader.next()) is not None:
                self._handle(*message)
        except (websocket.WebSocketError, packets.PacketError, RpcConnectError) as error:
            self._give_up(f"not understood: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        assert self._transport is not None
        plain = self._transport.get_extra_info("sslcontext") is None
        self._transport = None
        if self._writer is not None:
            self._writer.close()
        if self._timer is not None:
            self._timer.cancel()
        self.ended.set()
        if not self.joined.done():
            reason = str(error or "the server closed the connection")
            if plain and self._head == b"":
                reason += " without an answer; perhaps the port speaks TLS"
            self._refuse(RpcConnectError(reason))
        elif not self.joined.cancelled() and self.joined.exception() is None:
            self._receiver.on_lost(self)

    # -- The protocol -----------------------------------------------------------------------------

    def _shake_hands(self, data: bytes) -> bytes:
        """Read the answer to the request; what came behind it."""
        assert self._head is not None
        head, end, rest = (self._head + data).partition(_HEAD_END)
        if not head.startswith(_HTTP[: len(head)]):
            raise RpcConnectError("the answer is not HTTP; perhaps the port speaks TLS")
        if not end:
            if len(head) > limits.HEADER_SECTION_BYTES_MAX:
                raise RpcConnectError("the answer has no end")
            self._head = head
            return b""
        answer = websocket.parse_head(head + end)
        if answer is None or not answer.first_line.startswith("HTTP/1.1 101 "):
            raise RpcConnectError(f"the server answered {head[:60]!r}")
        if answer.headers.get("sec-websocket-accept") != self._accept:
            raise RpcConnectError("the server has not understood the request")
        self._head = None
        return rest

    def _handle_text(self, payload: bytes) -> None:
        if self._gathering is not None and payload[:1] == packets.MESSAGE_TYPE:
            raise packets.PacketError("attachments did not come")
        ack = packets.usual_ack(payload, self._usual_acks, self._namespace)
        if ack is not None:
            self._receiver.on_ack(ack)
        else:
            self._receive(packets.decode(payload))

    def _handle(self, opcode: int, payload: bytes) -> None:
        if opcode == websocket.TEXT:
            self._handle_text(payload)
        elif opcode == websocket.BINARY:
            if self._gathering is None:
                raise packets.PacketError("an attachment of no packet")
            packet = self._gathering.add(payload)
            if packet is not None:
                self._gathering = None
                self._receive(packet)
        elif opcode == websocket.PING:
            self._send_frame(websocket.PONG, payload)
        elif opcode == websocket.CLOSE:
            self._end(1000)

    def _receive(self, packet: packets.Packet) -> None:
        match packet:
            case packets.Announced():
                self._gathering = Gathering(packet, self._reader.message_bytes_max)
            case packets.Ack(namespace) if namespace == self._namespace:
                self._receiver.on_ack(packet)
            case packets.Event(namespace) if namespace == self._namespace:
                self._receiver.on_event(self, packet)
            case packets.Ping():
                self.send(packets.PONG)
            case packets.Open(_, interval_ms, timeout_ms, bytes_max):
                self._use_size(bytes_max)
                self._silence_seconds_max = (interval_ms + timeout_ms) / 1000
                self._watch()
                self.send(packets.encode_connect(self._namespace, self._payload))
            case packets.Connect(namespace) if namespace == self._namespace:
                if not self.joined.done():
                    self.joined.set_result(None)
            case packets.ConnectError(namespace, payload) if namespace == self._namespace:
                reason = payload.get("message") if isinstance(payload, dict) else payload
                self._give_up(f"the namespace is refused: {reason}")
            case packets.Disconnect(namespace) if namespace == self._namespace:
                self._give_up("the server ended it")
            case packets.Close():
                self._give_up("the server ended it")
            case _:
                pass

    def _use_size(self, announced: int) -> None:
        """Send no larger messages than the server takes, and take as large ones; 0 is unknown."""
        if announced > 0:
            self.message_bytes_max = min(announced, limits.RPC_MESSAGE_BYTES_CEILING)
            self._reader.message_bytes_max = max(
                self.message_bytes_max, limits.RPC_MESSAGE_BYTES_MAX
            )

    def _watch(self) -> None:
        """End a connection whose server is silent, although it should have sent a ping."""
        due = self._heard + self._silence_seconds_max
        if self._loop.time() >= due:
            self.abort()
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._watch)

    def _give_up(self, reason: str) -> None:
        self._refuse(RpcConnectError(reason))
        self.abort()

    def _refuse(self, error: RpcConnectError) -> None:
        if not self.joined.done():
            self.joined.set_exception(error)
            self.joined.exception()  # nobody waits for it any more when the time was up

    def _end(self, code: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        assert self._writer is not None
        self._writer.add(websocket.close_frame(code, _MASK))
        self._writer.write()
        self._transport.close()

    def _send_frame(self, opcode: int, payload: bytes) -> None:
        if self._writer is not None:
            self._writer.add(websocket.frame(opcode, payload, _MASK))


def framed(packet: bytes, attachments: Sequence[bytes] = ()) -> list[bytes]:
    """The frames of a packet and of what is attached to it."""
    frames = [websocket.frame(_TEXT, packet, _MASK)]
    for data in attachments:
        frames.append(websocket.frame(_BINARY, data, _MASK))
    return frames


def stream_id_in(event: packets.Event) -> tuple[str | None, dict[str, Any]]:
    """The stream that an event is about, and its payload."""
    payload = event.arguments[0] if event.arguments else None
    if not isinstance(payload, dict):
        return None, {}
    stream_id = payload.get("streamId")
    return (stream_id if isinstance(stream_id, str) else None), payload
