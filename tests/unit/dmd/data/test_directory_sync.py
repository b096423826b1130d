"""Directory syncs are shared, and never with one that began too early."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from dmd.data.directory_sync import SharedSync

HERE = Path("/some/directory")
DEADLINE_SECONDS = 10.0


class SlowSync:
    """Stands for the disk: counts its calls, and lets each one end when the test says so."""

    def __init__(self) -> None:
        self.began = threading.Semaphore(0)
        self.may_end = threading.Semaphore(0)
        self.calls: list[Path] = []
        self.error: OSError | None = None

    def __call__(self, path: Path) -> None:
        self.calls.append(path)
        self.began.release()
        assert self.may_end.acquire(timeout=DEADLINE_SECONDS)
        if self.error is not None:
            raise self.error


def sync_from_threads(shared: SharedSync, disk: SlowSync, followers: int) -> list[Future[None]]:
    """Begin one sync, then ``followers`` more while it runs; wait until all of them wait."""
    pool = ThreadPoolExecutor(followers + 1)
    calls = [pool.submit(shared, HERE)]
    assert disk.began.acquire(timeout=DEADLINE_SECONDS)
    calls += [pool.submit(shared, HERE) for _ in range(followers)]
    pool.shutdown(wait=False)
    return calls


def test_a_writer_waits_for_a_sync_that_began_after_it() -> None:
    disk = SlowSync()
    first, second = sync_from_threads(SharedSync(disk), disk, followers=1)
    disk.may_end.release()
    first.result(DEADLINE_SECONDS)
    assert disk.began.acquire(timeout=DEADLINE_SECONDS)
    assert not second.done()
    disk.may_end.release()
    second.result(DEADLINE_SECONDS)


def test_many_writers_share_syncs() -> None:
    disk = SlowSync()
    calls = sync_from_threads(SharedSync(disk), disk, followers=20)
    disk.may_end.release(21)
    for call in calls:
        call.result(DEADLINE_SECONDS)
    assert len(disk.calls) < len(calls)


def test_a_failure_reaches_everybody_who_waited_for_it() -> None:
    disk = SlowSync()
    disk.error = OSError(5, "Input/output error")
    calls = sync_from_threads(SharedSync(disk), disk, followers=5)
    disk.may_end.release(6)
    assert all(isinstance(call.exception(DEADLINE_SECONDS), OSError) for call in calls)


def test_a_sync_after_a_failure_is_a_new_one() -> None:
    disk = SlowSync()
    shared = SharedSync(disk)
    disk.may_end.release(2)
    disk.error = OSError(5, "Input/output error")
    with pytest.raises(OSError, match="Input/output"):
        shared(HERE)
    disk.error = None
    shared(HERE)
    assert len(disk.calls) == 2


def test_different_directories_are_synced_at_the_same_time() -> None:
    disk = SlowSync()
    shared = SharedSync(disk)
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(shared, HERE / name) for name in ("1", "2")]
        both_began = all(disk.began.acquire(timeout=DEADLINE_SECONDS) for _ in calls)
        disk.may_end.release(2)
        for call in calls:
            call.result(DEADLINE_SECONDS)
    assert both_began
