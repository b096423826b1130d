"""Metadata in a dictionary, with the requirements of commits: a twin of ``MetadataGateway``."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from typing import Any

from s3front.metadata.gateway import (
    SAME_AS_KNOWN,
    Carried,
    ChangedError,
    Committed,
    Entry,
    Found,
    MetadataGateway,
    Operation,
    OutcomeUnknownError,
    Requirement,
    Same,
    Wanted,
)
from s3front.s3_errors import S3Error
from s3front.work.job_lease import LeasedMetadata


class MetadataTwin(MetadataGateway):
    """``lose_answers``: of so many commits nobody learns that they were done; ``refused_commits``
    are not done, nor those with an operation that ``refuses`` has an error for."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], tuple[str, int]] = {}
        self.commits = 0
        self.lose_answers = 0
        self.refused_commits = 0
        self.refuses: Callable[[Operation], S3Error | None] = lambda _operation: None
        self.is_away = False
        self.atomic = True
        self.connections = 1
        self.reads = 0

    @property
    def connection(self) -> int:
        return self.connections

    async def is_atomic(self) -> bool:
        return self.atomic

    def leased(self, held: Requirement) -> LeasedMetadata:
        """The same records, changed under a lease."""
        twin = _LeasedTwin(held)
        twin.records = self.records
        return twin

    def text(self, sub_level: str, key: str) -> str | None:
        found = self.records.get((sub_level, key))
        return None if found is None else found[0]

    def revision(self, sub_level: str, key: str) -> int:
        return self.records[sub_level, key][1]

    async def get_many(
        self, wanted: Sequence[tuple[str, str]], request_id: str
    ) -> list[Entry | None]:
        await asyncio.sleep(0)
        if self.is_away:
            raise S3Error("ServiceUnavailable")
        self.reads += 1
        found = [self.records.get(address) for address in wanted]
        return [None if entry is None else (*entry, None) for entry in found]

    async def get_with_known(
        self, wanted: Sequence[Wanted], request_id: str, *, with_bodies: bool = False
    ) -> list[Entry | Same | None]:
        found = await self.get_many([each[:2] for each in wanted], request_id)
        return [
            SAME_AS_KNOWN
            if entry is not None and known is not None and known == (entry[1], self.connections)
            else entry
            for entry, (_, _, known) in zip(found, wanted, strict=True)
        ]

    async def get_each(
        self, wanted: Sequence[tuple[str, str]], request_id: str
    ) -> list[Found | None]:
        return [
            found and Found(found[0], found[1]) for found in await self.get_many(wanted, request_id)
        ]

    async def keys(self, sub_level: str, options: Mapping[str, Any], request_id: str) -> list[str]:
        await asyncio.sleep(0)
        if self.is_away:
            raise S3Error("ServiceUnavailable")
        keys = sorted(key for level, key in self.records if level == sub_level)
        chosen = [
            key
            for key in keys
            if key > options.get("gt", "")
            and key >= options.get("gte", "")
            and ("lt" not in options or key < options["lt"])
        ]
        return chosen[: options.get("limit", len(chosen))]

    async def pages(
        self, sub_level: str, options: Mapping[str, Any], request_id: str
    ) -> AsyncGenerator[list[tuple[str, str]], None]:
        keys = await self.keys(sub_level, options, request_id)
        for begin in range(0, len(keys), _PACKET_RECORDS):
            packet = keys[begin : begin + _PACKET_RECORDS]
            yield [(key, self.records[sub_level, key][0]) for key in packet]

    async def commit(
        self,
        operations: Sequence[Operation],
        requires: Sequence[Requirement],
        request_id: str,
        carried: Carried | None = None,
    ) -> Committed:
        await asyncio.sleep(0)
        if self.is_away or self.refused_commits:
            self.refused_commits -= self.refused_commits > 0
            raise S3Error("ServiceUnavailable")
        for error in filter(None, map(self.refuses, operations)):
            raise error
        for index, requirement in enumerate(requires):
            if not self._holds(requirement):
                raise ChangedError(index)
        self.commits += 1
        revisions: list[int | None] = []
        for operation in operations:
            address = operation["subLevel"][0], operation["key"]
            if operation["type"] == "del":
                self.records.pop(address, None)
                revisions.append(None)
                continue
            revisions.append(next(_REVISIONS))
            self.records[address] = operation["value"], revisions[-1] or 0
        if self.lose_answers:
            self.lose_answers -= 1
            raise OutcomeUnknownError
        return Committed(revisions, [None] * len(revisions))

    def _holds(self, requirement: Requirement) -> bool:
        if "empty" in requirement:
            level, bounds = requirement["subLevel"][0], requirement["empty"]
            return not any(
                each == level and bounds.get("gte", "") <= key < bounds.get("lt", "\U0010ffff")
                for each, key in self.records
            )
        found = self.records.get((requirement["subLevel"][0], requirement["key"]))
        match requirement:
            case {"revision": revision}:
                return found is not None and found[1] == revision
            case {"absent": True}:
                return found is None
        return found is not None


_PACKET_RECORDS = 7
_REVISIONS = itertools.count(1)


class _LeasedTwin(LeasedMetadata, MetadataTwin):
    """A commit goes through both: what the lease requires, and what becomes of it here."""

    def __init__(self, held: Requirement) -> None:
        MetadataTwin.__init__(self)
        self._held = held
