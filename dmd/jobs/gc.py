"""``dmd gc``: blobs that no record names are found, put into quarantine, and later removed.

``dmd.jobs.gc_plan`` says when; this module reads and acts. It holds a fraction of the keys in
memory at a time. It may be killed anywhere: what it has done is right by itself, and the next run
goes on.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dmd.belonging import read_uuid
from dmd.jobs import gc_journal
from dmd.jobs.blob_access import Data
from dmd.jobs.errors import JobError
from dmd.jobs.gc_journal import Journal
from dmd.jobs.gc_plan import Blob, Tally, Verdict, Waits, judge, ownership_problem
from dmd.jobs.partitions import PARTITIONS, Partitions
from dmd.jobs.references import named_blobs
from dmd.metadata.metadata_directory import open_engine
from dmd.ownership.owned_directory import is_owned
from shared.failpoints import FailPoint, failpoint
from shared.process.logs import EventLog

_LISTED: Final = ">20sQQ?"
_NAMED: Final = ">20s"
_LOCK_NAME: Final = "gc.lock"

Progress = Callable[[int], None]
"""Told how many more records or blobs have been looked at."""


@dataclass(frozen=True, slots=True)
class GcOptions:
    """``metadata``: the directories of all stores whose blobs the data directory holds, the one
    that keeps the journal first. Waits are seconds; without ``apply`` nothing is changed."""

    metadata: Sequence[Path]
    grace_seconds: float
    quarantine_seconds: float
    apply: bool = False


@dataclass(slots=True)
class GcReport:
    """What there was, by what was decided, or with ``applied``, done about it."""

    applied: bool
    verdicts: dict[Verdict, Tally] = field(
        default_factory=lambda: {verdict: Tally() for verdict in Verdict}
    )

    def count(self, found: _Found) -> None:
        """Count a blob by what became of it."""
        self.verdicts[found.verdict].add(found.key.hex(), found.size)


def given_owner(metadata: Path) -> str:
    """The UUID of a metadata directory. Raises StartupError, JobError."""
    known = read_uuid(metadata)
    if known is None:
        raise JobError(f"{metadata}: this metadata has no UUID yet; start its daemon once")
    return known


def check_owners(data: Data, metadata: Sequence[Path]) -> None:
    """Refuse to judge blobs by anything but all metadata that names them. Raises JobError."""
    problem = ownership_problem(set(map(given_owner, metadata)), set(data.owners()))
    if problem is not None:
        raise JobError(problem)
    for path in metadata:
        if data.live and not is_owned(path):
            raise JobError(
                f"{path}: a data daemon runs, and no daemon serves this metadata: is it a copy?"
            )


def collect(data: Data, options: GcOptions, log: EventLog, progress: Progress) -> GcReport:
    """Collect garbage. Raises JobError, StartupError, EngineError, CorruptRecordError, OSError."""
    home = options.metadata[0]
    check_owners(data, options.metadata)
    with ExitStack() as opened:
        opened.enter_context(_alone(home))
        listed, named, since = (
            opened.enter_context(Partitions(home, layout))
            for layout in (_LISTED, _NAMED, gc_journal.LAYOUT)
        )
        for entry in gc_journal.read_journal(home):
            since.add(*entry)
        clock = _list(data, listed, progress)
        failpoint(FailPoint.AFTER_GC_LISTING)
        for path in options.metadata:
            _read_names(path, named, progress)
        waits = Waits(
            clock.start_ms,
            round(options.grace_seconds * 1000),
            round(options.quarantine_seconds * 1000),
        )
        judged = _Judged(listed, named, since, waits)
        report = GcReport(options.apply)
        if not options.apply:
            for found in judged:
                report.count(found)
            return report
        waiting = ((found.key, found.since_ms) for found in judged if found.stays_in_quarantine)
        with Journal(home, waiting) as journal:
            for found in judged:
                if _act(data, found, journal, clock):
                    report.count(found)
                if found.verdict is Verdict.RESTORE:
                    log.error("a blob in quarantine is named by a record", key=found.key.hex())
                progress(1)
            journal.sync()
        data.reclaim()
        return report


@dataclass(frozen=True, slots=True)
class _Clock:
    """The data daemon's clock, as it was when the listing began, and goes on from there."""

    start_ms: int
    started: float

    def now_ms(self) -> int:
        return self.start_ms + round((time.monotonic() - self.started) * 1000)


@dataclass(frozen=True, slots=True)
class _Found:
    """A blob that was judged."""

    key: bytes
    size: int
    verdict: Verdict
    since_ms: int

    @property
    def stays_in_quarantine(self) -> bool:
        """For now: one that is to be removed is, until it has been."""
        return self.verdict in (Verdict.WAIT, Verdict.PURGE)


class _Judged:
    """All listed blobs, judged; may be gone through again and again."""

    def __init__(
        self, listed: Partitions, named: Partitions, since: Partitions, waits: Waits
    ) -> None:
        self._listed = listed
        self._named = named
        self._since = since
        self._waits = waits

    def __iter__(self) -> Iterator[_Found]:
        for partition in range(PARTITIONS):
            names = {key for (key,) in self._named.read(partition)}
            times = dict(self._since.read(partition))
            for key, size, created_ms, quarantined in self._listed.read(partition):
                since_ms = times.get(key)
                blob = Blob(created_ms, quarantined, key in names, since_ms)
                known_ms = self._waits.now_ms if since_ms is None else since_ms
                yield _Found(key, size, judge(blob, self._waits), known_ms)


def _list(data: Data, listed: Partitions, progress: Progress) -> _Clock:
    clock: _Clock | None = None
    for now_ms, blobs in data.pages():
        clock = clock or _Clock(now_ms, time.monotonic())
        for blob in blobs:
            listed.add(blob.key, blob.size, blob.created_ms, blob.quarantined)
        progress(len(blobs))
    assert clock is not None
    return clock


def _read_names(metadata: Path, named: Partitions, progress: Progress) -> None:
    engine = open_engine(metadata, read_only=True)
    try:
        named_blobs(engine, named.add, progress)
    finally:
        engine.close()


def _act(data: Data, found: _Found, journal: Journal, clock: _Clock) -> bool:
    """Do what was decided about a blob; False when the blob has changed since it was listed."""
    if found.verdict is Verdict.QUARANTINE:
        if not data.quarantine(found.key):
            return False
        failpoint(FailPoint.AFTER_GC_QUARANTINE)
        journal.add(found.key, clock.now_ms())
    elif found.verdict is Verdict.RESTORE:
        return data.restore(found.key)
    elif found.verdict is Verdict.PURGE:
        if not data.purge(found.key):
            return False
        failpoint(FailPoint.AFTER_GC_PURGE)
    return True


def no_collection(folder: Path) -> AbstractContextManager[None]:
    """Let no collection with this metadata begin, for a ``with``; raises JobError when one runs."""
    return _locked(folder, fcntl.LOCK_SH, "a garbage collection is running")


def _alone(folder: Path) -> AbstractContextManager[None]:
    """Keep other collections with this metadata away; raises JobError."""
    return _locked(folder, fcntl.LOCK_EX, "a garbage collection is running already, or a backup")


@contextmanager
def _locked(folder: Path, kind: int, refusal: str) -> Iterator[None]:
    descriptor = os.open(folder / _LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JobError(f"{folder}: {refusal}") from None
        yield
    finally:
        os.close(descriptor)
