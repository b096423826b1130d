"""``dmd check``: every record of a metadata store, read and judged.

It runs beside a daemon or without one, and changes nothing. A name that looks wrong is read again
in one snapshot before it is reported, since a walk sees different moments.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson

from dmd.jobs.check_plan import NameCheck, Problem
from dmd.jobs.record_walk import (
    Raw,
    end_of,
    raw_records,
    shown,
    snapshot_of,
    sub_levels,
    tick_of_version,
)
from dmd.metadata import stored
from dmd.metadata.engines.base import Engine
from dmd.metadata.record_keys import REVISION_KEY, VERSION_TICK_KEY, prefix, split
from shared.records.names import (
    METASTORE,
    UPLOADS_PREFIX,
    USERS_BUCKET,
    holds_objects,
    owner_entry_key,
)
from shared.records.upload import (
    CLOSING_PREFIX,
    OVERVIEW_PREFIX,
    closing_key,
    parse_overview_key,
    parse_part_upload,
)

Progress = Callable[[int], None]
"""Told how many more records have been read."""


def check(engine: Engine, progress: Progress) -> Iterator[Problem]:
    """What is wrong with a store; raises EngineError when it cannot be read."""
    buckets = {sub_level[0] for sub_level in _buckets(engine)}
    counters = _Counters()
    for sub_level in sub_levels(engine):
        lower, upper = prefix(sub_level), end_of(sub_level)
        records = _sound(engine, sub_level, lower, upper, progress)
        yield from _judge(engine, sub_level, counters.seen(sub_level, records), buckets)
    yield from counters.finish(engine)


def _buckets(engine: Engine) -> Iterator[tuple[str]]:
    for key, _ in raw_records(engine, prefix([METASTORE]), end_of([METASTORE])):
        yield (split(key)[1],)


Entry = tuple[str, stored.Stored]


class _Counters:
    """The store's counters against what its records have: no revision and no version ID of a record
    may be one that is still to come.

    Commits go on while a store is walked, so the counters are read when it is over.
    """

    def __init__(self) -> None:
        self._revision = 0
        self._tick = 0
        self._newest: tuple[tuple[str, ...], str] | None = None

    def seen(
        self, sub_level: tuple[str, ...], records: Iterator[Entry | Problem]
    ) -> Iterator[Entry | Problem]:
        """The same records, looked at."""
        for found in records:
            if not isinstance(found, Problem):
                name, entry = found
                self._revision = max(self._revision, entry.revision)
                tick = tick_of_version(sub_level, name, entry)
                if tick > self._tick:
                    self._tick, self._newest = tick, (sub_level, name)
            yield found

    def finish(self, engine: Engine) -> Iterator[Problem]:
        revision = _kept(engine, REVISION_KEY)
        last = 0 if revision is None else revision.revision
        if self._revision > last:
            text = f"revision {self._revision} is ahead of the store's counter, {last}"
            yield Problem("revision-counter", (), "", text)
        kept = _kept(engine, VERSION_TICK_KEY)
        tick = 0 if kept is None else int(kept.record)
        if self._newest is not None and self._tick > tick:
            text = (
                f"the newest version, {self._tick} at {shown(*self._newest)}, "
                f"is ahead of the store's counter of versions, {tick}"
            )
            yield Problem("version-counter", (), "", text)


def _kept(engine: Engine, key: bytes) -> stored.Stored | None:
    """A counter of the store, None when it has none that can be read."""
    with engine.snapshot() as reader:
        value = reader.get(key)
    try:
        return None if value is None else stored.unpack(key, value)
    except stored.CorruptRecordError:
        return None


def _sound(
    engine: Engine, sub_level: tuple[str, ...], lower: bytes, upper: bytes, progress: Progress
) -> Iterator[Entry | Problem]:
    """The records of a sub-level that can be read, and problems for those that cannot."""
    for raw in raw_records(engine, lower, upper):
        progress(1)
        yield _entry(sub_level, raw)


def _entry(sub_level: tuple[str, ...], raw: Raw) -> Entry | Problem:
    key, value = raw
    name = split(key)[1]
    try:
        return name, stored.unpack(key, value)
    except stored.CorruptRecordError as error:
        return Problem("damaged", sub_level, name, str(error))


def damaged_records(engine: Engine) -> Iterator[Problem]:
    """The records of a store that cannot be read. Raises EngineError."""
    for raw in raw_records(engine):
        entry = _entry(tuple(split(raw[0])[0]), raw)
        if isinstance(entry, Problem):
            yield entry


def _judge(
    engine: Engine,
    sub_level: tuple[str, ...],
    records: Iterator[Entry | Problem],
    buckets: set[str],
) -> Iterator[Problem]:
    """Problems of a sub-level."""
    if holds_objects(sub_level):
        if sub_level[0] not in buckets and not _bucket_exists(engine, sub_level[0]):
            yield Problem("no-bucket", sub_level, "", "it holds objects of no bucket")
        yield from _judge_objects(engine, sub_level, records)
        return
    uploads = len(sub_level) == 1 and sub_level[0].startswith(UPLOADS_PREFIX)
    judged = _Uploads(sub_level) if uploads else None
    for entry in records:
        if isinstance(entry, Problem):
            yield entry
            continue
        if judged is not None:
            judged.offer(entry[0])
        elif sub_level == (METASTORE,):
            yield from _judge_bucket(engine, sub_level, *entry)
    if judged is not None:
        yield from judged.finish(engine)


def _judge_objects(
    engine: Engine, sub_level: tuple[str, ...], records: Iterator[Entry | Problem]
) -> Iterator[Problem]:
    name: NameCheck | None = None
    for entry in records:
        if isinstance(entry, Problem):
            yield entry
            continue
        key, separator, version_id = entry[0].partition("\0")
        if name is None or name.name != key:
            if name is not None and name.finish():
                yield from _judge_again(engine, name)
            name = NameCheck(sub_level, key)
        name.offer(version_id if separator else None, entry[1])
    if name is not None and name.finish():
        yield from _judge_again(engine, name)


def _judge_again(engine: Engine, suspect: NameCheck) -> Iterator[Problem]:
    start = prefix(suspect.sub_level) + suspect.name.encode()
    name = NameCheck(suspect.sub_level, suspect.name)
    for raw in snapshot_of(engine, start, start + b"\x01"):
        entry = _entry(suspect.sub_level, raw)
        if isinstance(entry, Problem):
            continue  # reported already
        key, separator, version_id = entry[0].partition("\0")
        if key == suspect.name:
            name.offer(version_id if separator else None, entry[1])
    yield from name.finish()


def _bucket_exists(engine: Engine, name: str) -> bool:
    with engine.snapshot() as reader:
        return reader.get(prefix([METASTORE]) + name.encode()) is not None


def _judge_bucket(
    engine: Engine, sub_level: tuple[str, ...], name: str, entry: stored.Stored
) -> Iterator[Problem]:
    """A bucket is in its owner's list, unless it is none of anybody's: the pseudo bucket of those
    lists, or, of the original, one that holds the uploads of a bucket."""
    if name == USERS_BUCKET or name.startswith(UPLOADS_PREFIX):
        return
    try:
        owner = orjson.loads(entry.record)["owner"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        yield Problem("bucket-record", sub_level, name, "its record is no bucket document")
        return
    key = prefix([USERS_BUCKET]) + owner_entry_key(str(owner), name).encode()
    with engine.snapshot() as reader:
        missing = reader.get(key) is None
        still_there = reader.get(prefix(sub_level) + name.encode()) is not None
    if missing and still_there:
        yield Problem("not-in-owners-list", sub_level, name, "its owner's list lacks it")


class _Uploads:
    """The uploads of one bucket: parts belong to one that is under way, or that is being closed."""

    def __init__(self, sub_level: tuple[str, ...]) -> None:
        self._sub_level = sub_level
        self._alive: set[str] = set()
        self._parts: dict[str, str] = {}

    def offer(self, key: str) -> None:
        if key.startswith(OVERVIEW_PREFIX):
            self._alive.add(parse_overview_key(key)[1])
        elif key.startswith(CLOSING_PREFIX):
            self._alive.add(key.removeprefix(CLOSING_PREFIX))
        else:
            self._parts.setdefault(parse_part_upload(key), key)

    def finish(self, engine: Engine) -> Iterator[Problem]:
        base = prefix(self._sub_level)
        for upload_id, key in self._parts.items():
            if upload_id in self._alive:
                continue
            with engine.snapshot() as reader:
                # It may have been completed, and its parts be on their way out, meanwhile.
                gone = reader.get(base + key.encode()) is None
                closing = reader.get(base + closing_key(upload_id).encode()) is not None
            if not gone and not closing:
                yield Problem("orphan-part", self._sub_level, key, "it is a part of no upload")
