"""What blobs cost: the data daemon alone, with small blobs packed and with a file for each; then
one with many blobs in it beside an empty one, how long it takes to start, and what memory it has.

    python -m tests.bench.blobs --seconds 5 --stored 1000000
"""

from __future__ import annotations

import argparse
import asyncio
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import uvloop

from dmd.data.data_directory import DataDirectory
from dmd.data.disk import Disk, DiskOptions
from dmd.data.packed.packed_store import PackedStore
from shared.process.logs import get_logger
from tests.bench.cost import cpu_seconds, figures, memory_mib
from tests.bench.load import Address, Answer, Client, header, run
from tests.servers import Cluster, accepts_connections, wait_for

_SIZES = (1024, 16 * 1024)
_PACKED_SIZE_MAX = 64 * 1024
_ROUNDS = 5
_IN_FLIGHT = 64
_FILL_AT_ONCE = 256

Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.blobs", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of each row")
    parser.add_argument("--stored", type=int, default=1_000_000, help="blobs of 1 KiB")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="twofold-bench-") as folder:
        _print(measure(Path(folder), arguments.seconds))
        _compare_full(Path(folder) / "compared", arguments.seconds, arguments.stored)


def measure(folder: Path, seconds: float) -> dict[str, Row]:
    """The rows of both stores, empty at first."""
    rows: dict[str, Row] = {}
    for name, size_max in (("packed", _PACKED_SIZE_MAX), ("file", 0)):
        daemon = _DataDaemon(folder / name, size_max)
        rows |= daemon.measure(name, seconds)
        daemon.stop()
    return rows


def _compare_full(folder: Path, seconds: float, stored: int) -> None:
    """A store in which many blobs are beside an empty one, by turns: what else the machine does,
    the writing out of so many blobs above all, is felt by both."""
    folder.mkdir()
    full = _DataDaemon(folder / "full", _PACKED_SIZE_MAX)
    full.stop()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_fill(folder / "full" / "data", stored))
    full.start()
    empty = _DataDaemon(folder / "empty", _PACKED_SIZE_MAX)
    print(f"empty: {empty.state()}; {stored:,} blobs: {full.state()}")
    rounds = [(empty.measure("", seconds), full.measure("", seconds)) for _ in range(_ROUNDS)]
    for row in rounds[0][0]:
        rates = [[rows[row]["requests_per_second"] for rows in pair] for pair in rounds]
        without, beside = (median(column) for column in zip(*rates, strict=True))
        ratio = median(rate[0] / rate[1] for rate in rates)
        print(
            f"{row:20} empty {without:8.0f}/s {stored:12,} blobs {beside:8.0f}/s {ratio:8.2f} x",
            flush=True,
        )
    print(f"after the load: {full.state()}")
    for daemon in (empty, full):
        daemon.stop()


async def _fill(path: Path, count: int) -> None:
    directory = DataDirectory(path)
    store = PackedStore(directory.packed, Disk(DiskOptions(no_sync=True)), get_logger())
    content = os.urandom(1024)
    for _ in range(count // _FILL_AT_ONCE):
        appended = [store.append([content], len(content)) for _ in range(_FILL_AT_ONCE)]
        await asyncio.gather(*appended)
    await store.close()
    os.sync()
    directory.release()


class _DataDaemon:
    """A data daemon of its own."""

    def __init__(self, folder: Path, packed_size_max: int) -> None:
        folder.mkdir()
        settings = {"dataDaemon": {"packedSizeMaxBytes": packed_size_max}}
        self._servers = Cluster(folder, settings=settings, forked=False)
        self.process = self._servers.dmd_data
        self.started_in = 0.0
        self.start()

    def start(self) -> None:
        begun = time.perf_counter()
        self.process.start()
        port = self._servers.data_port
        wait_for(lambda: accepts_connections(port), "the data daemon")
        self.started_in = time.perf_counter() - begun

    def state(self) -> str:
        return f"started in {self.started_in:.2f} s, {memory_mib(self.process):.0f} MiB"

    def stop(self) -> None:
        self.process.stop()

    def measure(self, name: str, seconds: float) -> dict[str, Row]:
        """PUT and GET of each size."""
        rows = {}
        for size in _SIZES:
            keys: list[str] = []
            put = _request("PUT", "/DataFile/", os.urandom(size))

            async def store(
                client: Client, _: int, put: bytes = put, keys: list[str] = keys
            ) -> None:
                keys.append(_key(await client.call(put)))

            async def load(client: Client, number: int, keys: list[str] = keys) -> None:
                await client.call(_request("GET", f"/DataFile/{keys[number % len(keys)]}"))

            for method, work in (("PUT", store), ("GET", load)):
                before = cpu_seconds([self.process])
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    address = Address("127.0.0.1", self._servers.data_port)
                    result = runner.run(run(address, _IN_FLIGHT, seconds, work))
                row = f"blob {method} {size // 1024} KiB" + (f", {name}" if name else "")
                rows[row] = figures(result, cpu_seconds([self.process]) - before)
        return rows


def _request(method: str, path: str, body: bytes = b"") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _key(answer: Answer) -> str:
    location = header(answer.head, b"location")
    assert location is not None
    return location.decode().rpartition("/")[2]


def _print(rows: dict[str, Row]) -> None:
    for name, row in rows.items():
        print(
            f"{name:40}{row['requests_per_second']:8.0f}/s {row['p50_ms']:8.2f} ms "
            f"{row['server_cpu_us_per_request']:8.0f} µs",
            flush=True,
        )


if __name__ == "__main__":
    main()
