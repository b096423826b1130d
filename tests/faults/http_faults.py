"""An HTTP server in front of another one, which misbehaves when a test says so.

It forwards requests and responses as they are, connections kept alive, until ``misbehave`` says
what is to go wrong with which of them, and at which byte. It runs in a thread with an event loop of
its own; what is called from tests returns when its effect is there. ``heal`` ends all of that:
requests that hang lose their connection then.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from types import TracebackType
from typing import Any

from tests.faults.proxy import Side

_BLOCK_BYTES = 1 << 16
_HEAD_BYTES_MAX = 1 << 16
_NO_BODY = (204, 304)


class Stage(Enum):
    """Where something goes wrong."""

    ACCEPT = auto()
    """As soon as there is a connection."""
    HEAD = auto()
    """When the head of the request is there."""
    REQUEST = auto()
    """After so many bytes of the body of the request have been forwarded."""
    ANSWER = auto()
    """After so many bytes of the response, its head among them: all has been done by then."""
    BODY = auto()
    """After so many bytes of the body of the response."""


class Act(Enum):
    """What goes wrong there."""

    HANG = auto()
    CUT = auto()
    """The connection ends, as if the server had closed it."""
    RESET = auto()
    FLIP = auto()
    """The next byte is another one, and all goes on."""


@dataclass(frozen=True)
class Misbehaviour:
    """``act`` at ``stage``, at byte ``at``, of each request that ``concerns`` says so of; or, with
    a ``status``, an error in place of what would have been done. ``longer`` is added to the
    length that responses say."""

    stage: Stage = Stage.HEAD
    act: Act = Act.HANG
    at: int = 0
    status: int = 0
    code: str = ""
    longer: int = 0
    concerns: Callable[[str, str], bool] = field(default=lambda _method, _target: True)


class HttpFaults:
    """Forwards to ``target_port``, both on loopback."""

    def __init__(self, target_port: int) -> None:
        self.target_port = target_port
        self.port = 0
        self.requests: list[tuple[str, str]] = []
        """Method and target of all that came."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._wrong: Misbehaviour | None = None
        self.pause_seconds = 0.0
        """How long it takes to pass on each block of a body, of 64 KiB at most."""
        self._healed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._deaf: list[socket.socket] = []

    def __enter__(self) -> HttpFaults:
        self._thread.start()
        self._run(self._listen())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.heal()
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def connections(self) -> int:
        """How many there are from clients."""
        return len(self._tasks)

    def misbehave(self, wrong: Misbehaviour) -> None:
        """From now on; connections that are kept alive end."""
        self._run(self._begin(wrong))

    def refuse(self) -> None:
        """Nobody listens on the port."""
        self._run(self._stop_listening())

    def be_deaf(self) -> None:
        """Connections are not even accepted: the first packet is not answered."""
        self._run(self._go_deaf())

    def heal(self) -> None:
        """All is well again."""
        self._run(self._heal())

    # --- In the loop's thread ------------------------------------------------------------------

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, reuse_address=True
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        await self._stop_listening()

    async def _stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _begin(self, wrong: Misbehaviour) -> None:
        await self._stop_listening()
        self._wrong = wrong
        self._healed.clear()
        await self._listen()

    async def _go_deaf(self) -> None:
        await self._stop_listening()
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(0)
        self._deaf = [listener]
        for _ in range(4):  # the queue of those that nobody accepts is full then
            caller = socket.socket()
            caller.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                caller.connect(("127.0.0.1", self.port))
            self._deaf.append(caller)

    async def _heal(self) -> None:
        self._wrong = None
        self._healed.set()
        for each in self._deaf:
            each.close()
        self._deaf = []
        if self._server is None:
            await self._listen()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Side(reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        servers: list[Side] = []
        try:
            with contextlib.suppress(asyncio.CancelledError, OSError, EOFError):
                await self._at(client, Stage.ACCEPT, "", "", 0)
                server = Side(*await asyncio.open_connection("127.0.0.1", self.target_port))
                servers.append(server)
                while await self._exchange(client, server):
                    pass
        finally:
            self._tasks.discard(task)
            for side in (client, *servers):
                side.close(reset=False)

    async def _exchange(self, client: Side, server: Side) -> bool:
        """One request and its response; whether another one may follow."""
        head = await _read_head(client.reader)
        if not head:
            return False
        method, target = head.split(b" ", 2)[:2]
        call = method.decode(), target.decode()
        self.requests.append(call)
        wrong = self._wrong_with(*call)
        await self._at(client, Stage.HEAD, *call, 0)
        length = _length(head)
        if wrong is not None and wrong.status:
            await self._refuse(client, head, wrong, length)
            return False
        await server.send(head)
        sending = asyncio.ensure_future(self._send_body(client, server, call, length))
        answering = asyncio.ensure_future(self._answer(client, server, call))
        both = [sending, answering]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and sending.exception() is not None:
                return False
            is_kept = await answering
            return is_kept and sending.done() and sending.exception() is None
        finally:
            for task in both:
                task.cancel()
            await asyncio.gather(*both, return_exceptions=True)

    def _wrong_with(self, method: str, target: str) -> Misbehaviour | None:
        wrong = self._wrong
        return wrong if wrong is not None and wrong.concerns(method, target) else None

    async def _at(self, client: Side, stage: Stage, method: str, target: str, at: int) -> None:
        """Do what is to go wrong just here, unless that goes on."""
        wrong = self._wrong_with(method, target)
        if wrong is None or wrong.stage is not stage or wrong.at != at or wrong.status:
            return
        if wrong.longer or wrong.act is Act.FLIP:
            return
        if wrong.act is Act.HANG:
            await self._healed.wait()
        client.close(reset=wrong.act is not Act.CUT)
        raise EOFError

    async def _send_body(
        self, client: Side, server: Side, call: tuple[str, str], length: int
    ) -> None:
        stream = _Stream(self, client, server, Stage.REQUEST, call)
        await stream.pass_on(b"")
        while length:
            data = await client.reader.read(min(length, _BLOCK_BYTES))
            if not data:
                raise EOFError
            length -= len(data)
            await stream.pass_on(data)

    async def _answer(self, client: Side, server: Side, call: tuple[str, str]) -> bool:
        whole = _Stream(self, client, client, Stage.ANSWER, call)
        while True:
            head = await _read_head(server.reader)
            if not head:
                return False
            status = int(head.split(b" ", 2)[1])
            if status >= 200:
                break
            await client.send(head)
        wrong = self._wrong_with(*call)
        left = 0 if call[0] == "HEAD" or status in _NO_BODY else _length(head)
        if wrong is not None and wrong.longer:
            said = b"\r\nContent-Length: %d\r\n" % (left + wrong.longer)
            head = re.sub(rb"(?i)\r\ncontent-length:[^\r]*\r\n", said, head)
        await whole.pass_on(head)
        body = _Stream(self, client, client, Stage.BODY, call)
        if b"chunked" in head.lower():
            while data := await server.reader.read(_BLOCK_BYTES):
                await body.pass_on(data, whole)
                if data.endswith(b"0\r\n\r\n"):
                    break
            return b"close" not in head.lower()
        await body.pass_on(b"")
        while left:
            data = await server.reader.read(min(left, _BLOCK_BYTES))
            if not data:
                return False
            left -= len(data)
            await body.pass_on(data, whole)
        return b"close" not in head.lower() and not (wrong is not None and wrong.longer)

    async def _refuse(self, client: Side, head: bytes, wrong: Misbehaviour, length: int) -> None:
        """Answer with an error, once all of the request is there."""
        if b"100-continue" not in head.lower():
            while length:
                data = await client.reader.read(min(length, _BLOCK_BYTES))
                if not data:
                    return
                length -= len(data)
        text = f"<Error><Code>{wrong.code}</Code><Message>as it was told</Message></Error>"
        body = b"" if head.startswith(b"HEAD") else text.encode()
        date = formatdate(usegmt=True)
        await client.send(
            f"HTTP/1.1 {wrong.status} So\r\nContent-Length: {len(body)}\r\nDate: {date}\r\n"
            "Content-Type: application/xml\r\nConnection: close\r\n\r\n".encode()
            + body
        )


class _Stream:
    """Bytes that are passed on, and what happens to them at one of them."""

    def __init__(
        self, faults: HttpFaults, client: Side, sink: Side, stage: Stage, call: tuple[str, str]
    ) -> None:
        self._faults = faults
        self._client = client
        self._sink = sink
        self._stage = stage
        self._call = call
        self._passed = 0

    async def pass_on(self, data: bytes, also: _Stream | None = None) -> None:
        """Pass on what comes next; ``also`` counts the same bytes."""
        if self._faults.pause_seconds and data and self._stage is not Stage.ANSWER:
            await asyncio.sleep(self._faults.pause_seconds)
        wrong = self._faults._wrong_with(*self._call)
        here = wrong is not None and wrong.stage is self._stage and not wrong.longer
        if wrong is None or not here or not self._passed <= wrong.at < self._passed + len(data):
            if also is not None:
                await also.pass_on(data)
            elif data:
                await self._sink.send(data)
            self._passed += len(data)
            if not data:
                await self._faults._at(self._client, self._stage, *self._call, self._passed)
            return
        before = wrong.at - self._passed
        if wrong.act is Act.FLIP:
            await self._sink.send(data[:before] + bytes([data[before] ^ 0x20]) + data[before + 1 :])
            self._passed += len(data)
            return
        await self._sink.send(data[:before])
        await self._faults._at(self._client, self._stage, *self._call, wrong.at)


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    """A head, empty at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""


def _length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length:\s*([0-9]+)", head)
    return int(found[1]) if found else 0
