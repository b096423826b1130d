"""Bytes beside calls, over the wire: our halves, and the clients and servers of python-socketio."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import socketio
from aiohttp import web

from dmd.rpc.dispatch import Dispatcher
from dmd.rpc.entrance import Entrance
from dmd.rpc.lean_server import LeanServer, message_budget
from dmd.rpc.polling import PollingShell
from s3front.rpc.rpc_client import RpcClient, RpcUnavailableError
from shared.daemon_secret import Gate
from shared.errors import ServiceError
from shared.rpc import websocket
from shared.rpc.attachments import placeholder
from shared.rpc.envelope import BATCH_EVENT_EXTENSION, BODIES_EXTENSION, Call
from shared.rpc.streams import StreamSettings
from tests.interop.raw_client import NAMESPACE
from tests.interop.test_lean_server import Plain, plain_client
from tests.interop.test_rpc_client import client_of
from tests.unit.dmd.metadata.support import RecordingLog, until

MESSAGE_BYTES_MAX = 1_000_000
EXTENSIONS = [BATCH_EVENT_EXTENSION, BODIES_EXTENSION]


class Echo:
    """Answers a call with what it has, each byte string reversed."""

    extensions = EXTENSIONS

    async def call(self, call: Call) -> Any:
        if call.name == "getManifest":
            return {"api": [], "extensions": self.extensions}
        if call.attachments is None:
            return "no way for attachments"
        found = [call.attachments.received(value) for value in call.arguments]
        if None in found:
            raise ServiceError("InvalidArgument", "an argument is no attachment")
        return {"back": [call.attachments.attach(data[::-1]) for data in found if data is not None]}


@asynccontextmanager
async def echo_server(service: Echo | None = None) -> AsyncIterator[tuple[str, LeanServer]]:
    """A daemon's port with both of its shells, in this process."""
    log = RecordingLog()
    dispatchers = {NAMESPACE: Dispatcher(service or Echo(), StreamSettings(), log)}
    budget = message_budget(MESSAGE_BYTES_MAX)
    lean = LeanServer(dispatchers, log, message_bytes_max=MESSAGE_BYTES_MAX, budget=budget)
    polling = PollingShell(dispatchers, MESSAGE_BYTES_MAX, Gate(), budget, 0.5)
    server = await asyncio.get_running_loop().create_server(
        lambda: Entrance(lean, polling, log), "127.0.0.1", 0
    )
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", lean
    finally:
        server.close()
        await lean.close(0.5)
        await polling.close()


@pytest.fixture
async def url() -> AsyncIterator[str]:
    async with echo_server() as (url, _):
        yield url


@pytest.fixture
async def client(url: str) -> AsyncIterator[RpcClient]:
    async with client_of(url, connect_wait_seconds=10) as connected:
        yield connected


async def echoed(client: RpcClient, *data: bytes, name: str = "get") -> Any:
    arguments = [placeholder(number) for number in range(len(data))]
    return await client.call(name, arguments, (), None, data)


# -- Between our halves -------------------------------------------------------------------------


async def test_bytes_go_there_and_come_back(client: RpcClient) -> None:
    large = os.urandom(200_000)
    assert await echoed(client, b"abc", b"", large) == {"back": [b"cba", b"", large[::-1]]}
    assert await echoed(client) == {"back": []}


async def test_calls_of_one_turn_share_the_attachments_of_their_events(client: RpcClient) -> None:
    wanted = [[os.urandom(number * 10) for _ in range(number % 4)] for number in range(100)]
    asked = [
        echoed(client, *data, name="put" if number % 2 else "get")
        for number, data in enumerate(wanted)
    ]
    for data, answer in zip(wanted, await asyncio.gather(*asked), strict=True):
        assert answer == {"back": [each[::-1] for each in data]}


async def test_a_daemon_without_the_extension_is_sent_none() -> None:
    class Plainer(Echo):
        extensions = [BATCH_EVENT_EXTENSION]  # noqa: RUF012  # as its parent has it

    async with (
        echo_server(Plainer()) as (url, _),
        client_of(url, connect_wait_seconds=10) as client,
    ):
        assert await echoed(client) == {"back": []}
        with pytest.raises(RpcUnavailableError):
            await echoed(client, b"abc")


