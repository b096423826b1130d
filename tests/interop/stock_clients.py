"""Two Socket.IO clients that others wrote, behind one interface.

``PythonClient`` is python-socketio's, ``NodeClient`` socket.io-client 4 in a process of Node.js
(node/bridge.js). Neither knows anything of the RPC but event names and acknowledgements.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import socketio

from tests.interop.daemons import MetadataProcess
from tests.interop.raw_client import DEADLINE_SECONDS, NAMESPACE
from tests.servers import REPOSITORY

NODE_MODULES = REPOSITORY / ".build" / "node" / "node_modules"
BRIDGE = Path(__file__).parent / "node" / "bridge.js"
STREAM_EVENTS = ("stream-data", "stream-end", "stream-error")


class RefusedError(Exception):
    """The server has not let the client in; its reason."""


@dataclass(frozen=True)
class StreamEvent:
    """A packet of a stream: the name of its event, and its payload."""

    name: str
    payload: Any


class StockClient(ABC):
    """A connected client."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[StreamEvent] = asyncio.Queue()

    @abstractmethod
    async def emit_acknowledged(self, *arguments: Any) -> list[Any]:
        """Emit a ``call`` event with these arguments; those of its acknowledgement."""

    @abstractmethod
    async def emit(self, event: str, payload: Any) -> None:
        """Emit an event that is not acknowledged."""

    @abstractmethod
    async def acknowledge(self, on: bool) -> None:
        """Whether packets of streams are acknowledged from now on; at first they are."""

    @abstractmethod
    async def until_websocket(self) -> None:
        """Wait until the connection is a websocket."""

    async def reply(self, name: str, arguments: list[Any], sub: list[str]) -> list[Any]:
        """The arguments that acknowledge a call."""
        return await self.emit_acknowledged(name, {"rpcArgs": arguments, "subLevel": sub})

    async def result(self, name: str, arguments: list[Any], sub: list[str]) -> Any:
        """The result of a call, which must not fail."""
        error, result = await self.reply(name, arguments, sub)
        assert error is None
        return result

    async def error(self, name: str, arguments: list[Any], sub: list[str]) -> dict[str, Any]:
        """The error of a call, which must be the only argument of its acknowledgement."""
        (error,) = await self.reply(name, arguments, sub)
        assert isinstance(error, dict)
        return error

    async def begin_stream(self, options: dict[str, Any] | None, sub: list[str]) -> str:
        marker = await self.result("createReadStream", [options], sub)
        assert (marker["readable"], marker["writable"]) == (True, False)
        stream_id: str = marker["$streamId"]
        return stream_id

    async def next_event(self) -> StreamEvent:
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await self._events.get()

    async def items(self, options: dict[str, Any] | None, sub: list[str]) -> list[Any]:
        """All items of a stream."""
        stream_id = await self.begin_stream(options, sub)
        items: list[Any] = []
        while (event := await self.next_event()).name == "stream-data":
            assert event.payload["streamId"] == stream_id
            items += event.payload["data"]
        assert event == StreamEvent("stream-end", {"streamId": stream_id})
        return items

    async def hang_up(self, stream_id: str) -> None:
        await self.emit("stream-hangup", {"streamId": stream_id})


class PythonClient(StockClient):
    """python-socketio's client."""

    def __init__(self, namespace: str) -> None:
        super().__init__()
        self._namespace = namespace
        self._acknowledging = asyncio.Event()
        self._acknowledging.set()
        self._socket = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        for name in STREAM_EVENTS:
            self._socket.on(name, self._handler(name), namespace=namespace)

    def _handler(self, name: str) -> Any:
        async def handle(payload: Any) -> tuple[None]:
            self._events.put_nowait(StreamEvent(name, payload))
            # The library acknowledges when the handler returns.
            await self._acknowledging.wait()
            return (None,)

        return handle

    @classmethod
    @asynccontextmanager
    async def connected(
        cls,
        url: str,
        transports: list[str],
        namespace: str = NAMESPACE,
        auth: dict[str, Any] | None = None,
    ) -> AsyncIterator[PythonClient]:
        client = cls(namespace)
        reasons: list[dict[str, Any]] = []
        client._socket.on("connect_error", reasons.append, namespace=namespace)
        try:
            await client._socket.connect(
                url,
                auth=auth,
                namespaces=[namespace],
                transports=transports,
                wait_timeout=DEADLINE_SECONDS,
            )
        except socketio.exceptions.ConnectionError as error:
            raise RefusedError(reasons[0]["message"] if reasons else str(error)) from error
        try:
            yield client
        finally:
            client._acknowledging.set()
            # Without abort, the library waits for the answer to its last poll, half a minute.
            await client._socket.eio.disconnect(abort=True)

    async def emit_acknowledged(self, *arguments: Any) -> list[Any]:
        reply: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        await self._socket.emit(
            "call",
            tuple(arguments),
            namespace=self._namespace,
            callback=lambda *values: reply.set_result(list(values)),
        )
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await reply

    async def emit(self, event: str, payload: Any) -> None:
        await self._socket.emit(event, payload, namespace=self._namespace)

    async def acknowledge(self, on: bool) -> None:
        if on:
            self._acknowledging.set()
        else:
            self._acknowledging.clear()

    async def until_websocket(self) -> None:
        assert self._socket.transport() == "websocket"


