"""The shell that serves clients which are websockets from the start.

Theory of operation. A connection is one protocol object on the event loop: bytes come in, frames
become packets, packets become calls, and whatever is to be sent in one turn of the loop leaves in
one write at its end. A call that has nothing to wait for is answered on the same stack; neither it
nor one that waits once has a task (``shared.loop.eager``).

Nothing that a client does may take more than its share:

* Its calls are no longer read while it does not take its answers (``RPC_UNSENT_BYTES_MAX``), or
  while too many of its calls wait for a commit (``RPC_CALLS_WAITING_MAX``); what was received
  already waits too. Streams wait likewise.
* Its packets are handled some at a time, and those of others in between
  (``RPC_PACKETS_A_TURN_MAX``).
* A connection from which nothing is heard for ``RPC_PING_TIMEOUT_SECONDS`` after a ping, and which
  takes nothing either, is ended.
* What all of them hold of messages that are not whole has a limit (``RPC_MESSAGES_BYTES``), beyond
  which a connection is ended that begins another one. A message that trickles ends its connection.
  One that has attachments is whole with the last of them.
* When there is a shared secret, a connection may send small messages only until it has shown it,
  and is ended when it has not within ``RPC_JOIN_SECONDS_MAX``.
* A frame that breaks the websocket protocol, or announces more than a message may have, ends its
  connection. A message that is no packet, or a packet that means nothing, is dropped: the
  connection, which others of the same process may use, goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec.structs import replace

from dmd.rpc.dispatch import Dispatcher, Peer, Reply
from shared import limits
from shared.budget import Budget
from shared.daemon_secret import REFUSAL, Gate
from shared.loop import eager
from shared.loop.turn_writer import TurnWriter
from shared.process.logs import EventLog
from shared.rpc import codec, packets, websocket
from shared.rpc.attachments import Attachments, Gathering
from shared.rpc.envelope import BATCH_EVENT, CALL_EVENT, HANG_UP_EVENT
from shared.rpc.streams import Producer

_CLAIMED_BYTES_MIN: Final = 64 * 1024
_CALLS_WAITING_MAX: Final = limits.RPC_CALLS_WAITING_MAX


class Trace(Protocol):
    """Is shown the messages of Socket.IO that are exchanged with clients."""

    def received(self, frame: str) -> None: ...

    def sent(self, frame: str) -> None: ...


def message_budget(message_bytes_max: int) -> Budget:
    """What messages that are not whole may take, of all connections of a daemon."""
    return Budget(max(limits.RPC_MESSAGES_BYTES, 2 * message_bytes_max))


class LeanServer:
    """All connections, and the namespaces that they can join."""

    def __init__(
        self,
        dispatchers: Mapping[str, Dispatcher],
        log: EventLog,
        *,
        message_bytes_max: int = limits.RPC_MESSAGE_BYTES_MAX,
        trace: Trace | None = None,
        gate: Gate | None = None,
        budget: Budget | None = None,
    ) -> None:
        self.budget = budget or message_budget(message_bytes_max)
        self.dispatchers = dispatchers
        self.usual_events = packets.usual_events(dispatchers)
        self.log = log
        self.message_bytes_max = message_bytes_max
        self.trace = trace
        self.gate = gate or Gate()
        self.connections: set[LeanConnection] = set()

    async def close(self, seconds: float) -> None:
        """Send every client what waits for it, then that the connection ends."""
        for connection in list(self.connections):
            connection.say_goodbye()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                for connection in list(self.connections):
                    await connection.ended.wait()
        for connection in list(self.connections):
            connection.abort()


class LeanConnection(asyncio.Protocol):
    """One client. ``begin`` is called when the request for a websocket was read."""

    def __init__(self, server: LeanServer) -> None:
        self.ended = asyncio.Event()
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._stranger = server.gate.secret.required
        most = server.message_bytes_max
        if self._stranger:
            most = min(most, limits.RPC_STRANGER_MESSAGE_BYTES_MAX)
        self._reader = websocket.FrameReader(from_client=True, message_bytes_max=most)
        self._transport: asyncio.Transport | None = None
        self._peers: dict[str, _LeanPeer] = {}
        self._writer: TurnWriter | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._paused = False
        """Whether it is not writable: asked for each message, which the event is too slow for."""
        self._reading = True
        self._had_its_turn = False
        self._calls_waiting = 0
        self._heard = True
        self._claims: list[int] = []
        self._held_before = 0
        self._whole = True
        self._gathering: Gathering | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._join_timer: asyncio.TimerHandle | None = None

    # -- The connection ---------------------------------------------------------------------------

    def begin(self, transport: asyncio.Transport, key: str, rest: bytes) -> None:
        """Accept the websocket, and serve it from now on. ``rest`` came behind the request."""
        self._transport = transport
        self._writer = TurnWriter(transport)
        transport.set_write_buffer_limits(high=limits.RPC_UNSENT_BYTES_MAX)
        transport.write(websocket.response(key))
        opening = packets.Open(
            secrets.token_urlsafe(15),
            round(limits.RPC_PING_INTERVAL_SECONDS * 1000),
            round(limits.RPC_PING_TIMEOUT_SECONDS * 1000),
            self._server.message_bytes_max,
        )
        self._server.connections.add(self)
        self.send(packets.encode_open(opening))
        self._timer = self._loop.call_later(limits.RPC_PING_INTERVAL_SECONDS, self._ping)
        if self._stranger:
            self._join_timer = self._loop.call_later(
                limits.RPC_JOIN_SECONDS_MAX, self._end, websocket.POLICY_VIOLATION
            )
        if rest:
            self.data_received(rest)

    def data_received(self, data: bytes) -> None:
        self._heard = True
        whole = self._reader.whole_packet(data)
        if whole is None or self._gathering is not None or self._claims or not self._may_go_on():
            self._reader.feed(data)
            self._read()
        else:
            self._read_whole(*whole)

    def pause_writing(self) -> None:
        self._paused = True
        self._writable.clear()

    def resume_writing(self) -> None:
        self._paused = False
        self._writable.set()
        self._read()

    def eof_received(self) -> bool:
        return False  # a client that sends nothing more expects nothing more

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._give_back()
        if self._timer is not None:
            self._timer.cancel()
        if self._join_timer is not None:
            self._join_timer.cancel()
        if self._writer is not None:
            self._writer.close()
        for peer in self._peers.values():
            peer.leave()
        self._peers.clear()
        self._writable.set()  # nobody needs to wait any longer
        self._server.connections.discard(self)
        self.ended.set()

    def say_goodbye(self) -> None:
        """End the connection when what waits has been sent."""
        self._end(websocket.GOING_AWAY)

    def abort(self) -> None:
        """End the connection now."""
        if self._transport is not None:
            self._transport.abort()

    def _end(self, code: int) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        assert self._writer is not None
        self._writer.add(websocket.close_frame(code))
        self._writer.write()
        self._transport.close()

    def _ping(self) -> None:
        """Ask whether the client is there; look for a sign of it some time later."""
        assert self._transport is not None
        if self._trickles():
            self._end(websocket.POLICY_VIOLATION)
            return
        self._heard = False
        unsent = self._transport.get_write_buffer_size()
        self.send(packets.PING)
        self._timer = self._loop.call_later(
            limits.RPC_PING_TIMEOUT_SECONDS, self._look_for_life, unsent
        )

    def _look_for_life(self, unsent: int) -> None:
        assert self._transport is not None
        left = self._transport.get_write_buffer_size()
        # While nothing is read, nothing can be heard: a client that takes its answers is alive.
        deaf = not self._reading and (self._writable.is_set() or left < unsent)
        if not (self._heard or deaf):
            self.abort()
            return
        seconds = limits.RPC_PING_INTERVAL_SECONDS - limits.RPC_PING_TIMEOUT_SECONDS
        self._timer = self._loop.call_later(max(seconds, 0.0), self._ping)

    def _trickles(self) -> bool:
        """Whether a message is under way that has hardly grown since the last ping."""
        before, self._held_before = self._held_before, self._reader.held + self._gathered
        whole, self._whole = self._whole, False
        enough = before + limits.LEAST_RATE_BYTES * limits.RPC_PING_INTERVAL_SECONDS
        return before > 0 and not whole and self._reading and self._held_before < enough

    # -- Sending ----------------------------------------------------------------------------------

    def send(self, packet: bytes, attachments: Sequence[bytes] = ()) -> None:
        """Send a packet, and what is attached to it, at the end of this turn."""
        if self._server.trace is not None and packet[:1] == packets.MESSAGE_TYPE:
            self._server.trace.sent(packet[1:].decode())
        if self._writer is not None:
            self._writer.add(websocket.frame(websocket.TEXT, packet))
            for data in attachments:
                self._writer.add(websocket.frame(websocket.BINARY, data))

    async def until_writable(self) -> None:
        """Wait until the client takes what was sent, or is gone."""
        while not self._writable.is_set():  # others that waited may have been faster
            await self._writable.wait()

    def _pong(self, payload: bytes) -> None:
        if self._writer is not None:
            self._writer.add(websocket.frame(websocket.PONG, payload))

    # -- Receiving --------------------------------------------------------------------------------

    def _read_whole(self, text: bytes, attachment: bytes | None) -> None:
        """Handle a packet that has arrived alone, when nothing else is under way: a text message,
        and a binary one if it came with that."""
        writer = self._writer
        assert writer is not None
        writer.cork()
        try:
            self._handle_text(text, attachment)
        except websocket.WebSocketError as error:
            self._broken(error)
            return
        finally:
            writer.write()
        self._whole = self._gathering is None
        if self._paused or self._calls_waiting >= _CALLS_WAITING_MAX or not self._reading:
            self._keep_up()

    def _read(self) -> None:
        """Handle what has arrived, as far as the client may go on."""
        left = limits.RPC_PACKETS_A_TURN_MAX
        if self._writer is not None:
            self._writer.cork()
        try:
            while self._may_go_on():
                message = self._reader.next()
                if message is None:
                    self._claim()
                    break
                self._handle(*message)
                self._whole = self._gathering is None
                left -= 1
                if not left:
                    self._had_its_turn = True
                    self._loop.call_soon(self._next_turn)
        except websocket.WebSocketError as error:
            self._broken(error)
            return
        finally:
            if self._writer is not None:
                self._writer.write()
        self._keep_up()

    def _broken(self, error: websocket.WebSocketError) -> None:
        self._server.log.warning("a client broke the websocket protocol", reason=str(error))
        self._end(error.code)

    def _claim(self) -> None:
        """Have room for the message under way, if it is large. Raises WebSocketError."""
        claimed = self._reader.claimed + self._gathered
        size = min(claimed, self._server.budget.share_bytes_max)
        if size < _CLAIMED_BYTES_MIN:
            if self._claims:
                self._give_back()
            return
        more = size - sum(self._claims)
        if more > 0:
            if not self._server.budget.take(more):
                raise websocket.WebSocketError(websocket.TRY_AGAIN_LATER, "too many large messages")
            self._claims.append(more)

    def _give_back(self) -> None:
        for size in self._claims:
            self._server.budget.give(size)
        self._claims.clear()

    def _next_turn(self) -> None:
        self._had_its_turn = False
        self._read()

    def _may_go_on(self) -> bool:
        return not (
            self._had_its_turn
            or self._paused
            or self._calls_waiting >= _CALLS_WAITING_MAX
            or self._transport is None
            or self._transport.is_closing()
        )

    def _keep_up(self) -> None:
        """Read from the socket exactly while what it brings would be handled."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._may_go_on() == self._reading:
            return
        self._reading = not self._reading
        if self._reading:
            transport.resume_reading()
        else:
            transport.pause_reading()

    def _handle(self, opcode: int, payload: bytes) -> None:
        if opcode == websocket.TEXT:
            self._handle_text(payload)
        elif opcode == websocket.BINARY:
            self._gather(payload)
        elif opcode == websocket.PING:
            self._pong(payload)
        elif opcode == websocket.CLOSE:
            self._end(int.from_bytes(payload[:2], "big") if len(payload) >= 2 else 1000)

    def _handle_text(self, message: bytes, attachment: bytes | None = None) -> None:
        """Handle a text message, and the binary one behind it if that is here already. Raises
        WebSocketError."""
        if self._server.trace is not None and message[:1] == packets.MESSAGE_TYPE:
            self._server.trace.received(message[1:].decode(errors="replace"))
        if self._gathering is not None and message[:1] == packets.MESSAGE_TYPE:
            self._server.log.debug("a packet was dropped", reason="its attachments did not come")
            self._gathering = None
        try:
            packet = packets.usual_event(message, self._server.usual_events) or packets.decode(
                message
            )
        except packets.PacketError as error:
            self._server.log.debug("a packet was dropped", reason=str(error))
            packet = packets.NOTHING
        if attachment is None:
            self._receive(packet)
        elif isinstance(packet, packets.Announced) and packet.count == 1:
            self._receive(replace(packet.packet, attachments=(attachment,)))
        else:
            self._receive(packet)
            self._gather(attachment)

    @property
    def _gathered(self) -> int:
        """What has come of the attachments of a packet, in bytes."""
        return 0 if self._gathering is None else self._gathering.size

    def _gather(self, data: bytes) -> None:
        """Take an attachment; one of no packet is dropped. Raises WebSocketError."""
        if self._gathering is None:
            self._server.log.debug("a packet was dropped", reason="an attachment of none")
            return
        try:
            packet = self._gathering.add(data)
        except packets.PacketError as error:
            raise websocket.WebSocketError(websocket.TOO_BIG, str(error)) from error
        if packet is not None:
            self._gathering = None
            self._receive(packet)

    def _receive(self, packet: packets.Packet) -> None:
        if isinstance(packet, packets.Event):
            peer = self._peers.get(packet.namespace)
            if peer is not None:
                peer.on_event(packet)
            return
        match packet:
            case packets.Announced():
                self._gathering = Gathering(packet, self._reader.message_bytes_max)
            case packets.Ack(namespace, ack_id):
                peer = self._peers.get(namespace)
                if peer is not None:
                    peer.on_ack(ack_id)
            case packets.Connect(namespace, payload):
                self._join(namespace, payload)
            case packets.Disconnect(namespace):
                peer = self._peers.pop(namespace, None)
                if peer is not None:
                    peer.leave()
            case packets.Close():
                self._end(1000)
            case _:
                pass  # pongs, and what only servers send

    def _join(self, namespace: str, payload: dict[str, Any] | None) -> None:
        if not self._server.gate.secret.admits_payload(payload):
            self.send(packets.encode_connect_error(namespace, REFUSAL))
            return
        self._welcome()
        dispatcher = self._server.dispatchers.get(namespace)
        if dispatcher is None:
            self.send(packets.encode_connect_error(namespace, "Invalid namespace"))
        elif namespace not in self._peers:
            self._peers[namespace] = _LeanPeer(self, namespace, dispatcher)
            sid = secrets.token_urlsafe(15)
            self.send(packets.encode_connect(namespace, {"sid": sid}))

    def _welcome(self) -> None:
        """The client has shown the secret."""
        self._reader.message_bytes_max = self._server.message_bytes_max
        if self._join_timer is not None:
            self._join_timer.cancel()

    def call_waits(self) -> None:
        """Count a call that is not answered yet."""
        self._calls_waiting += 1

    def call_ended(self, error: BaseException | None) -> None:
        """It is answered now, unless there was an error."""
        self._calls_waiting -= 1
        if isinstance(error, Exception):
            self._server.log.error("an answer could not be sent", exc_info=error)
        if not self._reading:
            self._read()