# -- With python-socketio -----------------------------------------------------------------------


async def test_its_client_sends_and_takes_attachments(url: str) -> None:
    async with asyncio.timeout(20):
        socket = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        await socket.connect(url, namespaces=[NAMESPACE], transports=["websocket"])
        params = {"rpcArgs": [b"abc", b"x" * 70_000], "subLevel": []}
        answer = await socket.call("call", ("get", params), namespace=NAMESPACE)
        assert answer == (None, {"back": [b"cba", b"x" * 70_000]})
        calls = [["get", {"rpcArgs": [data], "subLevel": []}] for data in (b"ab", b"cd")]
        answers = await socket.call("batch", calls, namespace=NAMESPACE)
        assert answers == [[None, {"back": [b"ba"]}], [None, {"back": [b"dc"]}]]
        await socket.eio.disconnect(abort=True)


async def test_over_long_polling_there_are_none(url: str) -> None:
    """They would be base64 there, and the extension is not offered."""
    async with asyncio.timeout(20):
        socket = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        await socket.connect(url, namespaces=[NAMESPACE], transports=["polling"])
        params: dict[str, Any] = {"rpcArgs": [], "subLevel": []}
        answer = await socket.call("call", ("get", params), namespace=NAMESPACE)
        assert answer == (None, "no way for attachments")
        await socket.eio.disconnect(abort=True)


async def test_our_client_with_its_server() -> None:
    server = socketio.AsyncServer(async_mode="aiohttp")

    async def call(_sid: str, name: str, params: dict[str, Any]) -> Any:
        if name == "getManifest":
            return None, {"api": [], "extensions": [BODIES_EXTENSION]}
        return None, {"back": [data[::-1] for data in params["rpcArgs"]], "said": params}

    server.on("call", call, namespace=NAMESPACE)
    application = web.Application()
    server.attach(application)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        async with client_of(f"http://127.0.0.1:{port}", connect_wait_seconds=10) as client:
            answer = await echoed(client, b"abc", b"")
            assert answer["back"] == [b"cba", b""]
            assert answer["said"]["rpcArgs"] == [b"abc", b""]
    finally:
        await runner.cleanup()


# -- Clients that break the rules ---------------------------------------------------------------


def binary(client: Plain, data: bytes) -> None:
    client.writer.write(websocket.frame(websocket.BINARY, data, os.urandom(4)))


async def answers(client: Plain, number: int) -> bytes:
    """Read until the acknowledgement of this number has come; what came till then."""
    read = b""
    async with asyncio.timeout(20):
        while b",%d[" % number not in read:
            read += await client.reader.read(65536)
    return read


HEADS = f"451-{NAMESPACE},7", f"42{NAMESPACE},8"
CALL = HEADS[0] + '["call","get",{"rpcArgs":[{"_placeholder":true,"num":0}],"subLevel":[]}]'
PLAIN = HEADS[1] + '["call","get",{"rpcArgs":[],"subLevel":[]}]'


async def test_a_packet_whose_attachments_are_interrupted_is_dropped() -> None:
    async with echo_server() as (url, _), plain_client(int(url.rpartition(":")[2])) as client:
        client.send(CALL, PLAIN)
        binary(client, b"late, and of no packet")
        assert b",7[" not in await answers(client, 8)
        client.send(CALL, "3")  # a pong is no message of Socket.IO
        binary(client, b"abc")
        read = await answers(client, 7)
        while not read.endswith(b"cba"):
            read += await client.reader.readexactly(1)


async def test_what_is_attached_counts_as_a_message() -> None:
    async with echo_server() as (url, lean), plain_client(int(url.rpartition(":")[2])) as client:
        client.send(CALL.replace("451-", "4511-"))
        for _ in range(5):
            binary(client, bytes(MESSAGE_BYTES_MAX // 10))
        await until(lambda: lean.budget.taken >= MESSAGE_BYTES_MAX // 2)
        for _ in range(6):
            binary(client, bytes(MESSAGE_BYTES_MAX // 10))
        await client.until_closed()
        await until(lambda: not lean.connections)
        assert lean.budget.taken == 0
