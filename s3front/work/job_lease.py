"""A lease on background work, so that one front-end of many does it.

The lease is a record. Its holder writes it again and again; whoever sees it unchanged for
``EXPIRES_SECONDS`` of its own clock may take it over, so no two clocks are ever compared. Every
write requires the revision that the writer has seen, so only one of two that try succeeds.

Work under a lease must be harmless when done twice: a holder that was stopped for long may still
be at it when its successor begins.
"""

from __future__ import annotations

import time

import orjson

from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, MetadataGateway
from shared.records.names import LEASES

EXPIRES_SECONDS = 30.0
RENEW_SECONDS = 10.0


class Lease:
    """This process's side of one lease. ``holder`` tells processes apart."""

    def __init__(self, metadata: MetadataGateway, name: str, holder: str) -> None:
        self._metadata = metadata
        self._name = name
        self._record = orjson.dumps({"holder": holder}).decode()
        self._seen: int | None = None
        self._seen_at = 0.0
        self._held = False
        self.term = 0
        """How often this process has got the lease: in a new term there may be something to finish
        that somebody else began."""

    async def hold(self) -> bool:
        """Take, keep or wait for the lease; whether this process has it now."""
        (found,) = await self._metadata.get_many([(LEASES, self._name)], f"lease-{self._name}")
        revision = None if found is None else found[1]
        if revision != self._seen:
            self._seen, self._seen_at, self._held = revision, time.monotonic(), False
        age = time.monotonic() - self._seen_at
        if self._held and age < RENEW_SECONDS:
            return True
        if self._held or revision is None or age > EXPIRES_SECONDS:
            await self._take(revision)
        return self._held

    async def _take(self, revision: int | None) -> None:
        if revision is None:
            requirement = gateway.is_absent(LEASES, self._name)
        else:
            requirement = gateway.has_revision(LEASES, self._name, revision)
        operation = gateway.put(LEASES, self._name, self._record)
        try:
            committed = await self._metadata.commit([operation], [requirement], "lease")
            (self._seen,) = committed.revisions
        except ChangedError:
            self._held = False
            return
        self.term += not self._held
        self._seen_at, self._held = time.monotonic(), True
