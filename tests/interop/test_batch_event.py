"""The ``batch`` event: several calls in one event, over both shells, and how our client uses it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import socketio

from s3front.rpc.rpc_client import RpcClient, RpcUnavailableError
from shared import limits
from shared.rpc.envelope import RemoteError, clock_ms
from tests.interop.daemons import MetadataProcess
from tests.interop.proxy import Proxy, proxy_of
from tests.interop.raw_client import NAMESPACE
from tests.interop.test_lean_server import local_daemon
from tests.interop.test_rpc_client import client_of, fill, read_all
from tests.unit.dmd.metadata.support import until


class Stock:
    """python-socketio's client, over either transport."""

    def __init__(self, socket: socketio.AsyncClient) -> None:
        self._socket = socket

    async def batch(self, argument: Any) -> Any:
        """What acknowledges a batch event."""
        return await self._socket.call("batch", argument, namespace=NAMESPACE, timeout=20)


@pytest.fixture(params=["polling", "websocket"])
async def stock(request: pytest.FixtureRequest, daemon: MetadataProcess) -> AsyncIterator[Stock]:
    socket = socketio.AsyncClient(reconnection=False, handle_sigint=False)
    await socket.connect(daemon.url, namespaces=[NAMESPACE], transports=[request.param])
    yield Stock(socket)
    await socket.eio.disconnect(abort=True)


def call(name: str, arguments: list[Any], sub: list[str]) -> list[Any]:
    return [name, {"rpcArgs": arguments, "subLevel": sub}]


# -- The event ----------------------------------------------------------------------------------


async def test_each_call_of_a_batch_is_answered_in_its_place(stock: Stock, sub: list[str]) -> None:
    assert (
        await stock.batch([call("put", [key, key * 2, {}], sub) for key in "abc"])
        == [[None, None]] * 3
    )
    answers = await stock.batch([call("get", [key, {}], sub) for key in "axc"])
    assert answers[0] == [None, "aa"]
    assert answers[1][0]["type"] == "ObjNotFound"
    assert answers[2] == [None, "cc"]


async def test_the_calls_of_a_batch_take_effect_in_order(stock: Stock, sub: list[str]) -> None:
    create = {"requires": [{"subLevel": sub, "key": "k", "absent": True}]}
    put = {"type": "put", "subLevel": sub, "key": "k", "value": "v"}
    answers = await stock.batch(
        [
            call("batch", [[put], create], []),
            call("batch", [[put], create], []),
            call("del", ["k"], sub),
            call("batch", [[put], create], []),
        ]
    )
    assert answers[0][0] is None
    assert answers[1][0]["type"] == "PreconditionFailed"
    assert answers[2] == [None, None]
    assert answers[3][0] is None
    assert answers[3][1]["revisions"][0] > answers[0][1]["revisions"][0]


async def test_a_call_that_is_wrong_fails_alone(stock: Stock, sub: list[str]) -> None:
    answers = await stock.batch([5, [], ["get"], ["unknown", {}], call("getUUID", [], [])])
    assert [answer[0] and answer[0]["type"] for answer in answers] == ["InvalidArgument"] * 4 + [
        None
    ]


@pytest.mark.parametrize("argument", [None, 5, {}, "x", [[]] * (limits.RPC_BATCH_CALLS_MAX + 1)])
async def test_what_is_no_batch_is_one_error(stock: Stock, argument: Any) -> None:
    error = await stock.batch(argument)
    assert error["type"] == "InvalidArgument"


async def test_an_empty_batch_has_an_empty_answer(stock: Stock) -> None:
    assert await stock.batch([]) == []


async def test_a_stream_does_not_begin_in_a_batch(stock: Stock, sub: list[str]) -> None:
    (answer,) = await stock.batch([call("createReadStream", [{}], sub)])
    assert answer[0]["type"] == "InvalidArgument"


async def test_reads_that_do_not_fit_into_a_message_are_to_be_asked_again(sub: list[str]) -> None:
    async with local_daemon(message_bytes_max=20_000) as (daemon, _):
        url = f"http://127.0.0.1:{daemon.port}"
        async with client_of(url, connect_wait_seconds=10) as client:
            await client.call("put", ["k", "x" * 5000, {}], sub)
            outcomes = await asyncio.gather(
                *(client.call("get", ["k"], sub) for _ in range(10)), return_exceptions=True
            )
    assert outcomes[0] == "x" * 5000
    errors = [outcome for outcome in outcomes if isinstance(outcome, RemoteError)]
    assert {(error.type, error.code) for error in errors} == {("SlowDown", 503)}
    assert 0 < len(errors) < 10


