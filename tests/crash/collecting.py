"""Garbage collection in the background of a test, with waits as short as they can be."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
from types import TracebackType
from typing import Any

from dmd.jobs.blob_access import Access, Data, DataPort
from dmd.jobs.errors import JobError
from dmd.jobs.gc import GcOptions, collect
from dmd.jobs.gc_plan import Verdict
from tests.servers import Cluster
from tests.unit.dmd.metadata.support import RecordingLog

GRACE_SECONDS, QUARANTINE_SECONDS = 6, 1
SETTINGS: dict[str, Any] = {
    "deleteDelaySeconds": 0,
    "gcGraceSeconds": GRACE_SECONDS,
    "gcQuarantineSeconds": QUARANTINE_SECONDS,
    "metadataClient": {"callTimeoutMs": 2900},
}


def data_of(running: Cluster) -> Data:
    return Data(DataPort(Access("127.0.0.1", running.data_port)))


class Repeated:
    """Work in a thread, again and again until the block ends; its first exception is raised."""

    def __init__(self) -> None:
        self.rounds = 0
        self.failure: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._repeat, daemon=True)

    def one_round(self) -> None:
        raise NotImplementedError

    def wait(self, seconds: float) -> bool:
        """Wait, or until the end; whether that has come."""
        return self._ended.wait(seconds)

    def _repeat(self) -> None:
        try:
            while not self._ended.is_set():
                self.one_round()
                self.rounds += 1
        except BaseException as error:
            self.failure = error

    def __enter__(self) -> Repeated:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if self.failure is not None and error is None:
            raise self.failure


class Collector(Repeated):
    """Collects in this process, and now and then in one that is killed."""

    def __init__(self, running: Cluster) -> None:
        super().__init__()
        self._running = running
        self._chance = random.Random(1)
        self._options = GcOptions(
            [running.folder / "metadata"], GRACE_SECONDS, QUARANTINE_SECONDS, apply=True
        )
        self.purged = 0
        self.alone = threading.Lock()
        """Held while a process of its own collects: without a daemon, that would own the directory
        itself, and no daemon could start meanwhile."""

    def one_round(self) -> None:
        if self._chance.random() < 0.1:
            self._killed()
            return
        try:
            data = data_of(self._running)
        except OSError:
            return  # the data daemon is dead at the moment
        try:
            report = collect(data, self._options, RecordingLog(), lambda _count: None)
        except JobError:
            pass  # the data daemon has died, or another run is about to be killed
        else:
            assert not report.verdicts[Verdict.RESTORE].blobs
            self.purged += report.verdicts[Verdict.PURGE].blobs
        finally:
            data.close()

    def _killed(self) -> None:
        environ = {**os.environ, **self._running.dmd_data.environ}
        with self.alone:
            process = subprocess.Popen([sys.executable, "-m", "dmd", "gc", "--apply"], env=environ)
            self.wait(self._chance.random() * 2)
            process.kill()
            process.wait()
