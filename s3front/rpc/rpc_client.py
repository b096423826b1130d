"""The client of the metadata RPC.

It connects in the background and stays connected: a daemon that is away, slow or restarted shows
as an error of the calls made meanwhile, and the next calls work once it is back. What a caller
needs to know about a failed call is whether it may have taken effect:

``RpcUnavailableError``
    It was never sent; ``RpcTooLargeError`` if it never can be.
``RpcOutcomeUnknownError``
    It was sent and no answer came, because the connection broke or the time ran out.
``RemoteError``
    The daemon answered with an error: nothing was changed.

What the daemon can do besides, its manifest says (``shared.rpc.envelope``): calls of one turn of
the event loop travel together, and a mutation whose connection broke is repeated over the next one,
until its time is over. It has an operation ID, so that the daemon does it once; its caller learns
what became of it, and the outcome is unknown only when there is no connection again in time.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time
import uuid
from collections.abc import AsyncGenerator, Coroutine, Sequence
from functools import partial
from typing import Any

from s3front.rpc.outgoing import OutgoingCall, envelopes, single
from s3front.rpc.rpc_connection import Connection, connect, framed, stream_id_in
from shared import limits
from shared.credentials import NO_CREDENTIALS, Credentials
from shared.loop.eager import in_a_task
from shared.process.logs import EventLog
from shared.process.vital import vital
from shared.rpc import codec, packets
from shared.rpc.attachments import put_in
from shared.rpc.envelope import (
    BATCH_EVENT_EXTENSION,
    BODIES_EXTENSION,
    HANG_UP_EVENT,
    MUTATIONS,
    NOT_AFTER_EXTENSION,
    OPERATION_ID_EXTENSION,
    STREAM_ID,
    BodiesOffer,
    RemoteError,
    bodies_of,
    call_parameters,
    clock_of,
    decode_error,
    decode_reply,
    extensions_of,
    listings_of,
    methods_of,
    stream_id_of,
)
from shared.rpc.streams import Consumer

CONNECT_WAIT_SECONDS = 1.0
"""How long a call waits for a connection, unless a client is told otherwise."""

_CONNECT_TIMEOUT_SECONDS = 5.0
_RETRY_SECONDS_MIN = 0.05
_RETRY_SECONDS_MAX = 1.0
_EVENT_HEAD_BYTES_MAX = 256


class RpcUnavailableError(Exception):
    """There is no connection, so the call was not sent."""


class RpcTooLargeError(RpcUnavailableError):
    """The call was not sent, as it is larger than a message may be: it never will be."""


class RpcOutcomeUnknownError(Exception):
    """The call was sent, and whether it took effect is not known."""


class RpcClient:
    """One connection to one namespace of a daemon. ``start`` it inside the event loop.

    ``call_timeout_seconds`` bounds every call; ``connect_wait_seconds`` is how long a call waits
    for a connection that is being made, so that a short restart of the daemon goes unnoticed.
    ``credentials`` may be replaced: the next connection uses them.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        log: EventLog,
        *,
        call_timeout_seconds: float = limits.RPC_CALL_TIMEOUT_SECONDS,
        connect_wait_seconds: float = CONNECT_WAIT_SECONDS,
        credentials: Credentials = NO_CREDENTIALS,
    ) -> None:
        self.credentials = credentials
        self.problem: str | None = None
        """Why there was no connection at the last attempt."""
        self._url = url
        self._namespace = namespace
        self._log = log
        self._call_timeout_seconds = call_timeout_seconds
        self._connect_wait_seconds = connect_wait_seconds
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._connector: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop
        """Since it was started. Who asks asyncio for it costs a system call each time."""
        # In the order of their deadlines, because all have the same time.
        self._waiting: dict[OutgoingCall, None] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._outgoing: list[OutgoingCall] = []
        self._sent: dict[int, OutgoingCall | list[OutgoingCall]] = {}
        self._to_repeat: list[OutgoingCall] = []
        self._methods: frozenset[str] = frozenset()
        self._extensions: frozenset[str] = frozenset()
        self._listings: frozenset[str] = frozenset()
        self.bodies: BodiesOffer | None = None
        """What the daemon that is connected says of bodies that come with commits."""
        self._server_ahead: float | None = None
        self.connections = 0
        """How many there were, the present one included: what was told over an earlier one may
        have been another store's."""
        self._event_bytes_max = 0
        # Operation IDs of one client lie side by side in the daemon's store.
        self._operation_prefix = uuid.uuid4().hex
        self._operations = itertools.count(1)
        self._ack_ids = itertools.count(1)
        self._streams: dict[str, Consumer] = {}

    @property
    def connected(self) -> bool:
        """Whether calls can be sent now."""
        return self._connected.is_set()

    def has(self, method: str) -> bool:
        """Whether there is a connection, and its daemon has a method."""
        return method in self._methods and self._connected.is_set()

    async def supports(self, method: str) -> bool:
        """Whether the daemon that is connected has a method; raises RpcUnavailableError when none
        is."""
        if not self._connected.is_set():
            await self._wait_for_connection()
        return method in self._methods

    def extends(self, extension: str) -> bool:
        """Whether the daemon that is connected has an extension."""
        return extension in self._extensions

    async def lists(self, algorithm: str) -> bool:
        """Whether it has a listing algorithm, likewise."""
        return await self.supports("list") and algorithm in self._listings

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._loop = asyncio.get_running_loop()
        connecting = self._loop.create_task(self._stay_connected(), name="connector")
        self._connector = vital(connecting)

    async def close(self) -> None:
        """Give up the connection; waiting calls fail."""
        if self._connector is not None:
            self._connector.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connector
        connection = self._connection
        if connection is not None:
            self.on_lost(connection)
            await connection.close()
        for call in self._to_repeat:
            call.fail(_lost_connection())
        if self._timer is not None:
            self._timer.cancel()

    # -- Calls ------------------------------------------------------------------------------------

    def call(
        self,
        name: str,
        arguments: Sequence[Any],
        sub_level: Sequence[str] = (),
        request_uids: str | None = None,
        attachments: Sequence[bytes] = (),
    ) -> Coroutine[Any, Any, Any]:
        """The result of a call; raises one of the errors of the module.

        ``attachments`` are what placeholders in the arguments stand for, as in
        ``shared.rpc.attachments``; those of the result are in their places.
        """
        return self._call(name, call_parameters(arguments, sub_level, request_uids), attachments)

    async def _call(
        self,
        name: str,
        params: dict[str, Any],
        attachments: Sequence[bytes] = (),
        *,
        alone: bool = False,
    ) -> Any:
        if not self._connected.is_set():
            await self._wait_for_connection()
        if attachments and BODIES_EXTENSION not in self._extensions:
            raise RpcUnavailableError(f"{name}: the daemon that is connected takes no bodies")
        loop = self._loop
        deadline = loop.time() + self._call_timeout_seconds
        operation_id = None
        if name in MUTATIONS and OPERATION_ID_EXTENSION in self._extensions:
            operation_id = self._operation_prefix + next(self._operations).to_bytes(6).hex()
        answer = loop.create_future()
        ahead = self._server_ahead
        # By position: with names it costs 2,000 instructions more.
        call = OutgoingCall(name, params, deadline, answer, attachments, operation_id, ahead)
        call.alone = alone
        if (call.size if attachments else len(call.text)) > self._event_bytes_max:
            raise RpcTooLargeError(f"{name}: larger than a message may be")
        self._waiting[call] = None
        if self._timer is None:
            self._timer = loop.call_at(deadline, self._expire)
        if not self._outgoing:
            loop.call_soon(self._send_outgoing)
        self._outgoing.append(call)
        try:
            return decode_reply(await call.future)
        except asyncio.CancelledError:
            # The answer may have come in the same turn in which the caller gave up.
            if call.future.done() and not call.future.cancelled():
                self._abandon(call)
            raise
        finally:
            self._waiting.pop(call, None)

    async def pages(
        self,
        name: str,
        arguments: Sequence[Any],
        sub_level: Sequence[str] = (),
        request_uids: str | None = None,
    ) -> AsyncGenerator[list[Any], None]:
        """The packets of the stream that a call returns, as lists of items.

        Leaving the iteration early hangs the stream up; close the iterator then (``aclosing``).
        """
        params = call_parameters(arguments, sub_level, request_uids)
        marker = await self._call(name, params, alone=True)
        stream_id = stream_id_of(marker)
        if stream_id is None:
            raise RpcOutcomeUnknownError(f"{name}: the daemon answered without a stream")
        consumer = self._streams[stream_id]
        try:
            while (page := await consumer.next(self._call_timeout_seconds)) is not None:
                yield page
        except TimeoutError:
            raise RpcOutcomeUnknownError("the stream stalled") from None
        finally:
            del self._streams[stream_id]
            consumer.release()
            if not consumer.ended:
                self._hang_up(stream_id)

    def _send_outgoing(self) -> None:
        """Send the calls of this turn."""
        calls, self._outgoing = self._outgoing, []
        connection = self._connection
        if connection is None:
            for call in calls:
                call.fail(RpcUnavailableError(f"{call.name}: the connection was lost"))
            return
        # Those whose callers have gone already are left out.
        if len(calls) != 1:
            self._send(connection, [call for call in calls if not call.future.done()])
        elif not (call := calls[0]).future.done():
            connection.send_now(self._framed(single(call), call, call.attachments))

    def _send(self, connection: Connection, calls: Sequence[OutgoingCall]) -> None:
        together = BATCH_EVENT_EXTENSION in self._extensions
        batch_bytes_max = min(limits.RPC_BATCH_BYTES_MAX, self._event_bytes_max)
        frames: list[bytes] = []
        for envelope in envelopes(calls, batch_bytes_max, together=together):
            frames += self._framed(*envelope)
        connection.send_now(frames)

    def _framed(
        self,
        event: bytes,
        carried: OutgoingCall | list[OutgoingCall],
        attached: Sequence[bytes],
    ) -> list[bytes]:
        """The frames of an envelope. From now on its acknowledgement is waited for."""
        ack_id = next(self._ack_ids)
        self._sent[ack_id] = carried
        packet = packets.encode_event(self._namespace, ack_id, event, len(attached))
        return framed(packet, attached)

    def _expire(self) -> None:
        """Give up the calls whose time is over."""
        loop = self._loop
        now = loop.time()
        self._timer = None
        for call in list(self._waiting):
            if call.deadline > now:
                self._timer = loop.call_at(call.deadline, self._expire)
                return
            text = f"{call.name}: no answer within {self._call_timeout_seconds:g} s"
            call.fail(RpcOutcomeUnknownError(text))
            self._waiting.pop(call, None)

    # -- What arrives -----------------------------------------------------------------------------

    def on_ack(self, packet: packets.Ack) -> None:
        sent = self._sent.pop(packet.ack_id, None)
        arguments = packet.arguments
        if packet.attachments:
            arguments = put_in(arguments, packet.attachments)
        if isinstance(sent, OutgoingCall):
            self._answered(sent, arguments)
        elif sent is not None:
            replies = arguments[0] if arguments else None
            if not isinstance(replies, list) or len(replies) != len(sent):
                replies = [arguments or ["no answer"]] * len(sent)
            for call, reply in zip(sent, replies, strict=True):
                self._answered(call, reply if isinstance(reply, list) else [reply])

    def _answered(self, call: OutgoingCall, reply: list[Any]) -> None:
        result = reply[1] if len(reply) > 1 else None
        if call.repeated or (type(result) is dict and STREAM_ID in result):
            self._answered_specially(call, reply)
        elif not call.future.done():
            call.future.set_result(reply)

    def _answered_specially(self, call: OutgoingCall, reply: list[Any]) -> None:
        """With a stream, or by a daemon that was asked before."""
        stream_id = _stream_of(reply)
        if stream_id is not None:
            # Its packets may be handled before the caller wakes up, so it must be known from here.
            self._streams[stream_id] = Consumer()
        if call.repeated and _says_nothing_of_the_first(reply):
            call.fail(_lost_connection())
        elif not call.future.done():
            call.future.set_result(reply)
        elif stream_id is not None:
            self._abandon_stream(stream_id)

    def on_event(self, connection: Connection, packet: packets.Event) -> None:
        stream_id, payload = stream_id_in(packet)
        consumer = self._streams.get(stream_id) if stream_id is not None else None
        if packet.name == "stream-error":
            if consumer is not None:
                consumer.fail(decode_error(payload.get("error")))
            return
        if packet.name == "stream-data" and consumer is not None:
            data = payload.get("data")
            page = data if isinstance(data, list) else []
            consumer.push(page, partial(connection.acknowledge, packet.ack_id))
            return
        if packet.name == "stream-end" and consumer is not None:
            consumer.end()
        connection.acknowledge(packet.ack_id)

    def on_lost(self, connection: Connection) -> None:
        if connection is not self._connection:
            return
        self._connection = None
        self._connected.clear()
        self._lost.set()
        self._send_outgoing()
        sent = [
            call
            for carried in self._sent.values()
            for call in (carried if isinstance(carried, list) else [carried])
        ]
        self._sent.clear()
        for call in sent:
            if not call.repeatable:
                call.fail(_lost_connection())
        self._to_repeat = [call for call in (*self._to_repeat, *sent) if not call.future.done()]
        for consumer in self._streams.values():
            consumer.fail(_lost_connection())

    def _abandon(self, call: OutgoingCall) -> None:
        """Hang up the stream that a call began, if it did: nobody is going to read it."""
        if call.future.exception() is None:
            stream_id = _stream_of(call.future.result())
            if stream_id is not None:
                self._abandon_stream(stream_id)

    def _abandon_stream(self, stream_id: str) -> None:
        consumer = self._streams.pop(stream_id, None)
        if consumer is not None:
            consumer.release()
        self._hang_up(stream_id)

    def _hang_up(self, stream_id: str) -> None:
        # A connection that breaks meanwhile ends the stream as well.
        if self._connection is not None:
            event = codec.encode((HANG_UP_EVENT, {"streamId": stream_id}))
            self._connection.send(packets.encode_event(self._namespace, None, event))

    # -- The connection ---------------------------------------------------------------------------

    async def _wait_for_connection(self) -> None:
        await in_a_task()
        try:
            async with asyncio.timeout(self._connect_wait_seconds):
                await self._connected.wait()
        except TimeoutError:
            raise RpcUnavailableError(f"{self._url}: not connected") from None

    async def _stay_connected(self) -> None:
        retry_seconds = _RETRY_SECONDS_MIN
        while True:
            try:
                connection = await connect(
                    self._url, self._namespace, self, _CONNECT_TIMEOUT_SECONDS, self.credentials
                )
            except Exception as error:
                # Whatever it was, giving up would leave this process useless for ever.
                self.problem = str(error)
                if retry_seconds >= _RETRY_SECONDS_MAX:
                    self._log.warning("cannot reach the metadata daemon", reason=str(error))
            else:
                retry_seconds = _RETRY_SECONDS_MIN
                self.problem = None
                await self._use(connection)
                self._log.warning("lost the connection to the metadata daemon", url=self._url)
            # Jitter keeps many front-ends from coming back in step.
            await asyncio.sleep(retry_seconds * random.uniform(0.5, 1.0))  # noqa: S311
            retry_seconds = min(retry_seconds * 2, _RETRY_SECONDS_MAX)

    async def _use(self, connection: Connection) -> None:
        """Send calls over a connection until it is lost."""
        self._lost.clear()
        self._connection = connection
        self._event_bytes_max = connection.message_bytes_max - _EVENT_HEAD_BYTES_MAX
        if connection.ended.is_set():
            self.on_lost(connection)
            return
        try:
            await self._ask_what_it_can(connection)
        except (TimeoutError, RpcOutcomeUnknownError):
            connection.abort()
            self.on_lost(connection)
            return
        self.connections += 1
        self._connected.set()
        self._log.info("connected to the metadata daemon", url=self._url)
        self._repeat(connection)
        await self._lost.wait()

    async def _ask_what_it_can(self, connection: Connection) -> None:
        deadline = self._loop.time() + _CONNECT_TIMEOUT_SECONDS
        asked = self._loop.create_future()
        call = OutgoingCall("getManifest", call_parameters([], [], None), deadline, asked)
        self._send(connection, [call])
        async with asyncio.timeout_at(deadline):
            reply = await call.future
        received = time.monotonic()
        manifest = None
        with contextlib.suppress(RemoteError):  # the original's client overlooks it as well
            manifest = decode_reply(reply)
        self._methods = methods_of(manifest)
        self._extensions = extensions_of(manifest)
        self._listings = listings_of(manifest)
        self.bodies = bodies_of(manifest)
        # The server read its clock before its answer came, so it is ahead by this or more: what is
        # not to begin after a moment of ours will not.
        clock = clock_of(manifest) if NOT_AFTER_EXTENSION in self._extensions else None
        self._server_ahead = None if clock is None else clock / 1000 - received

    def _repeat(self, connection: Connection) -> None:
        """Ask again what became of the mutations whose connection broke."""
        calls = [call for call in self._to_repeat if not call.future.done()]
        self._to_repeat = []
        repeated: list[OutgoingCall] = []
        for call in calls:
            if OPERATION_ID_EXTENSION not in self._extensions or (
                call.attachments and BODIES_EXTENSION not in self._extensions
            ):
                # Another daemon, which would do it a second time, or without its bytes.
                call.fail(_lost_connection())
                continue
            call.repeated = True
            call.renew(self._server_ahead)
            repeated.append(call)
        self._send(connection, repeated)


def _stream_of(reply: Sequence[Any]) -> str | None:
    """The ID of the stream that an acknowledgement announces, or None."""
    return stream_id_of(reply[1]) if len(reply) > 1 else None


def _says_nothing_of_the_first(reply: Sequence[Any]) -> bool:
    """Whether a daemon that was asked again could not say what became of the first time: it is
    stopping, or busy, or its store has failed."""
    if not reply or reply[0] is None:
        return False
    code = decode_error(reply[0]).code
    return code is None or code >= 500


def _lost_connection() -> RpcOutcomeUnknownError:
    return RpcOutcomeUnknownError("the connection to the metadata daemon was lost")
