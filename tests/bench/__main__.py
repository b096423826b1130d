"""``make bench``: what requests cost, on this machine, now.

Starts its own dmd and front-end, and prints for each kind of work requests and megabytes a second,
latencies, and the CPU time of the servers' process trees per request. Machines are noisy: compare
two JSON files as ratios, of runs made one after the other, or have two servers take turns.

    python -m tests.bench --json before.json
    python -m tests.bench --json after.json --compare before.json
    python -m tests.bench --with-tree ../before
    python -m tests.bench --with-seaweedfs
    python -m tests.bench --against http://localhost:9000 --pids 4711 --access-key K --secret-key S
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from shared.process.descriptors import raise_descriptor_limit
from tests.bench import (
    against,
    blobs,
    idle_connections,
    listing,
    rows,
    rpc,
    seaweedfs,
    workloads,
)
from tests.bench.cost import cpu_seconds, figures
from tests.bench.load import S3Endpoint, Step
from tests.bench.workloads import Work, sending
from tests.servers import Cluster, cluster, end_by_signal

_COLUMNS = {
    "requests_per_second": ("req/s", 10, 0),
    "megabytes_per_second": ("MB/s", 9, 1),
    "p50_ms": ("p50 ms", 9, 2),
    "p99_ms": ("p99 ms", 9, 2),
    "server_cpu_us_per_request": ("CPU µs", 10, 0),
}
"""The figures that are printed: title, width, and digits after the point."""

Row = dict[str, float]


def main() -> None:
    arguments = _parser().parse_args()
    end_by_signal()
    raise_descriptor_limit()
    if (
        arguments.against
        or arguments.with_tree
        or arguments.with_encryption
        or arguments.with_seaweedfs
    ):
        started = []
        if arguments.with_seaweedfs:
            started.append(partial(seaweedfs.running, seaweedfs.program(arguments)))
        against.main(arguments, started)
        return
    measured: dict[str, Row] = {}
    with (
        tempfile.TemporaryDirectory(prefix="twofold-bench-") as folder,
        cluster(Path(folder), forked=False, supervised=True) as servers,
    ):
        if not arguments.listings:
            measured |= _measure(servers, arguments.seconds, arguments.rows)
        if not arguments.rows:
            measured |= _measure_listings(servers, arguments.seconds)
    if not arguments.listings and not arguments.rows:
        with tempfile.TemporaryDirectory(prefix="twofold-bench-") as folder:
            measured |= blobs.measure(Path(folder), arguments.seconds)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(measured, indent=2) + "\n")
    before = json.loads(arguments.compare.read_text()) if arguments.compare else {}
    _print(measured, before)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seconds", type=float, default=5.0, help="duration of each row")
    parser.add_argument("--rows", nargs="+", default=[], metavar="TEXT", help="rows with this text")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--compare", type=Path, help="print ratios to an earlier file")
    parser.add_argument("--listings", action="store_true", help="measure nothing but listings")
    against.add_options(parser.add_argument_group("beside other servers, in turns"))
    seaweedfs.add_options(parser.add_argument_group("beside SeaweedFS, which is started for it"))
    return parser


def _measure(servers: Cluster, seconds: float, chosen: Sequence[str]) -> dict[str, Row]:
    endpoint = S3Endpoint("localhost", servers.fronts[0].port)
    rows.make_buckets(endpoint)
    measured = {}
    for work in workloads.chosen(chosen):
        if not work.cold:
            rows.fill(endpoint, work)
            measured[work.name] = _row(servers, work, seconds)
    if not chosen or "idle" in chosen:
        measured |= idle_connections.measure(servers, seconds)
    if not chosen:
        measured |= rpc.measure(servers, seconds)
    return measured


def _measure_listings(servers: Cluster, seconds: float) -> dict[str, Row]:
    """The last rows, because the store is full of other things afterwards."""
    listing.fill(servers)
    measured = {
        name: _row(servers, Work(name, 1, _calling([request])), seconds)
        for name, request in listing.requests(servers).items()
    }
    listing.forget(servers)
    pages = listing.cold_pages(servers)
    work = Work(listing.COLD, 1, _calling(pages), count_max=len(pages))
    return measured | {work.name: _row(servers, work, seconds)}


def _calling(requests: Sequence[bytes]) -> Callable[[S3Endpoint], Step]:
    """Requests that are signed already."""
    return lambda _: sending(requests)


def _row(servers: Cluster, work: Work, seconds: float) -> Row:
    processes = [servers.dmd_metadata, servers.dmd_data, *(f.process for f in servers.fronts)]
    before = cpu_seconds(processes)
    result = rows.measure(S3Endpoint("localhost", servers.fronts[0].port), work, seconds)
    row = figures(result, cpu_seconds(processes) - before)
    print(f"{work.name}: done", flush=True)
    return row


def _print(measured: dict[str, Row], before: dict[str, Any]) -> None:
    print(f"\n{'work':42}" + "".join(f"{title:>{width}}" for title, width, _ in _COLUMNS.values()))
    for name, row in measured.items():
        if not row.keys() >= _COLUMNS.keys():
            print(f"{name:42}" + ", ".join(f"{key} {value:.2f}" for key, value in row.items()))
            continue
        print(f"{name:42}" + _cells(row, {key: width[2] for key, width in _COLUMNS.items()}))
        if name in before:
            ratios = {
                key: row[key] / value for key, value in before[name].items() if key in row and value
            }
            print(f"{'  ratio to before':42}" + _cells(ratios, dict.fromkeys(_COLUMNS, 2)))


def _cells(figures_of_row: Row, digits: dict[str, int]) -> str:
    cells = []
    for key, (_, width, _) in _COLUMNS.items():
        figure = figures_of_row.get(key)
        cells.append(f"{'-':>{width}}" if figure is None else f"{figure:{width}.{digits[key]}f}")
    return "".join(cells)


if __name__ == "__main__":
    main()
