"""The shell that serves clients which begin with long-polling, over python-socketio.

Those that are websockets from the start have a leaner one (``dmd.rpc.lean_server``).
``dmd.rpc.polling`` imports this module when a client needs it, and nothing else does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import socketio
from aiohttp import StreamReader, web
from aiohttp.typedefs import Handler
from engineio.async_drivers.aiohttp import WebSocket
from engineio.payload import Payload

from dmd.rpc.dispatch import Dispatcher, Peer, Reply
from dmd.rpc.handshake import PATH, Asked, Problem, problem_of
from shared import limits
from shared.budget import Budget
from shared.daemon_secret import REFUSAL, Gate
from shared.rpc import codec, packets
from shared.rpc.envelope import HANG_UP_EVENT
from shared.rpc.streams import Producer

_GOODBYE_SECONDS = 1.0
_SEPARATOR = b"\x1e"
_PACKET_TYPES = frozenset((b"1", b"3", b"4", b"5"))
"""What a client may send: close, pong, message, upgrade."""

_PACKET_TYPES_UPGRADING = _PACKET_TYPES | {b"2"}
"""The same when it goes over to a websocket, with the probe."""

_NOTHING = b"4"
"""A message that says nothing: an empty payload would be an error."""


class PollingServer:
    """The library's server and the HTTP server before it, for connections that were accepted
    elsewhere."""

    def __init__(self, server: GuardedServer, runner: web.AppRunner) -> None:
        self._server = server
        self._runner = runner

    @classmethod
    async def start(
        cls,
        dispatchers: Mapping[str, Dispatcher],
        message_bytes_max: int,
        gate: Gate,
        budget: Budget,
        hang_seconds: float,
    ) -> PollingServer:
        """Serve the namespaces; ``hang_seconds`` is what ``close`` grants those that hang."""
        server = create_server(message_bytes_max, gate)
        for namespace, dispatcher in dispatchers.items():
            server.register_namespace(RpcNamespace(namespace, dispatcher))
        application = create_application(server, message_bytes_max, budget)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=hang_seconds)
        await runner.setup()
        return cls(server, runner)

    def protocol(self) -> asyncio.Protocol:
        """The protocol of a new connection."""
        assert self._runner.server is not None
        return self._runner.server()

    async def close(self) -> None:
        """End all connections."""
        await _disconnect_clients(self._server)
        await self._runner.cleanup()


def create_server(
    message_bytes_max: int = limits.RPC_MESSAGE_BYTES_MAX, gate: Gate | None = None
) -> GuardedServer:
    """A Socket.IO server with the original's protocol settings (reference/dmd-wire.md, 1)."""
    # The library takes 16 packets of one long-polling request and loses the request when there are
    # more. The size of the request is the limit, as in the original.
    Payload.max_decode_packets = limits.RPC_MESSAGE_BYTES_CEILING
    server = GuardedServer(
        gate or Gate(),
        message_bytes_max,
        client_manager=_Manager(),
        async_mode="aiohttp",
        json=codec,
        ping_interval=int(limits.RPC_PING_INTERVAL_SECONDS),
        ping_timeout=int(limits.RPC_PING_TIMEOUT_SECONDS),
        max_http_buffer_size=message_bytes_max,
        http_compression=False,
    )
    _take_whole_requests(server)
    return server


def _take_whole_requests(server: socketio.AsyncServer) -> None:
    """Let the library wait for the whole body of a request, and show it packets alone.

    It reads once, which gives what has arrived so far, and loses the calls of the rest.
    """
    hooks = server.eio._async
    translate = hooks["translate_request"]

    def translated(request: web.Request) -> dict[str, Any]:
        environ: dict[str, Any] = translate(request)
        return environ | {"wsgi.input": _Body(request.content)}

    own = {"translate_request": translated, "websocket": _Websocket}
    server.eio._async = {**hooks, **own}


class _Websocket(WebSocket):  # type: ignore[misc]  # the library is untyped
    """A connection that was upgraded, or that the lean server leaves to the library."""

    async def wait(self) -> str:
        """The next packet. What is none is left out: it would end the connection with a traceback.
        Raises OSError when there is no connection any more."""
        while True:
            packet = await super().wait()
            if isinstance(packet, str) and packet[:1].encode() in _PACKET_TYPES_UPGRADING:
                return packet


class _Body:
    """The body of a request: all of it, in time, and what is no packet left out.

    Of a body that is not whole, or no text, nothing is left: the library would log a traceback.
    """

    def __init__(self, content: StreamReader) -> None:
        self._content = content

    async def read(self, count: int) -> bytes:
        seconds = limits.RPC_MESSAGE_GRACE_SECONDS + count / limits.LEAST_RATE_BYTES
        try:
            async with asyncio.timeout(seconds):
                body = await self._content.readexactly(count)
            body.decode()
        except (asyncio.IncompleteReadError, TimeoutError, OSError, UnicodeDecodeError):
            return _NOTHING
        except RuntimeError:
            # What aiohttp raises of a connection that had ended before it was asked to wait.
            return _NOTHING
        sent = body.split(_SEPARATOR)
        kept = [packet for packet in sent if packet[:1] in _PACKET_TYPES]
        return body if len(kept) == len(sent) else _SEPARATOR.join(kept) or _NOTHING


