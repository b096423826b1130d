"""What serving a namespace means, whatever carries the packets.

A service is anything with ``async call(Call) -> result``; a result with an attribute ``pages`` is
sent as a stream. The dispatcher decodes calls, encodes answers and errors, and keeps the streams
of each peer, which end with it. It knows no transport: the python-socketio shell
(``dmd.rpc.stock_server``) and the lean one (``dmd.rpc.lean_server``) give it their peers.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Protocol

import orjson

from shared import limits
from shared.errors import ServiceError
from shared.loop import eager
from shared.process.logs import EventLog
from shared.rpc import codec
from shared.rpc.attachments import Attachments
from shared.rpc.envelope import Call, encode_error, parse_batch, parse_call, stream_marker
from shared.rpc.streams import Producer, StreamSettings

_PACKET_HEAD_BYTES_MAX: Final = 256

Reply = tuple[Any, ...]
"""The arguments of an acknowledgement: ``(None, result)`` or ``(error,)``."""


class Service(Protocol):
    """What is served. A call is in no task until it waits a second time (``shared.loop.eager``)."""

    async def call(self, call: Call) -> Any:
        """The result; raises ServiceError."""


class Peer:
    """One client on one namespace. A shell says how to send to it.

    ``gone`` is true when the connection has ended.
    """

    def __init__(self) -> None:
        self.gone = False
        self.producers: dict[str, Producer] = {}

    async def emit(
        self, event: str, payload: dict[str, Any], on_ack: Callable[..., None] | None
    ) -> None:
        """Send an event."""
        raise NotImplementedError

    async def ready(self) -> None:
        """Wait until the client takes what was sent to it, or is gone."""

    def forget(self, producer: Producer) -> None:
        """Wait for no more acknowledgements of a stream."""
        raise NotImplementedError

    def leave(self) -> None:
        """The connection has ended."""
        self.gone = True
        for producer in self.producers.values():
            producer.hang_up()

    def hang_up(self, payload: Any) -> None:
        """The consumer of a stream wants no more of it."""
        stream_id = payload.get("streamId") if isinstance(payload, dict) else None
        producer = self.producers.get(stream_id) if isinstance(stream_id, str) else None
        if producer is not None:
            producer.hang_up()


class Dispatcher:
    """One service on one namespace, for all its peers."""

    _parse = staticmethod(parse_call)
    """Reads a call. A namespace whose calls are written otherwise has its own."""

    def __init__(
        self,
        service: Service,
        settings: StreamSettings,
        log: EventLog,
        message_bytes_max: int = limits.RPC_MESSAGE_BYTES_MAX,
    ) -> None:
        self._service = service
        self._settings = settings
        self._log = log
        self._reply_bytes_max = message_bytes_max - _PACKET_HEAD_BYTES_MAX
        self._streams: set[asyncio.Task[None]] = set()
        self._calls = 0
        self._idle = asyncio.Event()
        self._draining = False

    async def answer(
        self,
        peer: Peer,
        arguments: Sequence[Any],
        attachments: Attachments | None = None,
        *,
        streams: bool = True,
    ) -> Reply:
        """Answer a ``call`` event, which came with ``attachments`` if it came in a way that has
        them; those of the answer are there afterwards.

        The packets of a stream follow in a task of their own: the caller sends the answer before
        it lets that run, because a consumer drops packets of streams that it does not know yet.
        Without ``streams``, a call that begins one is refused.
        """
        call: Call | None = None
        self._calls += 1
        try:
            call = self._parse(arguments, peer, attachments)
            if self._draining:
                raise ServiceError("ServiceUnavailable", "the daemon is stopping")
            result = await self._service.call(call)
            pages = getattr(result, "pages", None)
            if pages is not None:
                if not streams:
                    raise ServiceError("InvalidArgument", "a stream cannot begin in a batch")
                result = self._start_stream(peer, pages)
        except ServiceError as error:
            self._log_call(call, error.code)
            return (encode_error(error),)
        except Exception as error:
            self._log.error("a call failed", method=call and call.name, exc_info=error)
            return (encode_error(ServiceError("InternalError")),)
        finally:
            self._call_ended()
        if self._log.shows_debug:
            self._log_call(call, None)
        return None, result

    async def answer_batch(
        self, peer: Peer, arguments: Sequence[Any], attachments: Attachments | None = None
    ) -> Reply:
        """Answer a ``batch`` event: one argument, the array of what each call would be answered.

        All calls begin, in order, before any of them waits, so that their mutations come to the
        writer together.
        """
        try:
            calls = parse_batch(arguments, limits.RPC_BATCH_CALLS_MAX)
        except ServiceError as error:
            return (encode_error(error),)
        replies: list[bytes] = [b""] * len(calls)

        async def answer(index: int, call: list[Any]) -> None:
            reply = await self.answer(peer, call, attachments, streams=False)
            replies[index] = self.encode(reply)

        self._calls += 1
        try:
            begun = [eager.start(answer(index, call)) for index, call in enumerate(calls)]
            waiting = [task for task in begun if task is not None]
            if waiting:
                await asyncio.gather(*waiting)
        finally:
            self._call_ended()
        return (_fitting(replies, self._reply_bytes_max),)

    def encode(self, reply: Reply) -> bytes:
        """The JSON text of an acknowledgement's arguments, or of an error when it is too large."""
        text = codec.encode(reply)
        if len(text) <= self._reply_bytes_max:
            return text
        error = ServiceError("InternalError", "the answer is larger than a message may be")
        return codec.encode((encode_error(error),))

    def _call_ended(self) -> None:
        self._calls -= 1
        if self._draining and not self._calls:
            self._idle.set()

    async def drain(self, seconds: float) -> None:
        """Refuse calls from now on, and wait for those under way and for the streams.

        Whatever is not done after so long is left to itself.
        """
        self._draining = True
        deadline = asyncio.get_running_loop().time() + seconds
        try:
            async with asyncio.timeout_at(deadline):
                while self._calls:
                    self._idle.clear()
                    await self._idle.wait()
                while self._streams:
                    await asyncio.wait(self._streams)
        except TimeoutError:
            self._log.warning("stopping before everything was answered", calls=self._calls)

    def _start_stream(self, peer: Peer, pages: Iterator[list[Any]]) -> dict[str, Any]:
        """The marker of a stream whose packets follow."""
        if len(peer.producers) >= limits.RPC_STREAMS_MAX:
            raise ServiceError("SlowDown", "too many streams of one connection")
        stream_id = str(uuid.uuid4())
        if peer.gone:  # it left while its call ran
            return stream_marker(stream_id)
        producer = Producer(stream_id, pages, peer, self._settings)
        peer.producers[stream_id] = producer

        async def run() -> None:
            try:
                await producer.run()
            except Exception as error:
                self._log.error("a stream failed", exc_info=error)
                await producer.fail(ServiceError("InternalError"))
            finally:
                peer.producers.pop(stream_id, None)
                peer.forget(producer)

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


def _fitting(replies: list[bytes], bytes_max: int) -> list[orjson.Fragment]:
    """The replies of a batch, those beyond ``bytes_max`` altogether replaced by an error.

    Only reads have large results, and can be asked again.
    """
    too_much = codec.encode((encode_error(ServiceError("SlowDown")),))
    left = bytes_max - len(replies) * len(too_much)
    fitting = []
    for text in replies:
        if len(text) > len(too_much):
            if left < len(text):
                fitting.append(orjson.Fragment(too_much))
                continue
            left -= len(text)
        fitting.append(orjson.Fragment(text))
    return fitting
