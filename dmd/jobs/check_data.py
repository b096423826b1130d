"""``dmd check``, the second half: metadata and blobs against each other.

Metadata is read first and blobs are listed afterwards, so what is named and not listed was deleted
in between, or is missing. Whatever looks wrong is looked at again by itself: the record that names
it as it is by then, and the blob. So servers may be at work meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from dmd.belonging import named_metadata, read_uuid
from dmd.data.base import BlobNotFoundError
from dmd.jobs.blob_access import DamagedError, Data
from dmd.jobs.check_plan import Problem
from dmd.jobs.gc_plan import Blob, Tally, Verdict, Waits, judge
from dmd.jobs.partitions import PARTITIONS, Partitions
from dmd.jobs.references import (
    NamedData,
    Stretch,
    data_of,
    keys_in,
    named_data,
    readable_records,
    still_names,
)
from dmd.metadata.engines.base import Engine
from dmd.metadata.record_keys import split
from shared.config import Config

_LISTED: Final = ">20sQQ?"
_OWNED: Final = ">20sQ"
_NAMED: Final = ">20s"

SUSPECTS_MAX: Final = 100_000
"""Blobs that are looked at again; when there are more, whole stores do not belong together."""

Progress = Callable[[int], None]
"""Told how many more records and blobs have been read."""


def check_belonging(config: Config, data: Data) -> Iterator[Problem]:
    """Whether the blobs say that they are those of this metadata, or do not say. Raises JobError,
    StartupError."""
    found = read_uuid(config.metadata_path)
    named = {*data.owners(), *named_metadata(config.data_path)}
    if found is not None and named and found not in named:
        text = f"the blobs are those of metadata {', '.join(sorted(named))}, and this is {found}"
        yield Problem("other-metadata", (), "", text)


class DataCheck:
    """One comparison. ``folder`` is for files without a name; ``grace_seconds`` that of garbage
    collection."""

    def __init__(self, engine: Engine, data: Data, folder: Path, grace_seconds: float) -> None:
        self._engine = engine
        self._data = data
        self._folder = folder
        self._grace_ms = round(grace_seconds * 1000)
        self.garbage = Tally()
        """Blobs that no record names, once ``run`` has ended."""
        self.elsewhere: Counter[str] = Counter()
        """Blobs that are not the data daemon's, by the type of their place: nobody looked."""

    def run(self, progress: Progress) -> Iterator[Problem]:
        """What is wrong. Raises JobError, EngineError, OSError."""
        with (
            Partitions(self._folder, _OWNED) as owned,
            Partitions(self._folder, _NAMED) as named,
            Partitions(self._folder, _LISTED) as listed,
        ):
            self._read_records(owned, named, progress)
            now_ms = self._list_blobs(listed, progress)
            suspects = self._compare(owned, named, listed, now_ms)
        if suspects:
            yield from self._look_again(suspects)
        if len(suspects) >= SUSPECTS_MAX:
            text = "and more blobs are missing: do these stores belong together?"
            yield Problem("missing-data", (), "", text)

    def _read_records(self, owned: Partitions, named: Partitions, progress: Progress) -> None:
        for physical, entry in readable_records(self._engine):
            for key in keys_in(entry.record):
                named.add(key)
            found = data_of(physical, entry)
            if found is not None:
                for stretch in found.stretches:
                    owned.add(stretch.key, stretch.size)
                self.elsewhere.update(found.elsewhere)
            progress(1)

    def _list_blobs(self, listed: Partitions, progress: Progress) -> int:
        started_ms = 0
        for now_ms, blobs in self._data.pages():
            started_ms = started_ms or now_ms
            for blob in blobs:
                listed.add(blob.key, blob.size, blob.created_ms, blob.quarantined)
            progress(len(blobs))
        return started_ms

    def _compare(
        self, owned: Partitions, named: Partitions, listed: Partitions, now_ms: int
    ) -> set[bytes]:
        """Keys of blobs that are not listed as a record has them; counts garbage."""
        waits = Waits(now_ms, self._grace_ms, 0)
        suspects: set[bytes] = set()
        for partition in range(PARTITIONS):
            names = {key for (key,) in named.read(partition)}
            sizes: dict[bytes, int] = {}
            for key, size, created_ms, quarantined in listed.read(partition):
                sizes[key] = size
                blob = Blob(created_ms, quarantined, key in names)
                if judge(blob, waits) in (Verdict.QUARANTINE, Verdict.WAIT):
                    self.garbage.add(key.hex(), size)
            for key, size in owned.read(partition):
                if sizes.get(key) != size and len(suspects) < SUSPECTS_MAX:
                    suspects.add(key)
        return suspects

    def _look_again(self, suspects: set[bytes]) -> Iterator[Problem]:
        for found in named_data(self._engine):
            for stretch in found.stretches:
                if stretch.key in suspects:
                    yield from self._judge(found, stretch)

    def _judge(self, found: NamedData, stretch: Stretch) -> Iterator[Problem]:
        key = stretch.key.hex()
        try:
            blob = self._data.open(stretch.key)
            blob.close()
        except BlobNotFoundError:
            kind, text = "missing-data", f"its blob {key} is not there"
        except DamagedError as error:
            kind, text = "damaged-data", f"its blob {key} cannot be read: {error}"
        else:
            if blob.size == stretch.size:
                return
            kind = "data-length"
            text = f"its blob {key} has {blob.size} bytes instead of {stretch.size}"
        if still_names(self._engine, found.physical, stretch):
            sub_level, name = split(found.physical)
            yield Problem(kind, tuple(sub_level), name, text)
