"""The lean shell among clients that are slow, silent, many, broken or hostile."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dmd.metadata.daemon import MetadataDaemon, MetadataSettings
from dmd.rpc.lean_server import LeanServer
from shared import limits
from shared.rpc import websocket
from shared.rpc.streams import StreamSettings
from tests.interop.daemons import MetadataProcess, metadata_process
from tests.interop.raw_client import NAMESPACE, RawClient, raw_client
from tests.interop.test_rpc_client import client_of, read_all
from tests.servers import process_tree
from tests.unit.dmd.metadata.support import RecordingLog, until

SOAK = os.environ.get("TWOFOLD_SOAK") == "1"
PACKETS = 5_000_000 if SOAK else 25_000
IDLE_CLIENTS = 1000
MIB = 1024 * 1024
TARGET = "/socket.io/?EIO=4&transport=websocket"


@asynccontextmanager
async def local_daemon(
    message_bytes_max: int = limits.RPC_MESSAGE_BYTES_MAX,
) -> AsyncIterator[tuple[MetadataDaemon, RecordingLog]]:
    """A daemon inside this process, so that its limits can be changed."""
    log = RecordingLog()
    settings = MetadataSettings(
        None, "127.0.0.1", 0, StreamSettings(), message_bytes_max=message_bytes_max
    )
    daemon = await MetadataDaemon.start(settings, log, lambda error: pytest.fail(str(error)))
    try:
        yield daemon, log
    finally:
        await daemon.close()


def lean_of(daemon: MetadataDaemon) -> LeanServer:
    return daemon._network._lean


class Plain:
    """A websocket that does no more than it is told: it answers no ping and reads no answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *packets: str) -> None:
        frames = (websocket.frame(websocket.TEXT, p.encode(), os.urandom(4)) for p in packets)
        self.writer.write(b"".join(frames))

    async def read_to_the_end(self) -> None:
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    async def until_closed(self) -> None:
        async with asyncio.timeout(20):
            await self.read_to_the_end()


@asynccontextmanager
async def plain_client(port: int, *, join: bool = True) -> AsyncIterator[Plain]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=65536)
    request, _ = websocket.request("localhost", TARGET, os.urandom(16))
    writer.write(request)
    await reader.readuntil(b"\r\n\r\n")
    client = Plain(reader, writer)
    if join:
        client.send(f"40{NAMESPACE},")
    try:
        yield client
    finally:
        writer.close()


def call_frame(number: int, name: str, arguments: Any, sub: list[str]) -> str:
    params = json.dumps({"rpcArgs": arguments, "subLevel": sub})
    return f'42{NAMESPACE},{number}["call","{name}",{params}]'


# -- Clients that are not there -------------------------------------------------------------------


async def test_a_client_that_answers_no_ping_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RPC_PING_INTERVAL_SECONDS", 0.3)
    monkeypatch.setattr(limits, "RPC_PING_TIMEOUT_SECONDS", 0.2)
    async with (
        local_daemon() as (daemon, _),
        plain_client(daemon.port) as silent,
        client_of(f"http://127.0.0.1:{daemon.port}") as other,
    ):
        assert await other.call("getUUID", [])
        await silent.until_closed()
        await until(lambda: len(lean_of(daemon).connections) == 1)
        assert other.connected
        assert await other.call("getUUID", [])


