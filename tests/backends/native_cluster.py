"""A cluster with locations of the tests' own type (``native_place``), which can be looked at from
the other side, told to fail, and which do no more than their names say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from shared.records.names import DEAD_LETTERS, DELETIONS, STRAYS
from tests.backends.native_place import TYPE, Details, NativePlace
from tests.faults.stores import stored_records
from tests.servers import Cluster, Process, wait_for

GRACE_SECONDS: Final = 3
"""How old a note becomes: little more than twice what a call may take."""

PLACES: Final[Mapping[str, Mapping[str, Any]]] = {
    "plain": {},
    "versions": {"versions": True},
    "all": {"versions": True, "multipart": True, "copy": True, "tags": True},
    "all-plain": {"multipart": True, "copy": True, "tags": True},
    "small": {"blobBytesMax": 100_000},
    "small-parts": {
        "versions": True,
        "multipart": True,
        "blobBytesMax": 100_000,
        "partBytesMax": 50_000,
    },
}
"""The locations by name, and what each can do."""

_MODULES: Final = {"s3front.process.serve": [], "s3front.work": ["work"]}


class NativeCluster(Cluster):
    """Its processes know the type."""

    def _process(self, name: str, *argv: str, environ: Mapping[str, str] | None = None) -> Process:
        if argv[0] in _MODULES:
            argv = ("tests.backends.native_front", *_MODULES[argv[0]])
        return super()._process(name, *argv, environ=environ)


@dataclass(frozen=True)
class Stage:
    """The cluster, and its places as the other side sees them."""

    running: Cluster
    places: Mapping[str, NativePlace]

    def records(self, sub_level: str) -> dict[str, Any]:
        """The documents of a sub-level, by key."""
        return stored_records(self.running, [sub_level])[sub_level]

    def wait_until_settled(self) -> None:
        """Until nothing waits in a queue."""
        if self.running.work.handle is None:
            self.running.work.start()
        levels = [STRAYS, DELETIONS]
        wait_for(
            lambda: not any(stored_records(self.running, levels).values()),
            lambda: f"empty queues: {stored_records(self.running, [*levels, DEAD_LETTERS])}",
        )
        assert not self.records(DEAD_LETTERS)


@contextmanager
def native_cluster(
    folder: Path, fronts: int = 1, settings: Mapping[str, Any] | None = None, *, works: bool = True
) -> Iterator[Stage]:
    """A running cluster that ends with the block; one that ``works`` does background work."""
    locations: dict[str, Any] = {"us-east-1": {"type": "file", "legacyAwsBehavior": True}}
    places: dict[str, NativePlace] = {}
    for name, can in PLACES.items():
        details = {"folder": str(folder / "places" / name), **can}
        locations[name] = {"type": TYPE, "details": details}
        places[name] = NativePlace(msgspec.convert(details, Details))
    path = folder / "locations.json"
    path.write_text(json.dumps(locations))
    all_settings = {
        "gcGraceSeconds": GRACE_SECONDS,
        "metadataClient": {"callTimeoutMs": 1000},
        "multipartMinPartSizeBytes": 100,
        **({"deleteDelaySeconds": 0} if works else {}),
        **(settings or {}),
    }
    running = NativeCluster(folder, all_settings, {"S3_LOCATION_FILE": str(path)})
    try:
        yield Stage(running.start(fronts), places)
    finally:
        running.stop()
