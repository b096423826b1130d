"""The Socket.IO side of an RPC service, over python-socketio.

A service is anything with ``async call(Call) -> result``; a result with an attribute ``pages`` is
sent as a stream. This shell decodes calls, encodes answers and errors, and keeps the streams of
each connection, which end with it.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import socketio

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


def create_server() -> socketio.AsyncServer:
    """A Socket.IO server with the original's protocol settings (reference/dmd-wire.md, 1)."""
    return socketio.AsyncServer(
        async_mode="aiohttp",
        json=codec,
        ping_interval=25,
        ping_timeout=20,
        max_http_buffer_size=limits.RPC_MESSAGE_BYTES_MAX,
        http_compression=False,
    )


class RpcNamespace(socketio.AsyncNamespace):  # type: ignore[misc]  # the library is untyped
    """One service on one namespace."""

    def __init__(self, namespace: str, service: Service, settings: StreamSettings, log: EventLog):
        super().__init__(namespace)
        self._service = service
        self._settings = settings
        self._log = log
        self._producers: dict[str, dict[str, Producer]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def on_connect(self, sid: str, _environ: object, _auth: object = None) -> None:
        self._producers[sid] = {}

    def on_disconnect(self, sid: str, *_reason: object) -> None:
        for producer in self._producers.pop(sid, {}).values():
            producer.hang_up()

    async def on_call(self, sid: str, *arguments: Any) -> tuple[Any, ...]:
        """Answer one call: ``(None, result)``, or ``(error,)``."""
        call: Call | None = None
        try:
            call = parse_call(arguments)
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
                producer.hang_up()
            finally:
                producers.pop(stream_id, None)

        task = asyncio.get_running_loop().create_task(run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return stream_marker(stream_id)

    def _log_call(self, call: Call | None, error: str | None) -> None:
        self._log.debug(
            "call",
            method=call and call.name,
            sub_level=call and "/".join(call.sub_level),
            request_id=call and call.request_uids,
            error=error,
        )