def create_application(
    server: GuardedServer,
    message_bytes_max: int = limits.RPC_MESSAGE_BYTES_MAX,
    budget: Budget | None = None,
) -> web.Application:
    """An aiohttp application that serves ``server`` and nothing else.

    ``budget`` is what requests, and others, may have in memory.
    """
    room = budget or Budget(2 * message_bytes_max)

    @web.middleware
    async def refuse(request: web.Request, handler: Handler) -> web.StreamResponse:
        refusal = _refusal(request, server)
        if refusal is not None:
            return refusal
        size = min(request.content_length or 0, room.share_bytes_max)
        if not room.take(size):
            response = web.Response(status=503)
            response.force_close()
            return response
        try:
            return await handler(request)
        finally:
            room.give(size)

    application = web.Application(client_max_size=message_bytes_max, middlewares=[refuse])
    server.attach(application, socketio_path=PATH.strip("/"))
    return application


async def _disconnect_clients(server: socketio.AsyncServer) -> None:
    """Send every client what is queued for it, and then that the connection ends."""
    sockets = list(server.eio.sockets.values())
    if sockets:
        closing = [asyncio.ensure_future(socket.close()) for socket in sockets]
        _, stuck = await asyncio.wait(closing, timeout=_GOODBYE_SECONDS)
        for task in stuck:
            task.cancel()
    await server.shutdown()


def _refusal(request: web.Request, server: GuardedServer) -> web.Response | None:
    """What the library answers in another way than the original, or reads into memory first."""
    if request.path != PATH:
        return None
    asked = _asked(request, server)
    problem = problem_of(asked)
    if problem is not None:
        response = _refused(problem, upgrades=asked.upgrades)
        if asked.upgrades or request.body_exists:
            response.force_close()  # before the body is read
        return response
    sid = asked.session_id
    if sid is None and not server.has_room():
        response = web.Response(status=503)
        response.force_close()
        return response
    if request.method == "POST":
        length = request.content_length
        if length is None or length > server.message_bytes_max_of(sid):
            response = web.Response(status=411 if length is None else 413)
            response.force_close()
            return response
    return None


def _asked(request: web.Request, server: GuardedServer) -> Asked:
    query, sid = request.query, request.query.get("sid")
    socket = server.eio.sockets.get(sid)
    session = None
    if socket is not None:
        session = "websocket" if socket.upgraded else "polling"
    upgrades = request.headers.get("Upgrade", "").lower() == "websocket"
    return Asked(request.method, query.get("transport"), query.get("EIO"), sid, session, upgrades)


def _refused(problem: Problem, *, upgrades: bool) -> web.Response:
    """As the original's server writes it: a document, or the bare message to a websocket."""
    if not upgrades:
        return web.json_response(problem.document, status=400, dumps=codec.dumps)
    return web.Response(status=400, text=problem.message, content_type="text/html")


class GuardedServer(socketio.AsyncServer):  # type: ignore[misc]  # the library is untyped
    """The library's server, which ends connections that do not show the shared secret in time.

    They are known by the session IDs of Engine.IO; a namespace says which of them it has let in.
    """

    def __init__(self, gate: Gate, message_bytes_max: int, **options: Any) -> None:
        self.gate = gate
        self.sessions_max = limits.RPC_SESSIONS_MAX
        self._message_bytes_max = message_bytes_max
        self._strangers: dict[str, asyncio.TimerHandle] = {}
        super().__init__(**options)

    def message_bytes_max_of(self, eio_sid: str | None) -> int:
        """How much the request of a connection may carry."""
        if eio_sid in self._strangers:
            return min(limits.RPC_STRANGER_MESSAGE_BYTES_MAX, self._message_bytes_max)
        return self._message_bytes_max

    def has_room(self) -> bool:
        """Whether one more session may begin."""
        sockets = self.eio.sockets
        return (
            len(sockets) < self.sessions_max
            or sum(not socket.closed for socket in sockets.values()) < self.sessions_max
        )

    def admit(self, eio_sid: str) -> None:
        """The client has shown the secret."""
        timer = self._strangers.pop(eio_sid, None)
        if timer is not None:
            timer.cancel()

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        if self.gate.secret.required:
            self._strangers[eio_sid] = asyncio.get_running_loop().call_later(
                limits.RPC_JOIN_SECONDS_MAX, self._end_stranger, eio_sid
            )

    async def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        """Dispatch a packet; what is none, or means nothing, is dropped, as by the lean server.

        The library would log each as an error, and take ``connect`` for an event of a client's.
        """
        try:
            packet = packets.decode(packets.MESSAGE_TYPE + _as_bytes(data))
        except packets.PacketError:
            return
        match packet:
            case packets.Event(namespace, ack_id, name, arguments):
                if name not in self.reserved_events:
                    await self._handle_event(eio_sid, namespace, ack_id, [name, *arguments])
            case packets.Ack(namespace, ack_id, arguments):
                await self._handle_ack(eio_sid, namespace, ack_id, arguments)
            case packets.Connect(namespace, payload):
                await self._handle_connect(eio_sid, namespace, payload)
            case packets.Disconnect(namespace):
                await self._handle_disconnect(eio_sid, namespace, self.reason.CLIENT_DISCONNECT)

    async def _handle_eio_disconnect(self, eio_sid: str, reason: Any) -> None:
        self.admit(eio_sid)
        await super()._handle_eio_disconnect(eio_sid, reason)

    def _end_stranger(self, eio_sid: str) -> None:
        socket = self.eio.sockets.get(eio_sid)
        if socket is not None:
            self.start_background_task(self._end, socket)

    async def _end(self, socket: Any) -> None:
        await socket.close(wait=False)
        await socket.queue.put(None)  # else it would wait for the client to close its websocket