async def test_a_message_that_trickles_ends_its_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each byte is a sign of life, and yet the message would never be there."""
    monkeypatch.setattr(limits, "RPC_PING_INTERVAL_SECONDS", 0.3)
    monkeypatch.setattr(limits, "RPC_PING_TIMEOUT_SECONDS", 0.2)
    async with local_daemon() as (daemon, _), plain_client(daemon.port) as client:
        client.writer.write(head_of_a_message(1_000_000) + bytes(1000))
        ended = asyncio.ensure_future(client.until_closed())
        while not ended.done():
            client.writer.write(b"x")
            await asyncio.wait([ended], timeout=0.05)
        await ended
        await until(lambda: not lean_of(daemon).connections)


async def test_messages_under_way_share_what_a_daemon_has_for_them() -> None:
    size = 90_000_000
    async with local_daemon() as (daemon, _), plain_client(daemon.port) as first:
        first.writer.write(head_of_a_message(size))
        await until(lambda: lean_of(daemon).budget.taken > size)
        async with plain_client(daemon.port) as second:
            second.writer.write(head_of_a_message(size))
            await second.until_closed()
        async with client_of(f"http://127.0.0.1:{daemon.port}") as other:
            assert await other.call("getUUID", [])
        first.writer.close()
        await until(lambda: lean_of(daemon).budget.taken == 0)


def head_of_a_message(size: int) -> bytes:
    """What announces a message, and none of it."""
    return b"\x81\xff" + size.to_bytes(8, "big") + os.urandom(4)


async def test_a_connection_without_a_request_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "RPC_REQUEST_SECONDS_MAX", 0.2)
    async with local_daemon() as (daemon, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
        writer.write(b"GET /socket.io/?EIO=4&transport=webs")
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()


async def test_a_thousand_idle_clients_cost_little(daemon: MetadataProcess) -> None:
    before = resident_bytes(daemon)
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(IDLE_CLIENTS):
            await stack.enter_async_context(plain_client(daemon.port))
        async with raw_client(daemon.port) as raw:
            for number in range(100):
                assert await raw.result(number, "getUUID", [], [])
        assert resident_bytes(daemon) - before < 40 * MIB
    async with raw_client(daemon.port) as raw:
        assert await raw.result(1, "getUUID", [], [])


def resident_bytes(daemon: MetadataProcess) -> int:
    """RssAnon of the service, which is the child of the process that was started."""
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{service_pid(daemon)}/status").read_text().splitlines()
    )
    return int(fields["RssAnon"].split()[0]) * 1024


def service_pid(daemon: MetadataProcess) -> int:
    """The process that serves."""
    return (process_tree(daemon.process.pid) or [daemon.process.pid])[-1]


# -- Clients that do not take their answers -------------------------------------------------------


async def test_calls_of_a_client_that_takes_no_answers_are_not_read(
    daemon: MetadataProcess, raw: RawClient, sub: list[str]
) -> None:
    await raw.result(1, "put", ["k", "x" * MIB, {}], sub)
    before = resident_bytes(daemon)
    async with plain_client(daemon.port) as greedy:
        greedy.send(*(call_frame(number, "get", ["k", {}], sub) for number in range(2000)))
        for number in range(100):
            assert await raw.result(number, "getUUID", [], [])
        assert resident_bytes(daemon) - before < 100 * MIB
        # Nothing was lost meanwhile: the answers come when they are taken.
        taken = 0
        async with asyncio.timeout(60):
            while taken < 2000 * MIB:
                taken += len(await greedy.reader.read(MIB))


async def test_a_client_of_many_calls_does_not_keep_another_waiting() -> None:
    count = 5000
    answered = 0

    async def take_answers(busy: Plain) -> None:
        nonlocal answered
        received = b""
        while answered < count:
            received += await busy.reader.read(65536)
            answered = received.count(b"[null,")

    async with (
        local_daemon() as (daemon, _),
        raw_client(daemon.port) as raw,
        plain_client(daemon.port) as busy,
    ):
        busy.send(*(call_frame(number, "getUUID", [], []) for number in range(count)))
        taking = asyncio.create_task(take_answers(busy))
        await until(lambda: answered > 0)
        assert await raw.result(1, "getUUID", [], [])
        assert answered < count / 2
        await asyncio.wait_for(taking, 20)


async def test_streams_of_a_client_that_takes_nothing_wait(
    daemon: MetadataProcess, raw: RawClient, sub: list[str]
) -> None:
    for number in range(8):
        await raw.result(1, "put", [str(number), "x" * 250_000, {}], sub)
    before = resident_bytes(daemon)
    async with plain_client(daemon.port) as greedy:
        greedy.send(
            *(
                call_frame(number, "createReadStream", [{}], sub)
                for number in range(limits.RPC_STREAMS_MAX)
            )
        )
        for number in range(100):
            assert await raw.result(number, "getUUID", [], [])
        assert resident_bytes(daemon) - before < 100 * MIB


async def test_a_client_has_so_many_streams_at_most(
    monkeypatch: pytest.MonkeyPatch, sub: list[str]
) -> None:
    monkeypatch.setattr(limits, "RPC_STREAMS_MAX", 3)
    async with local_daemon() as (daemon, _), raw_client(daemon.port) as raw:
        operations = [{"type": "put", "subLevel": sub, "key": "k", "value": "v"}]
        await raw.result(1, "batch", [operations], [])
        for number in range(4):
            await raw.call(number, "createReadStream", [{}], sub)
        answers = [await raw.next() for _ in range(4)]
    assert sum("$streamId" in answer for answer in answers) == 3
    assert sum("SlowDown" in answer for answer in answers) == 1


async def test_calls_beyond_those_that_may_wait_are_read_later(
    monkeypatch: pytest.MonkeyPatch, sub: list[str]
) -> None:
    monkeypatch.setattr(limits, "RPC_CALLS_WAITING_MAX", 4)
    async with local_daemon() as (daemon, _), raw_client(daemon.port) as raw:
        await asyncio.gather(*(raw.call(n, "put", [str(n), "v", {}], sub) for n in range(500)))
        answers = {await raw.next() for _ in range(500)}
    assert answers == {f"43{NAMESPACE},{number}[null,null]" for number in range(500)}


async def test_an_answer_that_is_larger_than_a_message_is_an_error(sub: list[str]) -> None:
    async with local_daemon(message_bytes_max=4000) as (daemon, _), raw_client(daemon.port) as raw:
        await raw.result(1, "put", ["k", "x" * 3000, {}], sub)
        await raw.call(2, "getMany", [[{"subLevel": sub, "key": "k"}] * 2], [])
        assert "larger than a message" in await raw.next()


# -- Clients that talk nonsense -------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw_frame",
    [
        websocket.frame(websocket.TEXT, b"2"),  # not masked
        b"\xff\xff" + bytes(20),
        bytes([0x81, 0xFF]) + (1 << 62).to_bytes(8, "big") + bytes(4),
    ],
)
async def test_a_frame_that_breaks_the_protocol_ends_its_connection_alone(
    daemon: MetadataProcess, raw: RawClient, raw_frame: bytes
) -> None:
    async with plain_client(daemon.port) as broken:
        broken.writer.write(raw_frame)
        await broken.until_closed()
    assert await raw.result(1, "getUUID", [], [])


@pytest.mark.parametrize(
    "packet",
    [
        "",
        "x",
        "4",
        "49",
        "451-[]",
        "42",
        "42[",
        f"42{NAMESPACE},[]",
        f"43{NAMESPACE},1",
        "40[",
        "2",
    ],
)
async def test_a_message_that_is_no_packet_is_dropped(raw: RawClient, packet: str) -> None:
    await raw.send(packet)
    await raw.socket.send_bytes(packet.encode())
    assert await raw.result(1, "getUUID", [], [])


async def test_pings_of_the_websocket_are_answered(daemon: MetadataProcess) -> None:
    async with aiohttp.ClientSession() as session:
        url = f"{daemon.url}{TARGET}"
        async with session.ws_connect(url, autoping=False) as connection:
            await connection.receive()
            await connection.ping(b"are you there")
            answer = await connection.receive()
    assert (answer.type, answer.data) == (aiohttp.WSMsgType.PONG, b"are you there")


async def test_a_namespace_is_left_and_joined_again(raw: RawClient, sub: list[str]) -> None:
    await raw.send(f"41{NAMESPACE},")
    await raw.call(1, "getUUID", [], sub)
    await raw.join()
    assert await raw.result(2, "getUUID", [], [])


async def test_a_web_page_of_elsewhere_is_refused(daemon: MetadataProcess) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(f"{daemon.url}{TARGET}", origin="http://elsewhere.example")


@pytest.mark.parametrize(
    "start",
    [b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"GET /socket.io/?" + b"x" * 100_000, b"\r\n" * 50],
)
async def test_a_request_of_any_other_kind_is_answered_or_dropped(
    daemon: MetadataProcess, raw: RawClient, start: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", daemon.port)
    with contextlib.suppress(ConnectionError):
        writer.write(start)
        writer.write_eof()
        async with asyncio.timeout(20):
            await reader.read()
    writer.close()
    assert await raw.result(1, "getUUID", [], [])


SEEDS = [
    "2",
    "3",
    "6",
    f"40{NAMESPACE},",
    "40",
    f'42{NAMESPACE},["stream-hangup",{{"streamId":"x"}}]',
    f"43{NAMESPACE},1[null]",
    *(
        call_frame(number, name, arguments, ["fuzz"])
        for number, (name, arguments) in enumerate(
            [
                ("put", ["k", "v", {}]),
                ("get", ["k", {}]),
                ("del", ["k", {}]),
                ("getManifest", []),
                ("getUUID", []),
                ("createReadStream", [{"gte": "a", "limit": 3}]),
                ("getMany", [[{"subLevel": ["fuzz"], "key": "k"}]]),
                ("batch", [[{"type": "put", "subLevel": ["fuzz"], "key": "k", "value": "v"}], {}]),
            ]
        )
    ),
]
ALPHABET = b'0123456{}[]",:/-\\u null$streamId\x00\xff' + NAMESPACE.encode()


def mutated(chance: random.Random) -> bytes:
    """A packet with some of its bytes changed, or no packet at all."""
    packet = _rubbish(chance) if chance.random() < 0.1 else _damaged(chance)
    if packet.startswith(b"1") and chance.random() < 0.99:
        return b"4" + packet[1:]  # a close packet: what follows on its connection is not looked at
    return packet


def _rubbish(chance: random.Random) -> bytes:
    return bytes(chance.choices(ALPHABET, k=chance.randrange(40)))


def _damaged(chance: random.Random) -> bytes:
    packet = bytearray(chance.choice(SEEDS).encode())
    for _ in range(chance.randrange(4)):
        place = chance.randrange(len(packet) + 1)
        match chance.randrange(4):
            case 0:
                del packet[place : place + chance.randrange(1, 5)]
            case 1:
                packet[place:place] = bytes(chance.choices(ALPHABET, k=chance.randrange(1, 5)))
            case 2:
                packet[place : place + 1] = bytes(chance.choices(ALPHABET))
            case _:
                packet[place:place] = packet[: chance.randrange(len(packet) + 1)][-50:]
    return bytes(packet)


async def fuzz(
    port: int, chance: random.Random, count: int, turn: Callable[[], Awaitable[object]]
) -> None:
    """Send so many packets, over new connections where the daemon has ended one. Before the answers
    to some of them are waited for, somebody else has a ``turn``."""
    left = count
    while left > 0:
        async with plain_client(port) as client:
            reading = asyncio.create_task(client.read_to_the_end())
            while left > 0 and not reading.done():
                some = min(left, 100)
                frames = []
                for _ in range(some):
                    opcode = websocket.BINARY if chance.random() < 0.01 else websocket.TEXT
                    frames.append(websocket.frame(opcode, mutated(chance), chance.randbytes(4)))
                client.writer.write(b"".join(frames))
                left -= some
                with contextlib.suppress(ConnectionError):
                    await client.writer.drain()
                await turn()
            reading.cancel()
            await asyncio.wait([reading])


@pytest.mark.timeout(7200 if SOAK else 120)
async def test_no_packets_whatever_disturb_the_daemon_or_its_other_clients(
    tmp_path: Path,
) -> None:
    chance = random.Random(11)
    with metadata_process(tmp_path) as daemon:
        async with client_of(daemon.url, connect_wait_seconds=10) as client:
            await client.call("put", ["k", "v"], ["beside"])
            turns = itertools.count()

            async def turn() -> None:
                """Two calls, one of them durable, with packets of all fuzzers before them."""
                assert await client.call("get", ["k"], ["beside"]) == "v"
                await client.call("put", [f"turn {next(turns)}", "v"], ["beside"])

            await asyncio.gather(
                *(
                    fuzz(daemon.port, random.Random(chance.random()), PACKETS // 4, turn)
                    for _ in range(4)
                )
            )
            taken = next(turns)
            assert taken >= PACKETS // 100
            assert len(await read_all(client, ["beside"])) == taken + 1
        output = daemon.process.output
    assert '"level":"error"' not in output
    assert "Traceback" not in output


async def test_a_half_open_connection_does_not_hold_the_daemon_up(
    daemon: MetadataProcess, raw: RawClient
) -> None:
    probe = socket.create_connection(("127.0.0.1", daemon.port))
    request, _ = websocket.request("localhost", TARGET, os.urandom(16))
    probe.sendall(request)
    probe.shutdown(socket.SHUT_WR)
    assert await raw.result(1, "getUUID", [], [])
    probe.close()
