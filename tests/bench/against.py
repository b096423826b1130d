"""The same load for our servers and for others, in turns: ``python -m tests.bench --against``.

For each row, each server does its share of a round before the next round begins, another one first
each time: what else the machine does is felt by all. Ratios are of one round, and the median of
all rounds is printed. What a server answers with an error is counted and shown; only what succeeded
is work. A row that a server cannot do has no ratio.

CPU time is that of processes of this machine: ours are known, others are named by ``--pids``. It
includes what they do besides.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from types import MappingProxyType
from typing import Any, Final

from s3front.auth.sigv4 import AccessKey
from tests.bench import rows, workloads
from tests.bench.cost import cpu_seconds_of, figures
from tests.bench.load import FailedRequestError, Result, S3Endpoint
from tests.bench.workloads import Work
from tests.keyrings import encrypting
from tests.servers import ACCESS_KEY, REGION, REPOSITORY, SECRET_KEY, Cluster, Process, cluster

OURS: Final = "ours"
_RATIOS: Final = {
    "server_cpu_us_per_request": "CPU",
    "requests_per_second": "rate",
    "p50_ms": "p50",
}
"""The figures that are compared, and what they are called in the table."""

Row = dict[str, float]
Running = AbstractContextManager["Server"]
"""A server that ends with a block."""


@dataclass(frozen=True)
class Server:
    """Somebody who takes part. ``pids`` are the processes whose time counts, with their children;
    none: it is not known. ``restart_cold`` starts it again with nothing of its files in memory."""

    name: str
    endpoint: S3Endpoint
    pids: Callable[[], Sequence[int]] = tuple
    restart_cold: Callable[[], None] | None = None


@dataclass
class Rounds:
    """What one server did in one row: a figure of each round, None where nothing succeeded."""

    figures: list[Row | None] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def middle(self) -> Row | None:
        """The median of each figure."""
        done = [row for row in self.figures if row is not None]
        return {name: median(row[name] for row in done) for name in done[0]} if done else None


def add_options(parser: argparse._ArgumentGroup) -> None:
    """The options that ``main`` reads."""
    parser.add_argument("--against", nargs="+", default=[], metavar="URL", help="S3 endpoints")
    parser.add_argument(
        "--with-tree",
        nargs="+",
        default=[],
        type=Path,
        metavar="PATH",
        help="other checkouts, with a .venv each; they are started",
    )
    parser.add_argument(
        "--with-encryption",
        action="store_true",
        help="this checkout again, encrypting all that it stores",
    )
    parser.add_argument("--access-key", default=ACCESS_KEY, help="of all of them")
    parser.add_argument("--secret-key", default=SECRET_KEY)
    parser.add_argument("--region", default=REGION)
    parser.add_argument(
        "--pids",
        nargs="+",
        default=[],
        type=read_pids,
        metavar="PID[,PID]",
        help="the processes of each endpoint, in the same order; children count with them",
    )
    parser.add_argument("--rounds", type=int, default=3)


def read_pids(text: str) -> list[int]:
    """The processes of one endpoint; raises ValueError."""
    return [int(word) for word in text.split(",") if word]


def others(arguments: argparse.Namespace) -> list[Server]:
    """The endpoints of the command line; exits when they are wrong."""
    key = AccessKey(arguments.access_key, arguments.secret_key, arguments.region)
    if arguments.pids and len(arguments.pids) != len(arguments.against):
        sys.exit("--pids needs the processes of each endpoint of --against")
    pids = arguments.pids or [[] for _ in arguments.against]
    try:
        return [
            Server(url, S3Endpoint.of_url(url, key), lambda named=named: named)  # type: ignore[misc]
            for url, named in zip(arguments.against, pids, strict=True)
        ]
    except ValueError as error:
        sys.exit(str(error))


def main(arguments: argparse.Namespace, started: Sequence[Callable[[Path], Running]] = ()) -> None:
    """Measure, print and write. ``started`` are further servers, which are started in a folder."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="twofold-bench-")))
        servers = [running.enter_context(_our_server(OURS, folder / OURS)), *others(arguments)]
        for number, tree in enumerate(arguments.with_tree):
            checkout = _our_server(str(tree), folder / f"tree-{number}", tree.resolve())
            servers.append(running.enter_context(checkout))
        if arguments.with_encryption:
            settings = encrypting(folder / "keyring.json")
            again = _our_server("encrypted", folder / "encrypted", settings=settings)
            servers.append(running.enter_context(again))
        servers += [running.enter_context(start(folder / "other")) for start in started]
        for server in servers:
            _begin(server)
        measured = {}
        for work in workloads.chosen(arguments.rows):
            measured[work.name] = compare(servers, work, arguments.rounds, arguments.seconds)
            print("\n".join(table(work.name, measured[work.name])), flush=True)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(as_json(measured), indent=2) + "\n")


