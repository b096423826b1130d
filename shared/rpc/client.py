"""The client of the metadata RPC, over python-socketio.

It connects in the background and stays connected: a daemon that is away, slow or restarted shows
as an error of the calls made meanwhile, and the next calls work once it is back. What a caller
needs to know about a failed call is whether it may have taken effect:

``RpcUnavailableError``
    It was never sent.
``RpcOutcomeUnknownError``
    It was sent and no answer came, because the connection broke or the time ran out.
``RemoteError``
    The daemon answered with an error: nothing was changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import socketio

from shared import limits
from shared.observability import EventLog
from shared.rpc import codec
from shared.rpc.envelope import (
    CALL_EVENT,
    call_arguments,
    decode_error,
    decode_reply,
    stream_id_of,
)

_CONNECT_TIMEOUT_SECONDS = 5.0
_RETRY_SECONDS_MIN = 0.05
_RETRY_SECONDS_MAX = 1.0


class RpcUnavailableError(Exception):
    """There is no connection, so the call was not sent."""


class RpcOutcomeUnknownError(Exception):
    """The call was sent, and whether it took effect is not known."""


class RpcClient:
    """One connection to one namespace of a daemon. ``start`` it inside the event loop.

    ``call_timeout_seconds`` bounds every call; ``connect_wait_seconds`` is how long a call waits
    for a connection that is being made, so that a short restart of the daemon goes unnoticed.
    """

    def __init__(
        self,
        url: str,
        namespace: str,
        log: EventLog,
        *,
        call_timeout_seconds: float = limits.RPC_CALL_TIMEOUT_SECONDS,
        connect_wait_seconds: float = 1.0,
    ) -> None:
        self._url = url
        self._namespace = namespace
        self._log = log
        self._call_timeout_seconds = call_timeout_seconds
        self._connect_wait_seconds = connect_wait_seconds
        self._connected = asyncio.Event()
        self._lost = asyncio.Event()
        self._waiting: set[asyncio.Future[Any]] = set()
        self._streams: dict[str, _Consumer] = {}
        self._hang_ups: set[asyncio.Task[None]] = set()
        self._connector: asyncio.Task[None] | None = None
        self._socket = socketio.AsyncClient(
            json=codec,
            reconnection=False,
            handle_sigint=False,
            websocket_extra_options={"max_msg_size": limits.RPC_MESSAGE_BYTES_MAX},
        )
        for event, handler in (
            ("disconnect", self._on_disconnect),
            ("stream-data", self._on_stream_data),
            ("stream-end", self._on_stream_end),
            ("stream-error", self._on_stream_error),
        ):
            self._socket.on(event, handler, namespace=namespace)

    @property
    def connected(self) -> bool:
        """Whether calls can be sent now."""
        return self._connected.is_set()

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._connector = asyncio.get_running_loop().create_task(self._stay_connected())

    async def close(self) -> None:
        """Give up the connection; waiting calls fail."""
        if self._connector is not None:
            self._connector.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._connector
        await self._socket.disconnect()
        self._on_disconnect()

    async def call(
        self,
        name: str,
        arguments: Sequence[Any],
        sub_level: Sequence[str] = (),
        request_uids: str | None = None,
    ) -> Any:
        """The result of a call; raises one of the errors of the module."""
        return decode_reply(await self._send(name, arguments, sub_level, request_uids))

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
        marker = await self.call(name, arguments, sub_level, request_uids)
        stream_id = stream_id_of(marker)
        if stream_id is None:
            raise RpcOutcomeUnknownError(f"{name}: the daemon answered without a stream")
        consumer = self._streams[stream_id]
        try:
            while (page := await consumer.next(self._call_timeout_seconds)) is not None:
                yield page
        finally:
            del self._streams[stream_id]
            consumer.release()
            if not consumer.ended:
                await self._hang_up(stream_id)

    async def _hang_up(self, stream_id: str) -> None:
        if not self.connected:
            return
        # A connection that breaks meanwhile ends the stream as well.
        with contextlib.suppress(socketio.exceptions.SocketIOError):
            await self._socket.emit(
                "stream-hangup", {"streamId": stream_id}, namespace=self._namespace
            )

    async def _send(
        self,
        name: str,
        arguments: Sequence[Any],
        sub_level: Sequence[str],
        request_uids: str | None,
    ) -> tuple[Any, ...]:
        """Send a call and wait for its acknowledgement's arguments."""
        await self._wait_for_connection()
        reply: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

        def acknowledged(*reply_arguments: Any) -> None:
            # Packets of a stream may be handled before the caller wakes up, so the stream must be
            # known from here on.
            stream_id = _stream_of(reply_arguments)
            if reply.done():
                if stream_id is not None:
                    self._abandon(stream_id)
                return
            if stream_id is not None:
                self._streams[stream_id] = _Consumer()
            reply.set_result(reply_arguments)

        self._waiting.add(reply)
        try:
            payload = call_arguments(name, arguments, sub_level, request_uids)
            await self._socket.emit(
                CALL_EVENT, payload, namespace=self._namespace, callback=acknowledged
            )
            return await self._answer_of(reply)
        except TimeoutError:
            raise RpcOutcomeUnknownError(
                f"{name}: no answer within {self._call_timeout_seconds:g} s"
            ) from None
        except socketio.exceptions.SocketIOError as error:
            raise RpcUnavailableError(f"{name}: {error}") from error
        finally:
            self._waiting.discard(reply)

    async def _answer_of(self, reply: asyncio.Future[tuple[Any, ...]]) -> tuple[Any, ...]:
        try:
            async with asyncio.timeout(self._call_timeout_seconds):
                return await reply
        except BaseException:
            # The answer may have come in the same turn in which the caller gave up.
            if reply.done() and not reply.cancelled() and reply.exception() is None:
                stream_id = _stream_of(reply.result())
                if stream_id is not None:
                    self._abandon(stream_id)
            raise

    def _abandon(self, stream_id: str) -> None:
        """Hang up a stream that nobody is going to read."""
        consumer = self._streams.pop(stream_id, None)
        if consumer is not None:
            consumer.release()
        task = asyncio.get_running_loop().create_task(self._hang_up(stream_id))
        self._hang_ups.add(task)
        task.add_done_callback(self._hang_ups.discard)

    async def _wait_for_connection(self) -> None:
        if self._connected.is_set():
            return
        try:
            async with asyncio.timeout(self._connect_wait_seconds):
                await self._connected.wait()
        except TimeoutError:
            raise RpcUnavailableError(f"{self._url}: not connected") from None

    async def _stay_connected(self) -> None:
        retry_seconds = _RETRY_SECONDS_MIN
        while True:
            self._lost.clear()
            try:
                await self._socket.connect(
                    self._url,
                    namespaces=[self._namespace],
                    transports=["websocket"],
                    wait_timeout=_CONNECT_TIMEOUT_SECONDS,
                )
            except Exception as error:
                # Whatever it was, giving up would leave this process useless for ever.
                if retry_seconds >= _RETRY_SECONDS_MAX:
                    self._log.warning("cannot reach the metadata daemon", reason=repr(error))
            else:
                retry_seconds = _RETRY_SECONDS_MIN
                if not self._lost.is_set():
                    self._connected.set()
                    self._log.info("connected to the metadata daemon", url=self._url)
                    # Not the library's wait: it sleeps a second after the connection is lost, and
                    # its tasks are cancelled with whoever waits.
                    await self._lost.wait()
                self._log.warning("lost the connection to the metadata daemon", url=self._url)
            # Jitter keeps many front-ends from coming back in step.
            await asyncio.sleep(retry_seconds * random.uniform(0.5, 1.0))  # noqa: S311
            retry_seconds = min(retry_seconds * 2, _RETRY_SECONDS_MAX)

    def _on_disconnect(self, *_reason: object) -> None:
        self._connected.clear()
        self._lost.set()
        for reply in self._waiting:
            if not reply.done():
                reply.set_exception(_lost_connection())
        for consumer in self._streams.values():
            consumer.fail(_lost_connection())

    async def _on_stream_data(self, payload: dict[str, Any]) -> tuple[None]:
        consumer = self._streams.get(payload["streamId"])
        if consumer is not None:
            await consumer.push(payload["data"])
        return (None,)

    async def _on_stream_end(self, payload: dict[str, Any]) -> tuple[None]:
        consumer = self._streams.get(payload["streamId"])
        if consumer is not None:
            consumer.end()
        return (None,)

    async def _on_stream_error(self, payload: dict[str, Any]) -> None:
        consumer = self._streams.get(payload["streamId"])
        if consumer is not None:
            consumer.fail(decode_error(payload.get("error")))


