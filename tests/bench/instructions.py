"""``make bench-instructions``: how many instructions each server process executes for a request.

Counts differ by a percent from run to run where times differ by a fifth, also on a busy machine, so
that a change of a few percent shows. The servers are started by their commands, ``dmd start`` on a
directory and ``s3front start``, under callgrind (``tests.bench.valgrind``); boto3 sends one request
at a time. Each row is what the processes counted while it ran, divided by its requests (or by the
keys that they listed).

    python -m tests.bench.instructions --json before.json
    python -m tests.bench.instructions --rows PUT GET --json after.json --compare before.json
    python -m tests.bench.instructions --tree ../before --json before.json
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.bench import valgrind
from tests.clients_boto3 import s3_client
from tests.servers import (
    REPOSITORY,
    Cluster,
    Front,
    Process,
    accepts_connections,
    end_by_signal,
    free_port,
    wait_for,
)

_BUCKET: Final = "bench"
_VERSIONED: Final = "bench-versions"
_START_SECONDS_MAX: Final = 600.0
_CALL_SECONDS_MAX: Final = 300
_SMALL_MAPS: Final = Path(__file__).parent / "small_maps"
_KEYS: Final = 20
_LISTED_KEYS: Final = 1000
_SMALL: Final = os.urandom(1024)
_LARGE: Final = os.urandom(1 << 20)

Row = dict[str, float]
Request = Callable[[Any, int], object]
"""Sends request number n by a client of boto3."""


@dataclass(frozen=True)
class Work:
    """A row: ``count`` requests are counted after ``unmeasured`` others; ``divisor`` is how many
    pieces of work are in a request."""

    name: str
    request: Request
    count: int = 200
    unmeasured: int = 20
    divisor: int = 1


def _put(bucket: str, key: str, body: bytes) -> Request:
    return lambda s3, n: s3.put_object(Bucket=bucket, Key=f"{key}{n}", Body=body)


def _get(key: str, keys: int) -> Request:
    return lambda s3, n: s3.get_object(Bucket=_BUCKET, Key=f"{key}{n % keys}")["Body"].read()


# Rows find what those before them wrote, or what `_fill` did.
WORKS: Final = (
    Work("PUT", _put(_BUCKET, "put/", _SMALL)),
    Work("GET", _get("small/", _KEYS)),
    Work("HEAD", lambda s3, n: s3.head_object(Bucket=_BUCKET, Key=f"small/{n % _KEYS}")),
    Work(
        "versioned PUT",
        lambda s3, n: s3.put_object(Bucket=_VERSIONED, Key=f"{n % 10}", Body=_SMALL),
    ),
    Work(
        "LIST, a key",
        lambda s3, _: s3.list_objects_v2(Bucket=_BUCKET, Prefix="listed/"),
        count=20,
        unmeasured=3,
        divisor=_LISTED_KEYS,
    ),
    Work("DELETE", lambda s3, n: s3.delete_object(Bucket=_BUCKET, Key=f"listed/{n:04}")),
    Work("PUT 1 MiB", _put(_BUCKET, "large/", _LARGE), count=30, unmeasured=5),
    Work("GET 1 MiB", _get("large/", 5), count=30, unmeasured=5),
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.instructions", description=__doc__)
    names = [work.name for work in WORKS]
    parser.add_argument("--rows", nargs="+", metavar="ROW", default=names, help=", ".join(names))
    parser.add_argument(
        "--tree", type=Path, default=REPOSITORY, help="another checkout, with its own .venv"
    )
    parser.add_argument("--json", type=Path, help="write the counts to this file")
    parser.add_argument("--compare", type=Path, help="print ratios to an earlier file")
    arguments = parser.parse_args()
    end_by_signal()
    unknown = sorted(set(arguments.rows) - set(names))
    if unknown:
        parser.error(f"no such row: {', '.join(unknown)}; there are: {', '.join(names)}")
    if missing := valgrind.missing_programs():
        sys.exit(f"{' and '.join(missing)} missing: apt-get install valgrind")
    before = json.loads(arguments.compare.read_text()) if arguments.compare else {}
    with tempfile.TemporaryDirectory(prefix="twofold-bench-") as folder:
        works = [work for work in WORKS if work.name in arguments.rows]
        rows = _measure(arguments.tree.resolve(), Path(folder), works)
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n")
    print("\n".join(table(rows, before)))


def table(rows: dict[str, Row], before: dict[str, Row]) -> list[str]:
    """The rows as lines of text, with the ratio of each figure that an earlier run has, too."""
    columns = list(next(iter(rows.values()), {}))
    lines = [f"{'instructions':20}" + "".join(f"{name:>26}" for name in columns)]
    for name, row in rows.items():
        lines.append(f"{name:20}" + "".join(f"{row[column]:26,.0f}" for column in columns))
        earlier = before.get(name, {})
        if earlier:
            ratios = [
                f"{row[column] / earlier[column]:26.3f}" if earlier.get(column) else " " * 26
                for column in columns
            ]
            lines.append(f"{'  ratio to before':20}" + "".join(ratios))
    return lines


def _measure(tree: Path, folder: Path, works: list[Work]) -> dict[str, Row]:
    with _counting_servers(tree, folder) as (front, processes):
        s3 = s3_client(front, read_timeout=_CALL_SECONDS_MAX, connect_timeout=_CALL_SECONDS_MAX)
        _fill(s3, works)
        serving = {
            name: pid
            for name, pid in valgrind.named_processes(each.pid for each in processes).items()
            if name.startswith(("dmd.", "s3front."))
        }

        def counts() -> dict[str, int]:
            return {name: valgrind.instructions(pid, folder) for name, pid in serving.items()}

        return {work.name: _row(s3, counts, work) for work in works}


def _row(s3: Any, counts: Callable[[], dict[str, int]], work: Work) -> Row:
    for number in range(work.unmeasured):
        work.request(s3, number)
    before = counts()
    for number in range(work.unmeasured, work.unmeasured + work.count):
        work.request(s3, number)
    after = counts()
    print(f"{work.name}: done", flush=True)
    return valgrind.difference(before, after, work.count * work.divisor)


def _fill(s3: Any, works: list[Work]) -> None:
    """Make the buckets, and what the rows read, list and delete."""
    s3.create_bucket(Bucket=_BUCKET)
    s3.create_bucket(Bucket=_VERSIONED)
    s3.put_bucket_versioning(Bucket=_VERSIONED, VersioningConfiguration={"Status": "Enabled"})
    for number in range(_KEYS):
        s3.put_object(Bucket=_BUCKET, Key=f"small/{number}", Body=_SMALL)
    if any(work.name.startswith(("LIST", "DELETE")) for work in works):
        for number in range(_LISTED_KEYS):
            s3.put_object(Bucket=_BUCKET, Key=f"listed/{number:04}", Body=b"x")
    if any(work.name == "GET 1 MiB" for work in works):
        for number in range(5):
            s3.put_object(Bucket=_BUCKET, Key=f"large/{number}", Body=_LARGE)


@contextlib.contextmanager
def _counting_servers(tree: Path, folder: Path) -> Iterator[tuple[Front, list[Process]]]:
    """Both commands under callgrind, ready to serve; the front-end, and both of them."""
    # It makes the folders, and knows what the environment has to say.
    laid_out = Cluster(folder, settings={"listenOn": [f"127.0.0.1:{(port := free_port())}"]})
    environ = {
        **laid_out.dmd_metadata.environ,
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": f"{_SMALL_MAPS}:{tree}",
        # The folder in which this runs may be that of another checkout.
        "PYTHONSAFEPATH": "1",
    }

    def process(*words: str) -> Process:
        argv = valgrind.counting([f"{tree}/.venv/bin/python", "-m", *words], folder)
        return Process(words[0], argv, environ, folder / f"{words[0]}.log")

    daemon = process("dmd", "start")
    front = Front(process("s3front", "start", "--workers", "1", "--no-work"), port)
    started: list[Process] = []
    try:
        for each, ports in (
            (daemon, (laid_out.metadata_port, laid_out.data_port)),
            (front.process, (front.port,)),
        ):
            each.start()
            started.append(each)
            _wait(each, ports)
        wait_for(lambda: "connected to the" in front.process.output, "s3front", _START_SECONDS_MAX)
        yield front, started
    finally:
        for each in started:
            each.kill()


def _wait(process: Process, ports: tuple[int, ...]) -> None:
    def serves() -> bool:
        if process.poll() is not None:
            raise AssertionError(f"{process.name} ended:\n{process.output[-4000:]}")
        return "serving" in process.output and all(map(accepts_connections, ports))

    wait_for(serves, lambda: f"{process.name}:\n{process.output[-2000:]}", _START_SECONDS_MAX)


if __name__ == "__main__":
    main()