def _begin(server: Server) -> None:
    """Make its buckets; exits when it cannot take part."""
    try:
        rows.make_buckets(server.endpoint)
        cpu_seconds_of(server.pids())
    except (FailedRequestError, OSError, EOFError) as error:
        sys.exit(f"{server.name}: {error}")


def compare(
    servers: Sequence[Server], work: Work, rounds: int, seconds: float
) -> dict[str, Rounds]:
    """Do the row in turns; what each server did, by its name."""
    done = {server.name: Rounds() for server in servers}
    taking_part = [server for server in servers if not work.cold or server.restart_cold is not None]
    for number in range(rounds):
        first = number % max(1, len(taking_part))
        for server in [*taking_part[first:], *taking_part[:first]]:
            _take_turn(server, work, seconds, done[server.name], fill=number == 0 or work.refill)
    return done


def _take_turn(server: Server, work: Work, seconds: float, done: Rounds, *, fill: bool) -> None:
    try:
        if fill:
            rows.fill(server.endpoint, work)
    except (FailedRequestError, OSError, EOFError) as error:
        done.errors[f"cannot be prepared: {str(error)[:60]}"] += 1
        done.figures.append(None)
        return
    if work.cold and server.restart_cold is not None:
        server.restart_cold()
    pids = server.pids()
    before = cpu_seconds_of(pids)
    result = rows.measure(server.endpoint, work, seconds, tolerant=True)
    cpu = cpu_seconds_of(pids) - before if pids else None
    done.errors.update(result.errors)
    done.figures.append(_figures(result, cpu))


def _figures(result: Result, cpu: float | None) -> Row | None:
    if not result.requests:
        return None
    row = figures(result, cpu or 0.0)
    if cpu is None:
        del row["server_cpu_us_per_request"]
    return row


def ratios(ours: Rounds, theirs: Rounds) -> Row:
    """Ours to theirs: of each figure that both have, the median of the rounds that both did."""
    pairs = [
        (mine, other)
        for mine, other in zip(ours.figures, theirs.figures, strict=False)
        if mine is not None and other is not None
    ]
    found = {}
    for name in _RATIOS:
        of_rounds = [
            mine[name] / other[name] for mine, other in pairs if name in mine and other.get(name)
        ]
        if of_rounds:
            found[name] = median(of_rounds)
    return found


def table(name: str, done: Mapping[str, Rounds]) -> list[str]:
    """A row as lines of text, one for each server."""
    lines = []
    for server, rounds in done.items():
        middle = rounds.middle()
        line = f"{name:38}{server[:24]:26}"
        if middle is None:
            line += "nothing succeeded" if rounds.figures else "not measured"
        else:
            cpu = middle.get("server_cpu_us_per_request")
            line += (
                f"{middle['requests_per_second']:9.0f}/s {middle['megabytes_per_second']:8.1f} MB/s"
                f"{middle['p50_ms']:9.2f} ms{middle['p99_ms']:9.2f} ms"
                + (f"{cpu:11.0f} µs" if cpu is not None else f"{'-':>11}   ")
            )
        if server != OURS:
            found = ratios(done[OURS], rounds)
            if found:
                said = ", ".join(f"{_RATIOS[key]} {ratio:.2f}" for key, ratio in found.items())
                line += f"   ours / theirs: {said}"
        if rounds.errors:
            line += "   ERRORS: " + ", ".join(f"{n} x {kind}" for kind, n in rounds.errors.items())
        lines.append(line)
        name = ""
    return lines


def as_json(measured: Mapping[str, Mapping[str, Rounds]]) -> dict[str, object]:
    """What is written to a file: medians, ratios and errors of every server in every row."""
    return {
        name: {
            server: {
                "median": rounds.middle(),
                "ratios_of_ours": {} if server == OURS else ratios(done[OURS], rounds),
                "errors": dict(rounds.errors),
            }
            for server, rounds in done.items()
        }
        for name, done in measured.items()
    }


def drop_from_memory(folder: Path) -> None:
    """Have the system forget the pages of all files there, which nobody has mapped."""
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(descriptor)


@contextmanager
def _our_server(
    name: str,
    folder: Path,
    tree: Path = REPOSITORY,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> Iterator[Server]:
    """The servers of a checkout."""
    folder.mkdir()
    options: dict[str, Any] = {"forked": False, "supervised": True, "settings": dict(settings)}
    if tree != REPOSITORY:
        # The folder in which this runs must not come first.
        options["environ"] = {"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1"}
        options["python"] = f"{tree}/.venv/bin/python"
    with cluster(folder, **options) as running:
        yield Server(
            name,
            S3Endpoint("localhost", running.fronts[0].port),
            lambda: [process.pid for process in _processes(running)],
            lambda: _restart_cold(running),
        )


def _processes(running: Cluster) -> list[Process]:
    return [running.dmd_metadata, running.dmd_data, *(front.process for front in running.fronts)]


def _restart_cold(running: Cluster) -> None:
    for process in reversed(_processes(running)):
        process.stop()
    drop_from_memory(running.folder)
    running.start_daemons()
    for front in running.fronts:
        front.start()