class NodeClient(StockClient):
    """socket.io-client in Node.js."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        super().__init__()
        self._process = process
        self._replies: dict[int, asyncio.Future[list[Any]]] = {}
        self._last_id = 0
        self._connected = asyncio.Event()
        self._upgraded = asyncio.Event()
        self._refusal: str | None = None
        self._reader = asyncio.create_task(self._read())

    @classmethod
    @asynccontextmanager
    async def connected(
        cls,
        url: str,
        transports: list[str],
        namespace: str = NAMESPACE,
        auth: dict[str, Any] | None = None,
    ) -> AsyncIterator[NodeClient]:
        process = await asyncio.create_subprocess_exec(
            node(),
            str(BRIDGE),
            url + namespace,
            ",".join(transports),
            json.dumps(auth or {}),
            env={"NODE_PATH": str(NODE_MODULES)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**26,
        )
        client = cls(process)
        try:
            async with asyncio.timeout(DEADLINE_SECONDS):
                await client._connected.wait()
            if client._refusal is not None:
                raise RefusedError(client._refusal)
            yield client
        finally:
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(DEADLINE_SECONDS):
                await client._reader
                await process.wait()

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            told = json.loads(line)
            match told["event"]:
                case "ack":
                    self._replies.pop(told["id"]).set_result(told["arguments"])
                case "connect" | "upgrade":
                    self._connected.set()
                    if told["transport"] == "websocket":
                        self._upgraded.set()
                case "disconnect":
                    pass
                case "problem":
                    self._refusal = told["message"]
                    self._connected.set()
                case name:
                    self._events.put_nowait(StreamEvent(name, told["payload"]))

    async def _tell(self, **told: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told).encode() + b"\n")
        await self._process.stdin.drain()

    async def emit_acknowledged(self, *arguments: Any) -> list[Any]:
        self._last_id += 1
        number = self._last_id
        reply: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._replies[number] = reply
        await self._tell(id=number, do="emit", event="call", arguments=arguments, ack=True)
        async with asyncio.timeout(DEADLINE_SECONDS):
            return await reply

    async def emit(self, event: str, payload: Any) -> None:
        await self._tell(do="emit", event=event, arguments=[payload])

    async def acknowledge(self, on: bool) -> None:
        await self._tell(do="acknowledge", on=on)

    async def until_websocket(self) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await self._upgraded.wait()


CLIENTS: dict[str, Callable[..., AbstractAsyncContextManager[StockClient]]] = {
    "python": PythonClient.connected,
    "node": NodeClient.connected,
}
TRANSPORTS = {
    "from-polling": ["polling", "websocket"],
    "websocket": ["websocket"],
}
KINDS = [(kind, way) for kind in CLIENTS for way in TRANSPORTS]


def connect(
    kind: str,
    daemon: MetadataProcess,
    transports: list[str],
    namespace: str = NAMESPACE,
    auth: dict[str, Any] | None = None,
) -> AbstractAsyncContextManager[StockClient]:
    """A client of one kind, connected until the end of the block; raises RefusedError."""
    return CLIENTS[kind](daemon.url, transports, namespace, auth)


def node() -> str:
    """The program ``node`` of the environment that runs the tests."""
    program = shutil.which("node", path=str(Path(sys.executable).parent)) or shutil.which("node")
    assert program is not None, "node is missing: install the project's [dev] dependencies"
    assert (NODE_MODULES / "socket.io-client").is_dir(), (
        f"{NODE_MODULES} has no socket.io-client: run `make clients`"
    )
    return program