async def test_what_does_not_fit_into_a_message_of_the_daemon_travels_apart(sub: list[str]) -> None:
    async with local_daemon(message_bytes_max=20_000) as (daemon, _):
        url = f"http://127.0.0.1:{daemon.port}"
        async with client_of(url, connect_wait_seconds=10) as client:
            values = {str(number): "x" * 5000 for number in range(10)}
            await asyncio.gather(*(client.call("put", [*item, {}], sub) for item in values.items()))
            assert [await client.call("get", [key], sub) for key in values] == [*values.values()]
            with pytest.raises(RpcUnavailableError, match="larger than a message may be"):
                await client.call("put", ["k", "x" * 20_000, {}], sub)


# -- How our client uses it -----------------------------------------------------------------------


@pytest.fixture
async def proxy(daemon: MetadataProcess) -> AsyncIterator[Proxy]:
    async with proxy_of(daemon) as made:
        yield made


@pytest.fixture
async def client(proxy: Proxy) -> AsyncIterator[RpcClient]:
    async with client_of(proxy.url, connect_wait_seconds=10, call_timeout_seconds=10) as made:
        await made.call("getUUID", [])
        yield made


def events_of(frames: list[str]) -> list[list[Any]]:
    """The events among frames, as their arrays."""
    start = f"42{NAMESPACE},"
    return [json.loads(frame[frame.index("[") :]) for frame in frames if frame.startswith(start)]


async def test_the_calls_of_a_turn_are_two_events(
    client: RpcClient, proxy: Proxy, sub: list[str]
) -> None:
    proxy.to_daemon.clear()
    names = [str(number) for number in range(20)]
    await asyncio.gather(
        *(client.call("put", [name, name, {}], sub) for name in names),
        *(client.call("getMany", [[{"subLevel": sub, "key": name}]]) for name in names),
    )
    events = events_of(proxy.to_daemon)
    assert [[name for name, _ in event[1]] for event in events] == [["getMany"] * 20, ["put"] * 20]
    assert await asyncio.gather(*(client.call("get", [name], sub) for name in names)) == names


async def test_a_read_does_not_wait_for_the_mutations_of_its_turn(
    client: RpcClient, proxy: Proxy, sub: list[str]
) -> None:
    await client.call("put", ["k", "old"], sub)
    # What answers the puts is held back, as if their commit took long.
    proxy.held = lambda frame: frame.startswith("43") and "null,null" in frame
    puts = [asyncio.create_task(client.call("put", ["k", "new"], sub)) for _ in range(3)]
    reads = await asyncio.gather(client.call("get", ["k"], sub), client.call("getUUID", []))
    assert reads[0] in {"old", "new"}
    assert not any(put.done() for put in puts)
    await until(lambda: bool(proxy.waiting))
    await proxy.release()
    assert await asyncio.gather(*puts) == [None] * 3


async def test_streams_begin_beside_a_batch(client: RpcClient, sub: list[str]) -> None:
    await fill(client, sub, ["a", "b"])
    found = await asyncio.gather(
        client.call("get", ["a"], sub), read_all(client, sub), client.call("get", ["b"], sub)
    )
    assert list(found) == ["v", ["a", "b"], "v"]


async def test_mutations_alone_have_an_operation_id_each_its_own(
    client: RpcClient, proxy: Proxy, sub: list[str]
) -> None:
    proxy.to_daemon.clear()
    await asyncio.gather(*(client.call("put", ["k", "v"], sub) for _ in range(5)))
    await client.call("del", ["k"], sub)
    await client.call("getMany", [[]])
    calls = [
        params
        for event in events_of(proxy.to_daemon)
        for _, params in (event[1] if event[0] == "batch" else [event[1:]])
    ]
    ids = [params.get("operationId") for params in calls]
    assert len(set(ids)) == 7
    assert ids[-1] is None
    # The daemon runs on this machine, so its clock is ours.
    left = [params["notAfterMs"] - clock_ms() for params in calls[:-1]]
    assert all(5000 < milliseconds <= 10_000 for milliseconds in left)
