"""The Socket.IO side of an RPC service, over python-socketio.

A service is anything with ``async call(Call) -> result``; a result with an attribute ``pages`` is
sent as a stream. This shell decodes calls, encodes answers and errors, and keeps the streams of
each connection, which end with it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

import socketio
from aiohttp import web
from aiohttp.typedefs import Handler
from engineio.payload import Payload

from shared import limits
from shared.errors import ServiceError
from shared.observability import EventLog
from shared.rpc import codec
from shared.rpc.envelope import Call, encode_error, parse_call, stream_marker
from shared.rpc.streams import Producer, StreamSettings


class Service(Protocol):
    """What the shell serves."""

    async def call(self, call: Call) -> Any:
        """The result; raises ServiceError."""


_PATH = "/socket.io/"
_GOODBYE_SECONDS = 1.0


def create_server() -> socketio.AsyncServer:
    """A Socket.IO server with the original's protocol settings (reference/dmd-wire.md, 1)."""
    # The library takes 16 packets of one long-polling request and loses the request when there are
    # more. The size of the request is the limit, as in the original.
    Payload.max_decode_packets = limits.RPC_MESSAGE_BYTES_MAX
    return socketio.AsyncServer(
        client_manager=_Manager(),
        async_mode="aiohttp",
        json=codec,
        ping_interval=25,
        ping_timeout=20,
        max_http_buffer_size=limits.RPC_MESSAGE_BYTES_MAX,
        http_compression=False,
    )


def create_application(server: socketio.AsyncServer) -> web.Application:
    """An aiohttp application that serves ``server`` and nothing else."""
    application = web.Application(
        client_max_size=limits.RPC_MESSAGE_BYTES_MAX, middlewares=[_refuse_like_the_original]
    )
    server.attach(application, socketio_path=_PATH.strip("/"))
    return application


async def disconnect_clients(server: socketio.AsyncServer) -> None:
    """Send every client what is queued for it, and then that the connection ends."""
    sockets = list(server.eio.sockets.values())
    if sockets:
        closing = [asyncio.ensure_future(socket.close()) for socket in sockets]
        _, stuck = await asyncio.wait(closing, timeout=_GOODBYE_SECONDS)
        for task in stuck:
            task.cancel()
    await server.shutdown()


@web.middleware
async def _refuse_like_the_original(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the library answers in another way, or reads into memory first."""
    if request.path == _PATH:
        if "sid" not in request.query and request.query.get("EIO") != "4":
            problem = {"code": 5, "message": "Unsupported protocol version"}
            return web.json_response(problem, status=400, dumps=codec.dumps)
        if request.method == "POST":
            length = request.content_length
            if length is None or length > limits.RPC_MESSAGE_BYTES_MAX:
                response = web.Response(status=411 if length is None else 413)
                response.force_close()
                return response
    return await handler(request)


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
    """One service on one namespace."""

    def __init__(self, namespace: str, service: Service, settings: StreamSettings, log: EventLog):
        super().__init__(namespace)
        self._service = service
        self._settings = settings
        self._log = log
        self._producers: dict[str, dict[str, Producer]] = {}
        self._streams: set[asyncio.Task[None]] = set()
        self._calls: set[asyncio.Task[Any]] = set()
        self._draining = False

    def on_connect(self, sid: str, _environ: object, _auth: object = None) -> None:
        self._producers[sid] = {}

    def on_disconnect(self, sid: str, *_reason: object) -> None:
        for producer in self._producers.pop(sid, {}).values():
            producer.hang_up()

    async def on_call(self, sid: str, *arguments: Any) -> tuple[Any, ...]:
        """Answer one call: ``(None, result)``, or ``(error,)``."""
        task = asyncio.current_task()
        assert task is not None
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return await self._answer(sid, arguments)

    async def drain(self, seconds: float) -> None:
        """Refuse calls from now on, and wait for those under way and for the streams.

        Whatever is not done after so long is left to itself.
        """
        self._draining = True
        deadline = asyncio.get_running_loop().time() + seconds
        for tasks in (self._calls, self._streams):
            if tasks:
                left = deadline - asyncio.get_running_loop().time()
                await asyncio.wait(set(tasks), timeout=max(left, 0.0))

    async def _answer(self, sid: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
        call: Call | None = None
        try:
            call = parse_call(arguments)
            if self._draining:
                raise ServiceError("ServiceUnavailable", "the daemon is stopping")
            result = await self._service.call(call)
        except ServiceError as error:
            self._log_call(call, error.code)
            return (encode_error(error),)
        except Exception as error:
            self._log.error("a call failed", method=call and call.name, exc_info=error)
            return (encode_error(ServiceError("InternalError")),)
        self._log_call(call, None)
        pages = getattr(result, "pages", None)
        if pages is not None:
            return None, self._start_stream(sid, pages)
        return None, result

    # The event names carry a hyphen, so the library cannot find their methods by itself.
    async def trigger_event(self, event: str, *arguments: Any) -> Any:
        if event == "stream-hangup":
            return self._hang_up(*arguments)
        return await super().trigger_event(event, *arguments)

    def _hang_up(self, sid: str, payload: Any = None, *_more: Any) -> None:
        stream_id = payload.get("streamId") if isinstance(payload, dict) else None
        producer = self._producers.get(sid, {}).get(stream_id) if stream_id else None
        if producer is not None:
            producer.hang_up()

    def _start_stream(self, sid: str, pages: Iterator[list[Any]]) -> dict[str, Any]:
        """The marker of a stream whose packets follow.

        The producer begins in a task of its own, so that its first packet is queued after the
        acknowledgement that carries the marker: a consumer drops packets of streams that it does
        not know yet.
        """
        stream_id = str(uuid.uuid4())

        async def send(
            event: str, payload: dict[str, Any], on_ack: Callable[..., None] | None
        ) -> None:
            await self.emit(event, payload, to=sid, callback=on_ack)

        producers = self._producers.get(sid)
        if producers is None:  # the client left while its call ran
            return stream_marker(stream_id)
        producer = producers[stream_id] = Producer(stream_id, pages, send, self._settings)

        async def run() -> None:
            try:
                await producer.run()
            except Exception as error:
                self._log.error("a stream failed", exc_info=error)
                await producer.fail(ServiceError("InternalError"))
            finally:
                producers.pop(stream_id, None)
                self.server.manager.forget(sid, producer)

        task = asyncio.get_running_loop().create_task(run())
        self._streams.add(task)
        task.add_done_callback(self._streams.discard)
        return stream_marker(stream_id)

    def _log_call(self, call: Call | None, error: str | None) -> None:
        self._log.debug(
            "call",
            method=call and call.name,
            sub_level=call and "/".join(call.sub_level),
            request_id=call and call.request_uids,
            error=error,
        )
