"""``dmd scrub``: every blob that a record names is read, and compared with what the record says.

It runs for long beside servers at work, at a limited rate, and can go on where it stopped. What
looks damaged may only have been deleted meanwhile, so its record is read again before it is
reported, and the blob too. A record that is damaged itself is reported, as nobody knows its blobs.
"""

from __future__ import annotations

import hashlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import orjson

from dmd.data.base import BlobNotFoundError
from dmd.jobs.blob_access import DamagedError, Data
from dmd.jobs.check_plan import Problem
from dmd.jobs.errors import JobError
from dmd.jobs.record_walk import raw_records
from dmd.jobs.references import NamedData, Stretch, data_of, holds_data, still_names
from dmd.jobs.scrub_plan import Damage, Pace, Reading, ScrubState, damage_of, parse_state
from dmd.metadata import stored
from dmd.metadata.engines.base import Engine
from dmd.metadata.record_keys import RECORDS_LOWER, split

_SAVE_SECONDS: Final = 5.0
_MISSING: Final = "there is no such blob"
_UNREADABLE: Final = "the record does not match its checksum"


class Scrub:
    """One scrub; ``state`` says how far it has come, and ``save`` is called now and then."""

    def __init__(
        self,
        engine: Engine,
        data: Data,
        state: ScrubState,
        bytes_a_second: float,
        save: Callable[[ScrubState], None],
    ) -> None:
        self._engine = engine
        self._data = data
        self.state = state
        self._pace = Pace(bytes_a_second, time.monotonic())
        self._save = save

    def run(self, progress: Callable[[int], None]) -> None:
        """Read everything that is left; ``progress`` is told bytes.

        Raises JobError when the blobs cannot be reached, EngineError, OSError.
        """
        state = self.state
        saved_at = time.monotonic()
        start = bytes.fromhex(state.cursor) + b"\0" if state.cursor else RECORDS_LOWER
        for physical, value in raw_records(self._engine, start):
            try:
                named = data_of(physical, stored.unpack(physical, value))
            except stored.CorruptRecordError:
                self._unreadable(physical)
            else:
                if named is None:
                    continue
                self._blobs(named, progress)
            state.cursor = physical.hex()
            if time.monotonic() > saved_at + _SAVE_SECONDS:
                self._save(state)
                saved_at = time.monotonic()
        state.complete = True
        self._save(state)

    def _blobs(self, named: NamedData, progress: Callable[[int], None]) -> None:
        state = self.state
        for stretch in named.stretches:
            reason = self._damage(stretch, progress)
            if reason is not None:
                reason = self._confirmed(named, stretch, progress)
            if reason is not None:
                state.found(_place(named.physical, stretch.key.hex(), reason))
            state.blobs += 1
            state.unverified += stretch.md5 is None

    def _unreadable(self, physical: bytes) -> None:
        """A record is damaged, which is reported if its blobs would have been read."""
        if holds_data(split(physical)[0]):
            self.state.found(_place(physical, "", _UNREADABLE))

    def _confirmed(
        self, named: NamedData, stretch: Stretch, progress: Callable[[int], None]
    ) -> str | None:
        """What is wrong with a blob at a second look, None when its record no longer names it."""
        reason = self._damage(stretch, progress)
        if reason is None or not still_names(self._engine, named.physical, stretch):
            return None
        return reason

    def _damage(self, stretch: Stretch, progress: Callable[[int], None]) -> str | None:
        return damage_of(stretch.size, stretch.md5, self._read(stretch.key, progress))

    def _read(self, key: bytes, progress: Callable[[int], None]) -> Reading:
        digest = hashlib.md5(usedforsecurity=False)
        size = 0
        try:
            blob = self._data.open(key)
            try:
                for block in blob.blocks():
                    digest.update(block)
                    size += len(block)
                    self.state.bytes += len(block)
                    progress(len(block))
                    time.sleep(self._pace.pause(len(block), time.monotonic()))
            finally:
                blob.close()
        except BlobNotFoundError:
            return Reading(problem=_MISSING)
        except DamagedError as error:
            # A daemon that went away is no damage: asking it anything tells.
            self._data.owners()
            return Reading(problem=str(error))
        return Reading(size, digest.hexdigest())


def deep_problems(engine: Engine, data: Data, known: Sequence[Problem]) -> Iterator[Problem]:
    """What ``dmd check --deep`` finds besides what is ``known``: every blob is read, once, as fast
    as it goes. Raises as ``Scrub.run``."""
    state = ScrubState("")
    Scrub(engine, data, state, math.inf, lambda _: None).run(lambda _: None)
    told = {(tuple(problem.sub_level), problem.key) for problem in known}
    for damage in state.damage:
        key = damage.key if damage.version is None else f"{damage.key}\0{damage.version}"
        if (tuple(damage.sub_level), key) not in told:
            text = f"its blob {damage.blob} is damaged: {damage.reason}"
            yield Problem("damaged-data", tuple(damage.sub_level), key, text)


def _place(physical: bytes, blob: str, reason: str) -> Damage:
    sub_level, name = split(physical)
    key, separator, version = name.partition("\0")
    return Damage(sub_level, key, version if separator else None, blob, reason)


def load_state(path: Path | None, metadata: str) -> ScrubState:
    """Where to go on, by a file that may not exist yet. Raises JobError, OSError."""
    if path is None or not path.exists():
        return ScrubState(metadata)
    try:
        return parse_state(orjson.loads(path.read_bytes()), metadata)
    except ValueError as error:
        raise JobError(f"{path}: {error}; move it away to begin anew") from error


def save_state(path: Path, state: ScrubState) -> None:
    """Keep a state durably. Raises OSError."""
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("wb") as file:
        file.write(orjson.dumps(state.document(), option=orjson.OPT_INDENT_2) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    unfinished.rename(path)
