"""What processes used while a load ran, and a row of figures."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from tests.bench.load import Result
from tests.servers import Process, process_tree


def cpu_seconds(processes: Iterable[Process]) -> float:
    """User and system time of the processes and their children, so far."""
    return cpu_seconds_of(process.pid for process in processes)


def cpu_seconds_of(pids: Iterable[int]) -> float:
    """As ``cpu_seconds``. Raises FileNotFoundError when there is no such process."""
    ticks = 0
    for pid in {each for top in pids for each in (top, *process_tree(top))}:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory_mib(process: Process) -> float:
    """RssAnon and RssShmem of a process and its children, in MiB."""
    total = 0
    for pid in (process.pid, *process_tree(process.pid)):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(("RssAnon:", "RssShmem:")):
                total += int(line.split()[1])
    return total / 1024


def figures(result: Result, cpu: float) -> dict[str, float]:
    """A row; ``cpu`` is the servers', in seconds."""
    return {
        "requests_per_second": result.requests / result.seconds,
        "megabytes_per_second": result.bytes_moved / result.seconds / 1e6,
        "p50_ms": result.percentile(0.5),
        "p99_ms": result.percentile(0.99),
        "server_cpu_us_per_request": cpu / result.requests * 1e6,
    }
