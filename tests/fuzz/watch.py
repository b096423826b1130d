"""What must hold of servers whatever they are sent: they live, say nothing of surprise, stay small.

``Watched`` notes the processes, their logs and their memory when it is made; ``assert_unharmed``
compares. Memory is RssAnon and RssShmem: pages of mapped files are the system's cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.servers import Process, process_tree, wait_for

MEMORY_GROWTH_BYTES_MAX = 40 * 1024 * 1024
"""What a process may have more after a campaign than before, once its connections are closed."""

_SURPRISES = ("Traceback", '"level":"error"', '"level":"critical"')


def memory_bytes(pid: int) -> int:
    """What a process has of its own."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    sizes = [line.split()[1] for line in lines if line.startswith(("RssAnon:", "RssShmem:"))]
    return sum(map(int, sizes)) * 1024


class Watched:
    """Some processes, and their children."""

    def __init__(self, processes: Sequence[Process]) -> None:
        self._processes = processes
        self._logged = [len(process.output) for process in processes]
        self._pids = self._alive()
        self.memory = {pid: memory_bytes(pid) for pid in self._pids}

    def assert_unharmed(self) -> None:
        """No process died or was surprised; memory comes back to what it was, or nearly so."""
        for process, logged in zip(self._processes, self._logged, strict=True):
            lines = process.output[logged:].splitlines()
            surprises = [line for line in lines if any(mark in line for mark in _SURPRISES)]
            assert not surprises, f"{process.name}:\n" + "\n".join(surprises[:5])
        assert self._alive() == self._pids, "a process died, or another was started"
        assert all(process.poll() is None for process in self._processes), "a process died"
        wait_for(lambda: not self.grown(), f"memory to be given back: {self.grown()}")

    def grown(self) -> dict[str, str]:
        """The processes that have grown too much, and how they have."""
        return {
            Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "): (
                f"{before >> 20} to {memory_bytes(pid) >> 20} MiB"
            )
            for pid, before in self.memory.items()
            if memory_bytes(pid) > before + MEMORY_GROWTH_BYTES_MAX
        }

    def _alive(self) -> list[int]:
        return [
            pid for process in self._processes for pid in (process.pid, *process_tree(process.pid))
        ]