class _LeanPeer(Peer):
    """A connection on one namespace."""

    def __init__(self, connection: LeanConnection, namespace: str, dispatcher: Dispatcher) -> None:
        super().__init__()
        self._connection = connection
        self._namespace = namespace
        self._dispatcher = dispatcher
        self._ack_ids = itertools.count(1)
        self._on_acks: dict[int, Callable[..., None]] = {}

    def on_event(self, event: packets.Event) -> None:
        attachments = Attachments(event.attachments)
        if event.name == CALL_EVENT:
            answer = self._dispatcher.answer(self, event.arguments, attachments)
        elif event.name == BATCH_EVENT:
            answer = self._dispatcher.answer_batch(self, event.arguments, attachments)
        else:
            if event.name == HANG_UP_EVENT:
                self.hang_up(event.arguments[0] if event.arguments else None)
            return
        reply = self._reply(event.ack_id, answer, attachments)
        if eager.follow(reply, self._connection.call_ended):
            self._connection.call_waits()

    def on_ack(self, ack_id: int) -> None:
        on_ack = self._on_acks.pop(ack_id, None)
        if on_ack is not None:
            on_ack()

    async def emit(
        self, event: str, payload: dict[str, Any], on_ack: Callable[..., None] | None
    ) -> None:
        ack_id = None
        if on_ack is not None:
            ack_id = next(self._ack_ids)
            self._on_acks[ack_id] = on_ack
        text = codec.encode((event, payload))
        self._connection.send(packets.encode_event(self._namespace, ack_id, text))

    async def ready(self) -> None:
        await self._connection.until_writable()

    def forget(self, producer: Producer) -> None:
        ended = [
            ack_id
            for ack_id, on_ack in self._on_acks.items()
            if getattr(on_ack, "__self__", None) is producer
        ]
        for ack_id in ended:
            del self._on_acks[ack_id]

    async def _reply(
        self, ack_id: int | None, answer: Coroutine[Any, Any, Reply], attachments: Attachments
    ) -> None:
        # Sent in the step in which the answer is made: a stream that it announces begins later.
        reply = await answer
        if ack_id is not None and not self.gone:
            text = self._dispatcher.encode(reply)
            attached = attachments.to_send
            packet = packets.encode_ack(self._namespace, ack_id, text, len(attached))
            self._connection.send(packet, attached)
