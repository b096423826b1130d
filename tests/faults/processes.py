"""Servers that die, at a fail-point or anywhere, and servers that stand still."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.failpoints import FailPoint
from tests.raw_http import call
from tests.servers import Cluster, Front, Process, process_tree, wait_for

SEGMENT_POINTS = frozenset(
    (
        FailPoint.BEFORE_SEGMENT_WRITE,
        FailPoint.AFTER_SEGMENT_WRITE,
        FailPoint.AFTER_SEGMENT_FSYNC,
    )
)
"""Those that small blobs come to, when they are packed."""

FILE_POINTS = frozenset(
    (
        FailPoint.BEFORE_DATA_WRITE,
        FailPoint.AFTER_DATA_WRITE,
        FailPoint.AFTER_DATA_FSYNC,
        FailPoint.AFTER_DATA_LINK,
        FailPoint.AFTER_DIRECTORY_FSYNC,
    )
)
"""Those that blobs come to which are files."""

DATA_POINTS = (
    SEGMENT_POINTS
    | FILE_POINTS
    | frozenset((FailPoint.BEFORE_DATA_UNLINK, FailPoint.AFTER_DATA_UNLINK))
)
METADATA_POINTS = frozenset((FailPoint.BEFORE_COMMIT, FailPoint.AFTER_COMMIT))
"""The fail-points of the two daemons; the others are a front-end's, or of work apart from that."""

WORK_POINTS = frozenset((FailPoint.AFTER_QUEUED_DATA_DELETION, FailPoint.AFTER_KEYS_REWRAPPED))
"""Those that background work comes to."""

GC_POINTS = frozenset(
    (FailPoint.AFTER_GC_LISTING, FailPoint.AFTER_GC_QUARANTINE, FailPoint.AFTER_GC_PURGE)
)
"""Those that garbage collection comes to."""


def kill_at_once(processes: Sequence[Process]) -> None:
    """SIGKILL for the processes and their children, known before the first of them dies."""
    pids = [pid for process in processes for pid in (process.pid, *process_tree(process.pid))]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    for process in processes:
        process.kill()


def start_again(running: Cluster) -> None:
    """Start whatever is dead, without a fail-point, and wait until all of it serves."""
    running.start_daemons()
    if running.works and running.work.handle is None:
        running.work.start()
    for front in running.fronts:
        if front.process.handle is None:
            front.process.start()
    for front in running.fronts:
        front.wait()


def wait_until_connected(front: Front) -> None:
    """Wait until a front-end has found its metadata daemon again."""
    wait_for(lambda: call(front, "GET", "/").status == 200, f"{front.process.name} to be connected")


@contextlib.contextmanager
def stopped(process: Process) -> Iterator[None]:
    """A process that stands still (SIGSTOP) until the end of the block."""
    os.kill(process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        go_on(process)


def stands_still(process: Process) -> bool:
    """Whether each thread of a process that was sent SIGSTOP has noticed, or is gone: one that
    waits for the disk ends its call first."""
    try:
        stats = [task / "stat" for task in Path(f"/proc/{process.pid}/task").iterdir()]
        # Behind the name of the thread, which may have anything in it.
        states = [stat.read_text().rpartition(")")[2].split()[0] for stat in stats]
    except OSError:
        return True
    return all(state in "TtZX" for state in states)


def go_on(process: Process) -> None:
    """Let a process that stands still go on; harmless for any other."""
    if process.handle is not None:
        os.kill(process.pid, signal.SIGCONT)


class Victim:
    """The process of a cluster that is to die at a fail-point.

    For a front-end's point that is the given front-end. ``one_hop``: it is the metadata daemon that
    packs small blobs; ``beside``: it is the front-end that writes large ones.
    """

    def __init__(
        self,
        running: Cluster,
        front: Front,
        point: FailPoint,
        *,
        one_hop: bool = False,
        beside: bool = False,
    ) -> None:
        self._running = running
        self._point = point
        self._front: Front | None = None
        if one_hop and point in SEGMENT_POINTS:
            self.process = running.dmd_metadata
        elif point in DATA_POINTS and not (beside and point in FILE_POINTS):
            self.process = running.dmd_data
        elif point in METADATA_POINTS:
            self.process = running.dmd_metadata
        elif point in WORK_POINTS:
            self.process = running.work
        else:
            self.process = front.process
            self._front = front

    def arm(self, visit: int = 1) -> None:
        """Start the process again, so that it dies at that visit of the point."""
        self.process.kill()
        failpoint = f"{self._point}:{visit}"
        if self._front is not None:
            self._front.start(failpoint)
        else:
            self.process.start(failpoint)
            self._running.wait_for_daemons()
            for front in self._running.fronts:
                wait_until_connected(front)

    def wait_for_death(self) -> None:
        """Fails the test when the process never comes to the point."""
        wait_for(
            self.died, lambda: f"death {self._point}:\n{self.process.output_of_this_run[-3000:]}"
        )

    def died(self) -> bool:
        """Whether the process has died since ``arm``."""
        assert self.process.handle is not None
        return self.process.handle.poll() == -signal.SIGKILL

    def revive(self) -> None:
        """Start the process again, to live."""
        self.process.kill()
        start_again(self._running)
        for front in self._running.fronts:
            wait_until_connected(front)