def _as_bytes(data: str | bytes) -> bytes:
    """A message as packets are decoded from; a binary one is no packet."""
    return data.encode("utf-8", "surrogatepass") if isinstance(data, str) else b"(binary)"


class _Manager(socketio.AsyncManager):  # type: ignore[misc]  # the library is untyped
    """The library's book of acknowledgements that are waited for, with an eraser.

    A consumer that hangs up does not acknowledge the packets under way, so without it their
    callbacks, and the streams behind them, would stay until the connection ends.
    """

    async def trigger_callback(self, sid: str, id: int, data: Sequence[Any]) -> None:
        # Number 0 is the library's counter. A late acknowledgement is nothing to warn of.
        if id and id in self.callbacks.get(sid, ()):
            await super().trigger_callback(sid, id, data)

    def forget(self, sid: str, producer: Producer) -> None:
        """Wait for no more acknowledgements of a stream."""
        callbacks = self.callbacks.get(sid, {})
        ended = [
            number
            for number, callback in callbacks.items()
            if getattr(callback, "__self__", None) is producer
        ]
        for number in ended:
            del callbacks[number]


class RpcNamespace(socketio.AsyncNamespace):  # type: ignore[misc]  # the library is untyped
    """What a dispatcher serves, on one namespace of a server."""

    def __init__(self, namespace: str, dispatcher: Dispatcher) -> None:
        super().__init__(namespace)
        self._dispatcher = dispatcher
        self._peers: dict[str, _Peer] = {}

    def on_connect(self, sid: str, _environ: object, auth: object = None) -> None:
        if not self.server.gate.secret.admits_payload(auth):
            raise socketio.exceptions.ConnectionRefusedError(REFUSAL)
        self.server.admit(self.server.manager.eio_sid_from_sid(sid, self.namespace))
        self._peers[sid] = _Peer(self, sid)

    def on_disconnect(self, sid: str, *_reason: object) -> None:
        peer = self._peers.pop(sid, None)
        if peer is not None:
            peer.leave()

    async def on_call(self, sid: str, *arguments: Any) -> Reply:
        """Answer one call."""
        return await self._dispatcher.answer(self._peers.get(sid) or _Departed(), arguments)

    async def on_batch(self, sid: str, *arguments: Any) -> Reply:
        """Answer several calls."""
        return await self._dispatcher.answer_batch(self._peers.get(sid) or _Departed(), arguments)

    # The event names carry a hyphen, so the library cannot find their methods by itself.
    async def trigger_event(self, event: str, *arguments: Any) -> Any:
        if event == HANG_UP_EVENT:
            return self._hang_up(*arguments)
        return await super().trigger_event(event, *arguments)

    def _hang_up(self, sid: str, payload: Any = None, *_more: Any) -> None:
        peer = self._peers.get(sid)
        if peer is not None:
            peer.hang_up(payload)


class _Peer(Peer):
    def __init__(self, namespace: RpcNamespace, sid: str) -> None:
        super().__init__()
        self._namespace = namespace
        self._sid = sid

    async def emit(
        self, event: str, payload: dict[str, Any], on_ack: Callable[..., None] | None
    ) -> None:
        await self._namespace.emit(event, payload, to=self._sid, callback=on_ack)

    def forget(self, producer: Producer) -> None:
        self._namespace.server.manager.forget(self._sid, producer)


class _Departed(Peer):
    """The library hands over events of connections that have ended meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.gone = True
