"""``make bench``: what requests cost, on this machine, now.

Starts its own dmd and front-end, and prints for each kind of work requests and megabytes a second,
latencies, and the CPU time of the servers' process trees per request. Machines are noisy: compare
two JSON files as ratios, of runs made one after the other.

    python -m tests.bench --json before.json
    python -m tests.bench --json after.json --compare before.json
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from tests.bench import blobs, listing, rpc
from tests.bench.cost import cpu_seconds, figures
from tests.bench.load import Client, Result, header, run, signed
from tests.clients_boto3 import s3_client
from tests.servers import Cluster, Front, cluster

_BUCKET = "bench"
_SMALL = os.urandom(1024)
_KEYS = 2000
_LARGE_BYTES = 64 * 1024 * 1024
_PARTS = 8
_PART = os.urandom(_LARGE_BYTES // _PARTS)


@dataclass(frozen=True)
class Work:
    """One row of the table."""

    name: str
    connections: int
    work: Callable[[Client, int], Awaitable[object]]
    count_min: int = 1


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of each row")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--compare", type=Path, help="print ratios to an earlier file")
    parser.add_argument("--listings", action="store_true", help="measure nothing but listings")
    arguments = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="twofold-bench-") as folder,
        cluster(Path(folder), forked=False, supervised=True) as servers,
    ):
        rows = {} if arguments.listings else _measure(servers, arguments.seconds)
        rows |= _measure_listings(servers, arguments.seconds)
    if not arguments.listings:
        with tempfile.TemporaryDirectory(prefix="twofold-bench-") as folder:
            rows |= blobs.measure(Path(folder), arguments.seconds)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    before = json.loads(arguments.compare.read_text()) if arguments.compare else {}
    _print(rows, before)


def _measure(servers: Cluster, seconds: float) -> dict[str, dict[str, float]]:
    front = servers.fronts[0]
    s3 = s3_client(front)
    s3.create_bucket(Bucket=_BUCKET)
    rows = {}
    for work in _works(front):
        rows[work.name] = _row(servers, work, seconds)
    rows |= rpc.measure(servers, seconds)
    return rows


def _measure_listings(servers: Cluster, seconds: float) -> dict[str, dict[str, float]]:
    """The last rows, because the store is full of other things afterwards."""
    listing.fill(servers)
    return {
        name: _row(servers, Work(name, 1, _calling(request)), seconds)
        for name, request in listing.requests(servers).items()
    }


def _calling(request: bytes) -> Callable[[Client, int], Awaitable[object]]:
    return lambda client, _: client.call(request)


def _row(servers: Cluster, work: Work, seconds: float) -> dict[str, float]:
    processes = [servers.dmd_metadata, servers.dmd_data, *(f.process for f in servers.fronts)]
    before = cpu_seconds(processes)
    result = _run(servers.fronts[0], work, seconds)
    row = figures(result, cpu_seconds(processes) - before)
    print(f"{work.name}: done", flush=True)
    return row


def _works(front: Front) -> list[Work]:
    puts = [signed(front.port, "PUT", f"/{_BUCKET}/small/{n:06}", _SMALL) for n in range(_KEYS)]
    gets = [signed(front.port, "GET", f"/{_BUCKET}/small/{n:06}") for n in range(_KEYS)]
    page = signed(front.port, "GET", f"/{_BUCKET}?list-type=2&prefix=small")
    large_put = signed(front.port, "PUT", f"/{_BUCKET}/large", os.urandom(_LARGE_BYTES))
    large_get = signed(front.port, "GET", f"/{_BUCKET}/large")
    return [
        Work("PUT 1 KiB, 1 in flight", 1, lambda client, n: client.call(puts[n % _KEYS])),
        # Every key, so that the rows below find them all.
        Work("PUT 1 KiB, 64 in flight", 64, lambda client, n: client.call(puts[n % _KEYS]), _KEYS),
        Work("GET 1 KiB, 64 in flight", 64, lambda client, n: client.call(gets[n % _KEYS])),
        Work("LIST 1,000", 4, lambda client, _: client.call(page)),
        Work("PUT 64 MiB", 1, lambda client, _: client.call(large_put)),
        Work("GET 64 MiB", 1, lambda client, _: client.call(large_get)),
        Work("multipart 8 x 8 MiB", 4, lambda client, n: _multipart(front.port, client, n)),
    ]


async def _multipart(port: int, client: Client, number: int) -> None:
    """One upload, its parts one after the other."""
    path = f"/{_BUCKET}/multipart/{number % 16}"
    created = await client.call(signed(port, "POST", f"{path}?uploads"))
    found = re.search(b"<UploadId>(.+)</UploadId>", created.body)
    assert found is not None
    upload_id = found[1].decode()
    listed = ""
    for part in range(1, _PARTS + 1):
        target = f"{path}?partNumber={part}&uploadId={upload_id}"
        answer = await client.call(signed(port, "PUT", target, _PART))
        etag = (header(answer.head, b"etag") or b"").decode()
        listed += f"<Part><PartNumber>{part}</PartNumber><ETag>{etag}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>".encode()
    await client.call(signed(port, "POST", f"{path}?uploadId={upload_id}", document))


def _run(front: Front, work: Work, seconds: float) -> Result:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(run(front.port, work.connections, seconds, work.work, work.count_min))


def _print(rows: dict[str, dict[str, float]], before: dict[str, Any]) -> None:
    print(f"\n{'work':42}{'req/s':>10}{'MB/s':>9}{'p50 ms':>9}{'p99 ms':>9}{'CPU µs':>10}")
    for name, row in rows.items():
        print(
            f"{name:42}{row['requests_per_second']:10.0f}{row['megabytes_per_second']:9.1f}"
            f"{row['p50_ms']:9.2f}{row['p99_ms']:9.2f}{row['server_cpu_us_per_request']:10.0f}"
        )
        if name in before:
            ratios = {key: row[key] / value for key, value in before[name].items() if value}
            print(
                f"{'  ratio to before':42}{ratios['requests_per_second']:10.2f}"
                f"{ratios['megabytes_per_second']:9.2f}{ratios['p50_ms']:9.2f}"
                f"{ratios['p99_ms']:9.2f}{ratios['server_cpu_us_per_request']:10.2f}"
            )


if __name__ == "__main__":
    main()
