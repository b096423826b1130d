"""Processes of background work: whatever one worker does, or becomes of one process, the work goes
on, and each job is done once."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from s3front.metadata.outbox import append
from s3front.work.job_lease import EXPIRES_SECONDS, LOOK_SECONDS
from shared.records.names import DEAD_LETTERS, LEASES, WORK_STATUS
from tests.faults.stores import call_metadata, stored_records
from tests.faults.work_process import COUNTED, COUNTING, DEAF, UNBEARABLE
from tests.servers import Cluster, Process, cluster, wait_for

SECONDS_TO_NOTICE = 5.0
"""What a loaded machine may need besides."""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("work"), fronts=0) as started:
        yield started


@contextmanager
def working(running: Cluster, name: str, *workers: str) -> Iterator[Process]:
    """A process of background work with these workers."""
    process = running._process(name, "tests.faults.work_process", *workers)
    process.start()
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture(autouse=True)
def _nothing_is_left(running: Cluster) -> Iterator[None]:
    yield
    levels = [COUNTED, DEAD_LETTERS, LEASES, WORK_STATUS]
    for level, records in stored_records(running, levels).items():
        for key in records:
            call_metadata(running, "del", [key, {}], [level])


def queue(running: Cluster, *numbers: int) -> None:
    operations = [append(COUNTING, {"number": number}) for number in numbers]
    call_metadata(running, "batch", [operations, {}], [])


def counted(*processes: Process) -> list[int]:
    """The numbers that these have counted, in the order in which each did."""
    lines = [line for process in processes for line in process.output.splitlines()]
    return [json.loads(line)["number"] for line in lines if '"counted"' in line]


def holder(running: Cluster, worker: str) -> str:
    """Who has a lease; empty when nobody has."""
    found = stored_records(running, [LEASES])[LEASES].get(worker)
    return found["holder"] if found else ""


def status(running: Cluster, worker: str) -> dict[str, Any]:
    found: dict[str, Any] = stored_records(running, [WORK_STATUS])[WORK_STATUS].get(worker, {})
    return found


def test_workers_that_raise_and_hang_and_bad_entries_stop_nothing(running: Cluster) -> None:
    queue(running, UNBEARABLE, 1)
    call_metadata(running, "put", ["0.poison", "[poison", {}], [COUNTED])
    with working(running, "odd", "raising", "hanging", "deaf", "counting") as process:
        wait_for(lambda: counted(process) == [1], "the good entry to be done")
        wait_for(lambda: process.output.count("RuntimeError: a defect") >= 2, "two failures")
        wait_for(lambda: "LeaseLostError" in process.output, "the deaf worker to be refused")
        wait_for(lambda: not holder(running, "hanging"), "the hanging worker's lease to be free")
        wait_for(lambda: status(running, "raising").get("failures", 0) >= 2, "its status")
        assert "a defect" in status(running, "raising")["reason"]
        assert holder(running, "counting")
        (entry,) = stored_records(running, [COUNTED])[COUNTED].values()
        assert (entry["number"], entry["tries"]) == (UNBEARABLE, 1)
        (letter,) = stored_records(running, [DEAD_LETTERS])[DEAD_LETTERS].values()
        assert (letter["key"], letter["entry"]) == ("0.poison", "[poison")
    assert not stored_records(running, [DEAF])[DEAF]


def test_when_the_holder_is_killed_another_one_takes_over_within_seconds(running: Cluster) -> None:
    with (
        working(running, "first", "counting") as first,
        working(running, "second", "counting") as second,
    ):
        both = {f":{process.pid}:": process for process in (first, second)}
        wait_for(lambda: bool(holder(running, "counting")), "a holder")
        (killed,) = [each for pid, each in both.items() if pid in holder(running, "counting")]
        (other,) = [each for each in both.values() if each is not killed]
        os.kill(killed.pid, signal.SIGKILL)
        since = time.monotonic()
        queue(running, 1)
        limit = EXPIRES_SECONDS + 2 * LOOK_SECONDS + SECONDS_TO_NOTICE
        wait_for(lambda: counted(other) == [1], "the other process to take over", limit)
        assert time.monotonic() - since < limit
        assert counted(killed) == []


def test_after_a_clean_stop_another_one_takes_over_at_once(running: Cluster) -> None:
    with working(running, "stopped", "counting") as stopped:
        wait_for(lambda: bool(holder(running, "counting")), "a holder")
        assert stopped.stop() == 0
    assert holder(running, "counting") == ""
    with working(running, "next", "counting") as successor:
        queue(running, 1)
        wait_for(lambda: counted(successor) == [1], "the next one to begin", SECONDS_TO_NOTICE)


def test_a_holder_that_stood_still_has_lost_its_lease(running: Cluster) -> None:
    with working(running, "frozen", "counting") as frozen:
        wait_for(lambda: f":{frozen.pid}:" in holder(running, "counting"), "a holder")
        os.kill(frozen.pid, signal.SIGSTOP)
        with working(running, "successor", "counting") as successor:
            queue(running, 1)
            wait_for(lambda: counted(successor) == [1], "another one to take over")
            os.kill(frozen.pid, signal.SIGCONT)
            queue(running, 2)
            wait_for(lambda: counted(successor) == [1, 2], "it to go on")
            # The other one may perform again what is not yet committed, but its own commit is
            # refused: what the holder tells as done, it has committed.
            wait_for(lambda: status(running, "counting").get("done") == 2, "both to be its own")
            assert f":{successor.pid}:" in holder(running, "counting")


def test_two_processes_do_each_job_once(running: Cluster) -> None:
    numbers = list(range(500))
    with (
        working(running, "one", "counting") as one,
        working(running, "two", "counting") as two,
    ):
        for start in range(0, len(numbers), 50):
            queue(running, *numbers[start : start + 50])
        wait_for(lambda: len(counted(one, two)) >= len(numbers), "all entries to be done")
        wait_for(lambda: not stored_records(running, [COUNTED])[COUNTED], "the queue to be empty")
        # Some are done at the same time, so only about in their order.
        assert sorted(counted(one, two)) == numbers
