"""``dmd dump`` and ``dmd load``: a metadata store as lines of JSON, whatever its engine.

The first line is the header, the last one counts the records, so that a file that was cut off is
known. Every other line is a record: ``{"s": sub-level, "k": key, "v": value, "r": revision}``; the
daemon derives all else. A dump is read in slices beside a daemon: it is consistent when the daemon
is stopped, and else each record is as it was at some moment of the dump; ``dmd backup`` is the
consistent copy of a live store.

A dump of a damaged store that nobody uses has what can be read of it (``dmd.jobs.salvage``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import orjson

from dmd.belonging import read_uuid
from dmd.errors import StartupError
from dmd.jobs.backup import install
from dmd.jobs.errors import JobError
from dmd.jobs.record_walk import counters_of, raw_records, tick_of_version
from dmd.jobs.salvage import Found, Salvage, salvage, saved_counters
from dmd.metadata import record_keys, stored
from dmd.metadata.engines.base import Engine, Transaction
from dmd.metadata.metadata_directory import open_engine
from dmd.metadata.projection import project
from dmd.ownership.owned_directory import is_owned
from shared.errors import ServiceError

FORMAT = 1
_HEADER = "twofoldMetadataDump"
_BATCH_RECORDS = 2000

Progress = Callable[[int], None]


def dump(
    metadata: Path, output: BinaryIO, progress: Progress, report: Salvage | None = None
) -> int:
    """Write the store of a directory to a stream; how many records.

    With ``report``, which is filled, whatever is readable of a damaged one that no daemon uses.
    Raises StartupError, EngineError, CorruptRecordError.
    """
    if report is not None:
        if is_owned(metadata):
            raise JobError(f"{metadata}: a daemon is using this metadata; stop it first")
        found = salvage(metadata, report, progress)
        return _write(output, _uuid_if_readable(metadata, report), saved_counters(metadata), found)
    engine = open_engine(metadata, read_only=True)
    try:
        unpacked = ((key, stored.unpack(key, value)) for key, value in raw_records(engine))
        return _write(output, read_uuid(metadata), _counters(engine), _counted(unpacked, progress))
    finally:
        engine.close()


def _counted(found: Iterator[Found], progress: Progress) -> Iterator[Found]:
    for entry in found:
        yield entry
        progress(1)


def _write(
    output: BinaryIO, uuid: str | None, counters: dict[str, Any], found: Iterator[Found]
) -> int:
    output.write(orjson.dumps({_HEADER: FORMAT, "uuid": uuid, "counters": counters}) + b"\n")
    count = 0
    for key, entry in found:
        sub_level, name = record_keys.split(key)
        line = {"s": sub_level, "k": name, "v": entry.record.decode(), "r": entry.revision}
        output.write(orjson.dumps(line) + b"\n")
        count += 1
    output.write(orjson.dumps({"records": count}) + b"\n")
    return count


def _uuid_if_readable(metadata: Path, report: Salvage) -> str | None:
    try:
        return read_uuid(metadata)
    except StartupError as error:
        report.problems.append(str(error))
        return None


def load(source: BinaryIO, metadata: Path, progress: Progress, *, keep_uuid: bool = False) -> int:
    """Make the store of a directory that has none from a dump; how many records. Raises JobError
    when the dump is not whole or not one, and StartupError.

    The store gets a UUID of its own, or with ``keep_uuid`` that of the store that was dumped, whose
    place it takes then: data directories know their metadata by it.
    """
    lines = _documents(source)
    header = next(lines, {})
    if header.get(_HEADER) != FORMAT:
        raise JobError(f"this is no metadata dump of format {FORMAT}")
    count = 0

    def build(folder: Path) -> None:
        nonlocal count
        engine = open_engine(folder)
        try:
            count = _fill(engine, header, lines, progress)
        finally:
            engine.close()

    install(metadata, build, header.get("uuid") if keep_uuid else None)
    return count


def _fill(
    engine: Engine,
    header: dict[str, Any],
    lines: Iterator[dict[str, Any]],
    progress: Progress,
) -> int:
    count = 0
    counted = _Counted()
    while True:
        with engine.transaction() as transaction:
            for _ in range(_BATCH_RECORDS):
                line = next(lines, None)
                if line is None:
                    raise JobError("the dump ends early: its last line is missing")
                if "records" in line:
                    if line["records"] != count:
                        raise JobError(f"the dump has {count} of {line['records']} records")
                    _put_counters(transaction, header["counters"], counted)
                    return count
                key, entry = _stored(engine, line)
                transaction.put(key, stored.pack(key, entry))
                counted.see(*record_keys.split(key), entry)
                count += 1
                progress(1)


def _stored(engine: Engine, line: dict[str, Any]) -> tuple[bytes, stored.Stored]:
    try:
        sub_level, name, revision = line["s"], line["k"], line["r"]
        record = record_keys.encode(line["v"])
        key = record_keys.physical(sub_level, name, engine.key_bytes_max)
        return key, stored.Stored(revision, *project(sub_level, record), record)
    except (KeyError, TypeError, AttributeError, ServiceError) as error:
        raise JobError(f"a line of the dump is no record: {error!r}") from error


def _counters(engine: Engine) -> dict[str, tuple[int, str]]:
    """The store's own counters, by name."""
    with engine.snapshot() as reader:
        return counters_of(reader)


class _Counted:
    """The highest of what the store counts, as its records have it."""

    def __init__(self) -> None:
        self.revision = 0
        self.tick = 0

    def see(self, sub_level: list[str], name: str, entry: stored.Stored) -> None:
        self.revision = max(self.revision, entry.revision)
        self.tick = max(self.tick, tick_of_version(sub_level, name, entry))


def _put_counters(transaction: Transaction, counters: dict[str, Any], counted: _Counted) -> None:
    # The dump has them from its beginning, and commits went on while a live store was dumped.
    known = {b"\0" + name.encode(): entry for name, entry in counters.items()}
    revision, _ = known.get(record_keys.REVISION_KEY, (0, ""))
    _, tick = known.get(record_keys.VERSION_TICK_KEY, (0, "0"))
    revision, tick = max(revision, counted.revision), max(int(tick), counted.tick)
    for key, number, text in (
        (record_keys.REVISION_KEY, revision, ""),
        (record_keys.VERSION_TICK_KEY, 0, str(tick) if tick else ""),
    ):
        if number or text:
            entry = stored.Stored(number, stored.NO_PROJECTION, b"", text.encode())
            transaction.put(key, stored.pack(key, entry))


def _documents(source: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(source, 1):
        try:
            document = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise JobError(f"line {number} of the dump is no JSON") from error
        if not isinstance(document, dict):
            raise JobError(f"line {number} of the dump is no object")
        yield document
