"""Servers whose calls are written down, and what a request made them call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients_boto3 import s3_client
from tests.servers import Cluster, Front, Process, free_port


@dataclass(frozen=True)
class Call:
    """A call between two modules; ``caller`` is empty where the event loop calls."""

    moment: int
    caller: str
    module: str
    function: str


@dataclass(frozen=True)
class TracedServers:
    """``walk`` tells what a request makes them call."""

    s3: Any
    files: list[Path]

    def walk(self, request: Callable[[], object]) -> list[Call]:
        """The calls that were made, in their order, from the request until its answer."""
        before = [file.stat().st_size for file in self.files]
        request()
        calls = []
        for file, length in zip(self.files, before, strict=True):
            lines = file.read_bytes()[length:].decode().splitlines(keepends=True)
            calls += [_call(line) for line in lines if line.endswith("\n")]
        return sorted(calls, key=lambda call: call.moment)


@contextmanager
def traced_servers(folder: Path) -> Iterator[TracedServers]:
    """A dmd with its two processes and a front-end, all of them traced."""
    servers = Cluster(folder)
    files = [folder / f"{name}.calls" for name in ("metadata", "data", "front")]
    for file in files:
        file.touch()
    for process, file in zip((servers.dmd_metadata, servers.dmd_data), files, strict=False):
        process.forked = False
        process.argv[2:2] = ["tests.faults.traced", str(file), "0"]
    try:
        servers.start_daemons()
        port = free_port()
        traced = ["tests.faults.traced", str(files[2]), str(port), "s3front.process.serve"]
        process = Process(
            "s3front-traced",
            [sys.executable, "-m", *traced],
            servers.dmd_metadata.environ,
            folder / "s3front-traced.log",
        )
        front = Front(process, port)
        servers.fronts.append(front)
        front.start()
        yield TracedServers(s3_client(front), files)
    finally:
        servers.stop()


def _call(line: str) -> Call:
    moment, caller, _, module, function = line.split()
    return Call(int(moment), "" if caller == "-" else caller, module, function)
