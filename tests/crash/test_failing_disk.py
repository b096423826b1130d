"""A disk that fails under the metadata store in the middle of a group commit.

What became of the commit is unknown then, so nobody is answered: the process ends, says why in one
line, and the supervisor starts it again on what is on the disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash.test_metadata_kill import Worker, connected, verify
from tests.faults.failing_calls import KINDS
from tests.faults.stores import assert_metadata_is_well
from tests.interop.daemons import MetadataProcess
from tests.interop.raw_client import RawClient, raw_client
from tests.servers import process_tree
from tests.unit.dmd.metadata.support import until

WRITERS = 16
BATCHES = 200
EX_IOERR = 74


@pytest.fixture(params=KINDS)
def daemon(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MetadataProcess]:
    """A daemon under its supervisor; from SIGUSR1 on its disk fails."""
    daemon = MetadataProcess(tmp_path)
    failing = [sys.executable, "-m", "tests.faults.failing_calls", request.param, "dmd.metadata"]
    children = [["dmd-metadata", failing, []]]
    arguments = json.dumps([children, "dmd", 10])
    daemon.process.forked = False
    daemon.process.argv = [sys.executable, "-m", "shared.process.supervisor", arguments]
    daemon.start()
    yield daemon
    daemon.process.kill()


class Plain:
    """A client that cannot ask again: what it was answered is all that it knows."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.refused: list[str] = []

    async def run(self, raw: RawClient) -> None:
        """Put one record after the other until the connection ends."""
        while True:
            key = f"plain/{len(self.acknowledged):06}"
            try:
                await raw.result(len(self.acknowledged), "put", [key, "v", {}], ["..plain"])
            except ConnectionError:
                return
            except AssertionError as error:
                # What comes between the failure and the end is told that it comes too late.
                too_late = '"code":503' in str(error) and "is stopping" in str(error)
                if not raw.closed and not too_late:
                    raise
                if too_late:
                    self.refused.append(key)
                return
            self.acknowledged.append(key)


def events(daemon: MetadataProcess, event: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in daemon.process.output.splitlines()]
    return [line for line in lines if line["event"] == event]


async def test_a_commit_that_the_disk_refuses_answers_nobody_and_loses_nothing(
    daemon: MetadataProcess,
) -> None:
    workers = [Worker(f"w{number:02}") for number in range(WRITERS)]
    plain = Plain()

    def batches() -> int:
        return sum(worker.batches for worker in workers)

    async def persist(worker: Worker) -> None:
        # A call that was never sent, because the connection ended first, says nothing.
        while worker.unknown is None and not worker.stopping:
            await worker.run(client)

    async with connected(daemon) as client, raw_client(daemon.port) as raw:
        running = [asyncio.create_task(persist(worker)) for worker in workers]
        running.append(asyncio.create_task(plain.run(raw)))
        await until(lambda: batches() > BATCHES)
        assert daemon.process.handle is not None
        (child,) = process_tree(daemon.process.handle.pid)
        os.kill(child, signal.SIGUSR1)
        await until(lambda: bool(events(daemon, "child restarts")))
        # Those who can ask again go on by themselves.
        before = batches()
        await until(lambda: batches() > before + BATCHES)
        # Nothing is under way when the store is read.
        for worker in workers:
            worker.stopping = True
        await asyncio.gather(*running)

    (ended,) = events(daemon, "child restarts")
    assert ended["exit_code"] == EX_IOERR
    (said,) = events(daemon, "the outcome of a commit is unknown")
    assert (said["level"], said["pid"]) == ("error", child)
    assert "Traceback" not in daemon.process.output
    async with connected(daemon) as client:
        await verify(client, workers)
        reads = [{"subLevel": ["..plain"], "key": key} for key in plain.acknowledged]
        assert None not in await client.call("getMany", [reads[:1000]])
        for key in plain.refused:
            read = {"subLevel": ["..plain"], "key": key}
            assert await client.call("getMany", [[read]]) == [None]
    assert all(worker.acknowledged and worker.refused for worker in workers)
    assert_metadata_is_well(daemon.directory)
