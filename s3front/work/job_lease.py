"""Leases: each kind of background work is done by one process at a time, whichever.

A lease is a record of ``..leases`` that its holder writes again every ``RENEW_SECONDS``. Whoever
sees it unchanged for ``EXPIRES_SECONDS`` of its own monotonic clock may take it over, so no two
clocks are ever compared. Every write requires the revision that the writer has seen, so of two that
try one succeeds.

No clock is trusted with more than that. Beside the lease is a record of its *epoch*, which is
written only when the lease is taken, in the same commit. Its revision, which the daemon counts up,
is the epoch; every mutation that is made under the lease requires it (``LeasedMetadata``). So a
holder that was stopped for long, and does not know yet that it has a successor, changes nothing.

``Lease`` decides and does nothing; ``LeaseKeeper`` asks and writes, for all leases of a process at
once: one read every ``LOOK_SECONDS``, and one group of commits every ``RENEW_SECONDS``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum, auto
from typing import Final

import orjson

from s3front.metadata import gateway
from s3front.metadata.gateway import (
    Carried,
    ChangedError,
    Committed,
    Found,
    MetadataGateway,
    Operation,
    Requirement,
)
from s3front.rpc.rpc_client import RpcClient
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog
from shared.records.names import LEASES, WORK_STATUS

LOOK_SECONDS: Final = 1.0
RENEW_SECONDS: Final = 2.0
EXPIRES_SECONDS: Final = 6.0
"""After the death of a holder, a process that waits takes over within this and LOOK_SECONDS."""

_REQUEST_ID: Final = "leases"


class LeaseLostError(Exception):
    """A mutation was refused, as somebody else holds the lease by now. Nothing was written."""


class Action(Enum):
    """What is to be done about a lease."""

    NOTHING = auto()
    RENEW = auto()
    TAKE = auto()


class Lease:
    """This process's side of one lease. ``holder`` tells processes apart."""

    def __init__(self, name: str, holder: str) -> None:
        self.name = name
        self.holder = holder
        self.epoch: int | None = None
        """The epoch while this process holds the lease, else None."""
        self._held = asyncio.Event()
        self._revision: int | None = None
        self._seen_at: float | None = None
        self._is_damaged = False
        self._not_before = 0.0

    @property
    def requirement(self) -> Requirement:
        """What every mutation requires that is made under the lease as it is held now. Raises
        LeaseLostError when it is not."""
        if self.epoch is None:
            raise LeaseLostError
        return gateway.has_revision(LEASES, epoch_key(self.name), self.epoch)

    async def wait(self) -> None:
        """Return when this process holds the lease."""
        await self._held.wait()

    def look(self, found: Found | None, now: float) -> Action:
        """What is to be done, by the record as it was read at ``now`` (monotonic seconds).

        One that is damaged is nobody's: whoever takes it last has the epoch.
        """
        revision = None if found is None else found.revision
        self._is_damaged = found is not None and found.text is None
        if self._seen_at is None or revision != self._revision:
            if found is None or holder_in(found) != self.holder:
                self.lose()
            # Else it is what this process wrote, although nobody has told it so.
            self._revision, self._seen_at = revision, now
        age = now - self._seen_at
        if self.epoch is not None:
            return Action.RENEW if age >= RENEW_SECONDS else Action.NOTHING
        is_free = revision is None or age > EXPIRES_SECONDS
        return Action.TAKE if is_free and now >= self._not_before else Action.NOTHING

    def written(self, revision: int | None, now: float, epoch: int | None = None) -> None:
        """The record was written by this process; ``epoch`` when it has taken the lease."""
        self._revision, self._seen_at, self._is_damaged = revision, now, False
        if epoch is not None:
            self.epoch = epoch
            self._held.set()

    def lose(self) -> None:
        """Somebody else has it, or nobody."""
        self.epoch = None
        self._held.clear()

    def stand_back(self, until: float) -> None:
        """Leave it to others until then (monotonic seconds)."""
        self._not_before = until

    def take(self) -> tuple[list[Operation], list[Requirement]]:
        """The commit that takes the lease: the lease first, its epoch second."""
        record = _record(self.holder)
        operations = [
            gateway.put(LEASES, self.name, record),
            gateway.put(LEASES, epoch_key(self.name), record),
        ]
        return operations, [self._unchanged()]

    def renew(self, status: str | None) -> tuple[list[Operation], list[Requirement]]:
        """The commit that keeps it, and tells ``status`` if that is new."""
        operations = [gateway.put(LEASES, self.name, _record(self.holder))]
        if status is not None:
            operations.append(gateway.put(WORK_STATUS, self.name, status))
        return operations, [self._unchanged()]

    def give_up(self) -> tuple[list[Operation], list[Requirement]]:
        """The commit that ends it. Without its epoch no mutation under it is done any more.

        A renewal may be on its way, so this is about the epoch.
        """
        keys = (self.name, epoch_key(self.name))
        return [gateway.delete(LEASES, key) for key in keys], [self.requirement]

    def _unchanged(self) -> Requirement:
        if self._is_damaged:
            return gateway.is_present(LEASES, self.name)
        if self._revision is None:
            return gateway.is_absent(LEASES, self.name)
        return gateway.has_revision(LEASES, self.name, self._revision)


