"""Parts that the tests of the metadata daemon share: a scripted engine, a log, waiting."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from dmd.metadata.engines.base import EngineError, EngineFatalError, Reader, Transaction
from dmd.metadata.engines.memory import MemoryEngine
from dmd.metadata.mutations import Delete, Mutation, Put
from dmd.metadata.stored import NO_PROJECTION

DEADLINE_SECONDS = 20.0


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; fails the test when it does not come."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come"
        await asyncio.sleep(0.001)


class RecordingLog:
    """Keeps the events that were logged, and in ``lines`` what was said with them."""

    shows_debug = False

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.lines]

    def bind(self, **_fields: object) -> RecordingLog:
        return self

    def debug(self, event: str, /, **_fields: object) -> None:
        """Calls are not of interest."""

    def info(self, event: str, /, **fields: object) -> None:
        self.lines.append((event, fields))

    warning = error = info


class ScriptedEngine:
    """A memory engine whose commits are recorded, can be held back, and can be made to fail.

    ``commits`` has the keys that each committed transaction put or deleted. While ``gate`` is
    cleared a commit waits at its very end, in which case ``held`` is set.
    """

    def __init__(self) -> None:
        self.inner = MemoryEngine()
        self.key_bytes_max = self.inner.key_bytes_max
        self.commits: list[list[bytes]] = []
        self.bad_keys: set[bytes] = set()
        self.fatal_keys: set[bytes] = set()
        self.gate = threading.Event()
        self.gate.set()
        self.held = threading.Event()

    def snapshot(self) -> AbstractContextManager[Reader]:
        return self.inner.snapshot()

    @contextmanager
    def transaction(self) -> Iterator[Transaction]:
        with self.inner.transaction() as inner:
            transaction = _Recorded(inner, self.bad_keys)
            yield transaction
            if not self.gate.is_set():
                self.held.set()
                assert self.gate.wait(DEADLINE_SECONDS)
                self.held.clear()
            if self.fatal_keys.intersection(transaction.changed):
                raise EngineFatalError("the fsync failed")
        self.commits.append(transaction.changed)

    def backup(self, directory: Path) -> None:
        self.inner.backup(directory)

    def close(self) -> None:
        self.inner.close()


class _Recorded:
    """A transaction that notes what it changes, and refuses to put some keys."""

    def __init__(self, inner: Any, bad_keys: set[bytes]) -> None:
        self._inner = inner
        self._bad_keys = bad_keys
        self.changed: list[bytes] = []
        self.get = inner.get
        self.range = inner.range
        self.first = inner.first
        self.first_apart = inner.first_apart
        self.expect = inner.expect

    def put(self, key: bytes, value: bytes) -> None:
        if key in self._bad_keys:
            raise EngineError("the map is full")
        self.changed.append(key)
        self._inner.put(key, value)

    def delete(self, key: bytes) -> None:
        self.changed.append(key)
        self._inner.delete(key)


def put(key: bytes, record: bytes = b"{}") -> Put:
    """A put without a projection."""
    return Put(key, record, NO_PROJECTION, b"")


def putting(*keys: bytes) -> Mutation:
    """A mutation that puts a record at each key."""
    return Mutation(tuple(put(key) for key in keys))


def deleting(*keys: bytes) -> Mutation:
    """A mutation that removes keys."""
    return Mutation(tuple(Delete(key) for key in keys))


class HarmlessTimer:
    """In the place of ``dmd.ownership.kill_timer.KillTimer`` where the owner is the process of the
    tests."""

    def kill_at(self, moment: float) -> None:
        """Let it live: a machine that is busy for a second would end all tests."""

    def disarm(self) -> None:
        """Nothing is armed."""
