"""What is right about the records of a metadata store, and what is not. Pure.

``NameCheck`` judges one name of a bucket: its master and its versions (reference/dmd-wire.md,
sections 5 and 6), fed in the order in which the store has them. The rules:

1. There are versions only where there is a master, the newest version's copy or newer than all.
2. A master that is no null version is also stored under its version ID, with the same content (the
   master's may name the null version besides).
3. A placeholder is replaced before its commit ends, so that none stays.
4. The projection is what the record gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from dmd.metadata import stored
from dmd.metadata.projection import listed, project
from shared.records.projection_fields import ListedObject

_OF_THE_MASTER = "nullVersionId"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. ``kind`` is a word for programs, ``text`` for people."""

    kind: str
    sub_level: tuple[str, ...]
    key: str
    text: str


class NameCheck:
    """The records of one name of a bucket."""

    def __init__(self, sub_level: tuple[str, ...], name: str) -> None:
        self.sub_level = sub_level
        self.name = name
        self.problems: list[Problem] = []
        self._master: ListedObject | None = None
        self._master_record = b""
        self._versions = 0
        self._newest: str | None = None
        self._copy: bytes | None = None

    def offer(self, version_id: str | None, entry: stored.Stored) -> None:
        """Take the master (None), the null key (``""``) or a version."""
        if (entry.schema, entry.projection) != project(self.sub_level, entry.record):
            self._report("projection", version_id, "its projection is not that of its record")
        if version_id is None:
            self._master = listed(entry)
            self._master_record = entry.record
            return
        self._versions += 1
        if not version_id:
            return
        if self._newest is None:
            self._newest = version_id
        if self._master is not None and version_id == self._master.version_id:
            self._copy = entry.record

    def finish(self) -> list[Problem]:
        """There are no more records of the name: what is wrong with them."""
        master = self._master
        if master is None:
            if self._versions:
                self._report("orphan-version", None, "it has versions and no master")
            return self.problems
        if master.is_placeholder:
            self._report("placeholder", None, "its master is a placeholder for a deletion")
            return self.problems
        if master.version_id is None:
            if self._versions:
                self._report("unversioned-master", None, "it has versions and a master without ID")
            return self.problems
        if self._newest is not None and self._newest < master.version_id:
            self._report("old-master", None, "it has a version that is newer than its master")
        if self._copy is None:
            if not master.is_null:
                self._report("missing-version", None, "its master is not among its versions")
        elif not _same(self._master_record, self._copy):
            self._report("master-differs", None, "its master differs from the version of its ID")
        return self.problems

    def _report(self, kind: str, version_id: str | None, text: str) -> None:
        key = self.name if version_id is None else f"{self.name}\0{version_id}"
        self.problems.append(Problem(kind, self.sub_level, key, text))


def _same(master: bytes, version: bytes) -> bool:
    return master == version or _content(master) == _content(version)


def _content(record: bytes) -> Mapping[str, Any]:
    document = orjson.loads(record)
    return {name: value for name, value in document.items() if name != _OF_THE_MASTER}