def epoch_key(name: str) -> str:
    """The key of the epoch's record."""
    return f"{name}/epoch"


def holder_in(record: Found) -> str | None:
    """Who holds a lease, by its record; None when that does not say."""
    holder = record.document.get("holder")
    return holder if isinstance(holder, str) else None


def _record(holder: str) -> str:
    # The number makes each one another text: a daemon without revisions has nothing else.
    return orjson.dumps({"holder": holder, "written": time.time_ns()}).decode()


class LeasedMetadata(MetadataGateway):
    """The metadata as a worker changes it: every commit requires the epoch ``held``.

    ``commit`` raises LeaseLostError when the lease was taken again by now, by whomever.
    """

    def __init__(self, client: RpcClient, held: Requirement) -> None:
        super().__init__(client)
        self._held = held

    async def commit(
        self,
        operations: Sequence[Operation],
        requires: Sequence[Requirement],
        request_id: str,
        carried: Carried | None = None,
    ) -> Committed:
        try:
            return await super().commit(operations, [*requires, self._held], request_id, carried)
        except ChangedError as error:
            if error.index < len(requires):
                raise
            raise LeaseLostError from error


class LeaseKeeper:
    """The leases of a process. ``status`` says what a worker tells of itself, by its name."""

    def __init__(
        self,
        metadata: MetadataGateway,
        leases: Sequence[Lease],
        status: Callable[[str], str],
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metadata = metadata
        self._leases = leases
        self._status = status
        self._log = log
        self._clock = clock
        self._told: dict[str, str] = {}

    async def follow(self) -> None:
        """Take, keep and lose leases, for ever."""
        while True:
            try:
                await self.look()
            except (S3Error, ChangedError) as error:
                self._log.debug("background work waits", reason=str(error))
            except Exception as error:
                self._log.error("leases cannot be kept", exc_info=error)
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Look at all leases, once. Raises S3Error."""
        wanted = [(LEASES, lease.name) for lease in self._leases]
        found = await self._metadata.get_each(wanted, _REQUEST_ID)
        now = self._clock()
        pairs = zip(self._leases, found, strict=True)
        actions = [(lease, lease.look(entry, now)) for lease, entry in pairs]
        # What is sent in one turn travels together, and is made durable together.
        await asyncio.gather(*(self._act(lease, action) for lease, action in actions))

    async def give_up(self, lease: Lease) -> None:
        """End a lease, so that others need not wait. Raises S3Error."""
        if lease.epoch is None:
            return
        commit = lease.give_up()
        lease.lose()
        try:
            await self._metadata.commit(*commit, _REQUEST_ID)
        except ChangedError:
            return
        lease.written(None, self._clock())

    async def give_up_all(self) -> None:
        """The same for all leases, when the process ends. Raises S3Error."""
        await asyncio.gather(*map(self.give_up, self._leases))

    async def _act(self, lease: Lease, action: Action) -> None:
        if action is Action.NOTHING:
            return
        with suppress(ChangedError):  # the next look shows who has it
            await (self._take(lease) if action is Action.TAKE else self._renew(lease))

    async def _take(self, lease: Lease) -> None:
        now = self._clock()
        committed = await self._metadata.commit(*lease.take(), _REQUEST_ID)
        self._told.pop(lease.name, None)
        lease.written(committed.revisions[0], now, committed.revisions[1])
        self._log.info("background work begins", worker=lease.name)

    async def _renew(self, lease: Lease) -> None:
        now, told = self._clock(), self._status(lease.name)
        status = None if told == self._told.get(lease.name) else told
        committed = await self._metadata.commit(*lease.renew(status), _REQUEST_ID)
        # Unless it was given up meanwhile.
        if lease.epoch is not None:
            lease.written(committed.revisions[0], now)
        self._told[lease.name] = told