def _stream_of(reply_arguments: Sequence[Any]) -> str | None:
    """The ID of the stream that an acknowledgement announces, or None."""
    return stream_id_of(reply_arguments[1]) if len(reply_arguments) > 1 else None


def _lost_connection() -> RpcOutcomeUnknownError:
    return RpcOutcomeUnknownError("the connection to the metadata daemon was lost")


_PAGES_QUEUED_MAX = 2


class _Consumer:
    """Packets of one stream that wait to be read.

    A packet is acknowledged when there is room for it, so that a slow reader slows the daemon.
    """

    def __init__(self) -> None:
        self.ended = False
        self._queue: asyncio.Queue[list[Any] | Exception | None] = asyncio.Queue()
        self._room = asyncio.Semaphore(_PAGES_QUEUED_MAX)

    async def push(self, page: list[Any]) -> None:
        self._queue.put_nowait(page)
        await self._room.acquire()

    def end(self) -> None:
        self.ended = True
        self._queue.put_nowait(None)

    def fail(self, error: Exception) -> None:
        self.ended = True
        self._queue.put_nowait(error)

    def release(self) -> None:
        """Let packets that still wait for room be acknowledged: nobody will read them."""
        for _ in range(self._queue.qsize() + _PAGES_QUEUED_MAX):
            self._room.release()

    async def next(self, timeout_seconds: float) -> list[Any] | None:
        try:
            async with asyncio.timeout(timeout_seconds):
                entry = await self._queue.get()
        except TimeoutError:
            raise RpcOutcomeUnknownError("the stream stalled") from None
        if isinstance(entry, Exception):
            raise entry
        self._room.release()
        return entry
