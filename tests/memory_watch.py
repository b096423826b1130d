"""How much memory the processes of a cluster take while something goes on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.servers import Cluster, Process, process_tree


@contextmanager
def memory_watched(running: Cluster) -> Iterator[dict[str, int]]:
    """The most that each process had in memory of its own during the block, by its name."""
    peaks: dict[str, int] = {}
    ended = threading.Event()
    processes: list[Process] = [running.dmd_metadata, running.dmd_data]
    processes += [front.process for front in running.fronts]

    def watch() -> None:
        while not ended.wait(0.02):
            for process in processes:
                for pid in (process.pid, *process_tree(process.pid)):
                    name = f"{process.name} {pid}"
                    with suppress(FileNotFoundError, ProcessLookupError):  # it has ended
                        peaks[name] = max(peaks.get(name, 0), own_memory(pid))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield peaks
    finally:
        ended.set()
        watcher.join()


def own_memory(pid: int) -> int:
    """RssAnon and RssShmem in bytes: without files, whose pages are the page cache's."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(int(size) for size in sizes) * 1024
