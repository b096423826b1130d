"""Our client of the metadata RPC against a server that others wrote, without our extensions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from s3front.rpc.rpc_client import RpcClient, RpcOutcomeUnknownError, RpcUnavailableError
from s3front.rpc.rpc_connection import RpcConnectError, connect
from shared.rpc.envelope import RemoteError
from tests.interop.foreign_daemon import ForeignDaemon, foreign_daemon
from tests.interop.test_rpc_client import client_of, read_all
from tests.unit.dmd.metadata.support import until

SUB = ["bucket"]
NAMES = [f"{number:05}" for number in range(500)]


@pytest.fixture
async def foreign() -> AsyncIterator[ForeignDaemon]:
    async with foreign_daemon() as running:
        yield running


@pytest.fixture
async def client(foreign: ForeignDaemon) -> AsyncIterator[RpcClient]:
    async with client_of(foreign.url, connect_wait_seconds=10, call_timeout_seconds=10) as made:
        yield made


async def test_records_are_written_read_and_removed(client: RpcClient) -> None:
    assert await client.call("put", ["k\0\U0001f600", '{"a":1}', {}], SUB) is None
    assert await client.call("get", ["k\0\U0001f600", {}], SUB, "aa:bb") == '{"a":1}'
    assert await client.call("del", ["k\0\U0001f600", {}], SUB) is None
    with pytest.raises(RemoteError) as caught:
        await client.call("get", ["k\0\U0001f600", {}], SUB)
    assert (caught.value.type, caught.value.code) == ("ObjNotFound", 404)


async def test_an_error_that_is_no_arsenal_error_is_one(client: RpcClient) -> None:
    with pytest.raises(RemoteError):
        await client.call("unheardOf", [], SUB)


async def test_many_calls_at_once_get_their_own_answers(client: RpcClient) -> None:
    await asyncio.gather(*(client.call("put", [name, name, {}], SUB) for name in NAMES))
    assert await asyncio.gather(*(client.call("get", [name], SUB) for name in NAMES)) == NAMES


async def test_calls_are_sent_as_the_original_knows_them(
    client: RpcClient, foreign: ForeignDaemon
) -> None:
    await asyncio.gather(*(client.call("put", [name, "v", {}], SUB, "uid") for name in "abc"))
    assert foreign.calls[-3:] == [
        ("put", {"rpcArgs": [name, "v", {}], "subLevel": SUB, "reqUids": "uid"}) for name in "abc"
    ]
    assert set(foreign.events) == {"connect", "call"}


async def test_a_value_of_a_mebibyte_is_kept(client: RpcClient) -> None:
    value = "é" * (512 * 1024 // 2)
    await client.call("put", ["k", value, {}], SUB)
    assert await client.call("get", ["k"], SUB) == value


async def test_a_stream_has_every_item_in_order(client: RpcClient) -> None:
    assert await read_all(client, SUB) == []
    await asyncio.gather(*(client.call("put", [name, "v", {}], SUB) for name in NAMES))
    assert await read_all(client, SUB) == NAMES
    assert await asyncio.gather(*(read_all(client, SUB) for _ in range(3))) == [NAMES] * 3


async def test_leaving_a_stream_early_hangs_it_up(
    client: RpcClient, foreign: ForeignDaemon
) -> None:
    await asyncio.gather(*(client.call("put", [name, "v", {}], SUB) for name in NAMES))
    async with aclosing(client.pages("createReadStream", [{}], SUB)) as pages:
        assert await anext(pages) == [{"key": NAMES[0], "value": "v"}]
    await until(lambda: bool(foreign.hung_up))


async def test_a_call_that_is_not_answered_has_an_unknown_outcome(foreign: ForeignDaemon) -> None:
    foreign.silent.add("put")
    async with client_of(foreign.url, connect_wait_seconds=10, call_timeout_seconds=0.3) as client:
        with pytest.raises(RpcOutcomeUnknownError, match=r"put: no answer within 0\.3 s"):
            await client.call("put", ["k", "v"], SUB)
        assert await client.call("getUUID", [])


async def test_a_mutation_is_not_repeated_where_that_could_do_it_twice(
    client: RpcClient, foreign: ForeignDaemon
) -> None:
    await client.call("getUUID", [])
    foreign.silent.add("put")
    call = asyncio.create_task(client.call("put", ["k", "v"], SUB))
    await until(lambda: any(name == "put" for name, _ in foreign.calls))
    for sid, _ in list(foreign.server.manager.get_participants(foreign.namespace, None)):
        await foreign.server.disconnect(sid, foreign.namespace)
    with pytest.raises(RpcOutcomeUnknownError):
        await call
    assert await client.call("getUUID", [])
    assert [name for name, _ in foreign.calls].count("put") == 1


class _Nobody:
    def on_ack(self, packet: object) -> None:
        raise AssertionError

    def on_event(self, connection: object, packet: object) -> None:
        raise AssertionError

    def on_lost(self, connection: object) -> None:
        """Expected when the test ends."""


async def test_an_unknown_namespace_is_refused(foreign: ForeignDaemon) -> None:
    with pytest.raises(RpcConnectError, match="namespace is refused"):
        await connect(foreign.url, "/unheard/of", _Nobody(), 5)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 404 Not Found\r\n\r\n", b"SSH-2.0\r\n\r\n", b""])
async def test_a_server_of_another_kind_is_not_used(answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        with pytest.raises(RpcConnectError):
            await connect(f"http://127.0.0.1:{port}", "/x", _Nobody(), 5)
        async with client_of(f"http://127.0.0.1:{port}", connect_wait_seconds=0.1) as client:
            with pytest.raises(RpcUnavailableError):
                await client.call("getUUID", [])
