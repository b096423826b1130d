"""What a metadata call costs: our client and the lean server, and python-socketio at both ends.

Every way is measured in every round, one after the other, against one daemon; figures are those of
all rounds together. CPU time is that of the client, which is this process, and of the daemon's
process tree.

    python -m tests.bench.rpc --seconds 3 --rounds 3
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import socketio
import uvloop

from s3front.rpc.rpc_client import RpcClient
from shared.process.logs import get_logger
from shared.rpc import codec
from shared.rpc.envelope import METADATA_NAMESPACE
from tests.bench.cost import cpu_seconds
from tests.servers import Cluster

_SUB_LEVEL = ["bench-rpc"]
_VALUE = json.dumps({"content-length": 1024, "acl": {"FULL_CONTROL": []}, "padding": "x" * 660})
_KEYS = 200

Work = Callable[[int], Awaitable[object]]


@dataclass(frozen=True)
class Way:
    """One row: who calls what, with so many calls in flight."""

    name: str
    client: str
    method: str
    in_flight: int


WAYS = [
    Way("RPC get, lean, 1", "lean", "get", 1),
    Way("RPC get, stock, 1", "stock", "get", 1),
    Way("RPC get, lean single, 64", "lean single", "get", 64),
    Way("RPC get, lean, 64", "lean", "get", 64),
    Way("RPC get, stock, 64", "stock", "get", 64),
    Way("RPC put, lean, 1", "lean", "put", 1),
    Way("RPC put, stock, 1", "stock", "put", 1),
    Way("RPC put, lean, 64", "lean", "put", 64),
    Way("RPC put, stock, 64", "stock", "put", 64),
]
"""``lean single`` sends every call by itself, as to a server without batch events; ``stock`` begins
with long-polling, so python-socketio serves it too. Puts are durable."""


@dataclass
class Sum:
    """The rounds of one way, added up."""

    calls: int = 0
    seconds: float = 0.0
    client_cpu: float = 0.0
    server_cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)

    def row(self) -> dict[str, float]:
        ordered = sorted(self.latencies)
        return {
            "requests_per_second": self.calls / self.seconds,
            "megabytes_per_second": self.calls * len(_VALUE) / self.seconds / 1e6,
            "p50_ms": ordered[len(ordered) // 2] * 1000,
            "p99_ms": ordered[len(ordered) * 99 // 100] * 1000,
            "server_cpu_us_per_request": self.server_cpu / self.calls * 1e6,
            "client_cpu_us_per_request": self.client_cpu / self.calls * 1e6,
        }


def measure(servers: Cluster, seconds: float, rounds: int = 1) -> dict[str, dict[str, float]]:
    """The figures of every way, by name."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sums = runner.run(_measure(servers, seconds, rounds))
    return {name: total.row() for name, total in sums.items()}


async def _measure(servers: Cluster, seconds: float, rounds: int) -> dict[str, Sum]:
    url = f"http://127.0.0.1:{servers.metadata_port}"
    sums = {way.name: Sum() for way in WAYS}
    async with _lean(url, together=True) as put:
        for number in range(_KEYS):
            await put("put")(number)
    for _ in range(rounds):
        for way in WAYS:
            if way.client == "stock":
                opened = _stock(url)
            else:
                opened = _lean(url, together=way.client == "lean")
            async with opened as calls:
                await _run(servers, calls(way.method), way.in_flight, seconds, sums[way.name])
    return sums


async def _run(servers: Cluster, work: Work, in_flight: int, seconds: float, total: Sum) -> None:
    begun, client, server = (
        time.perf_counter(),
        time.process_time(),
        cpu_seconds([servers.dmd_metadata]),
    )
    end = begun + seconds
    number = 0

    async def caller() -> None:
        nonlocal number
        while (now := time.perf_counter()) < end:
            number += 1
            await work(number % _KEYS)
            total.latencies.append(time.perf_counter() - now)
            total.calls += 1

    await asyncio.gather(*(caller() for _ in range(in_flight)))
    total.seconds += time.perf_counter() - begun
    total.client_cpu += time.process_time() - client
    total.server_cpu += cpu_seconds([servers.dmd_metadata]) - server


@asynccontextmanager
async def _lean(url: str, *, together: bool) -> AsyncIterator[Callable[[str], Work]]:
    client = RpcClient(url, METADATA_NAMESPACE, get_logger(), connect_wait_seconds=10)
    client.start()
    await client.call("getUUID", [])
    if not together:
        client._extensions -= {"batchEvent"}

    def method(name: str) -> Work:
        if name == "get":
            return lambda number: client.call("get", [f"key-{number}"], _SUB_LEVEL)
        return lambda number: client.call("put", [f"key-{number}", _VALUE, {}], _SUB_LEVEL)

    yield method
    await client.close()


@asynccontextmanager
async def _stock(url: str) -> AsyncIterator[Callable[[str], Work]]:
    socket = socketio.AsyncClient(json=codec, reconnection=False, handle_sigint=False)
    await socket.connect(url, namespaces=[METADATA_NAMESPACE])

    async def call(name: str, arguments: list[object]) -> object:
        params = {"rpcArgs": arguments, "subLevel": _SUB_LEVEL}
        return await socket.call("call", (name, params), namespace=METADATA_NAMESPACE)

    def method(name: str) -> Work:
        if name == "get":
            return lambda number: call("get", [f"key-{number}"])
        return lambda number: call("put", [f"key-{number}", _VALUE, {}])

    yield method
    await socket.disconnect()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rpc", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each way and round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="twofold-bench-") as folder:
        servers = Cluster(Path(folder), forked=False)
        servers.start_daemons()
        try:
            rows = measure(servers, arguments.seconds, arguments.rounds)
        finally:
            servers.stop()
    print(f"{'way':28}{'calls/s':>10}{'p50 ms':>9}{'p99 ms':>9}{'client µs':>11}{'daemon µs':>11}")
    for name, row in rows.items():
        print(
            f"{name:28}{row['requests_per_second']:10.0f}{row['p50_ms']:9.2f}{row['p99_ms']:9.2f}"
            f"{row['client_cpu_us_per_request']:11.1f}{row['server_cpu_us_per_request']:11.1f}"
        )


if __name__ == "__main__":
    main()
