"""The one thread that writes metadata, with group commit.

Theory of operation. The mutations of one turn of the event loop go into a queue together. The
thread takes what waits (at most ``COMMIT_GROUP_MAX`` mutations and ``COMMIT_OPERATIONS_MAX``
operations), decides and applies each in turn in one transaction, commits once, and hands all
outcomes back in one call to the loop. While it commits, the next group gathers, so there is no
timer and no added latency when idle. Nothing is answered before its commit, refusals included: a
refusal may rest on a write of the same group.

Bodies that come with mutations are written to segments of blobs, and synced, before the records
that name them are committed (``dmd.metadata.commit_bodies``): those of a group together. When that
fails, nothing was committed. What is left of it, and of a transaction that is lost afterwards, are
blobs without an owner, which garbage collection finds.

When an operation fails, the transaction is lost for the whole group (a full map poisons it), so
the group is run again one by one and only the offender fails. When the outcome of a commit is
unknown, no answer can be true: ``on_fatal`` is called, which ends the process, and the next start
finds out what is on disk. Should the process live on, the writer commits and answers nothing more.

A mutation with an operation ID that has an answer already gets that answer, and nothing else
happens (``dmd.metadata.operations``). One that has not begun is dropped when its deadline is past,
or when its connection has ended. A call that states no deadline has that of the original's clients,
who give up after ``call_timeout_seconds`` and do not say so.

What is counted, revisions and version IDs, is counted in the transaction (``dmd.metadata.commit``).
"""

from __future__ import annotations

import asyncio
import errno
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from dmd.data.packed.body_segments import BodySegments
from dmd.group_worker import Worker
from dmd.metadata.commit import Commit, CommitSettings, Committer
from dmd.metadata.engines.base import (
    Engine,
    EngineError,
    EngineFatalError,
    EngineFullError,
)
from dmd.metadata.mutations import Mutation, Outcome, apply, frees
from dmd.metadata.operations import Operations
from dmd.metadata.reserve import NoReserve, Reserve
from dmd.metadata.stored import CorruptRecordError
from shared import limits
from shared.errors import ServiceError
from shared.failpoints import FailPoint, failpoint
from shared.process.logs import EventLog
from shared.rpc.envelope import Call

_NO_ROOM = ("InsufficientStorage", "the disk of the metadata is full: only deletions are done")
_CODES: Final = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "InsufficientStorage"),
    **dict.fromkeys((errno.ENOENT, errno.ENOTDIR, errno.ESTALE), "ServiceUnavailable"),
}
"""What it is that keeps a body from being stored: no room, or no data directory for now."""

_TOO_LATE = ("ServiceUnavailable", "the time of the call was over before it began")


class Writer:
    """See the module. Create it inside the running event loop; ``close`` ends the thread."""

    def __init__(
        self,
        engine: Engine,
        log: EventLog,
        on_fatal: Callable[[EngineFatalError], None],
        settings: CommitSettings | None = None,
        call_timeout_seconds: float = limits.RPC_CALL_TIMEOUT_SECONDS,
        reserve: Reserve | NoReserve | None = None,
        bodies: BodySegments | None = None,
    ) -> None:
        self._bodies = bodies
        self._body_bytes_waiting = 0
        self._reserve = reserve or NoReserve()
        self._engine = engine
        self._call_timeout_seconds = call_timeout_seconds
        self._committer = Committer(settings or CommitSettings())
        self._log = log
        self._on_fatal = on_fatal
        self._operations = Operations(engine)
        self._waiting = 0
        self._closed = False
        self._worker: Worker[_Pending, Outcome] = Worker(
            "metadata-writer",
            self._work,
            items_max=limits.COMMIT_GROUP_MAX,
            size_max=limits.COMMIT_OPERATIONS_MAX,
            size_of=_size,
            done=self._count,
        )

    def submit(self, mutation: Mutation, call: Call | None = None) -> asyncio.Future[Outcome]:
        """Apply ``mutation`` durably, for a call if there is one.

        Raises ServiceError: ServiceUnavailable when the writer is closed, SlowDown when too many
        mutations wait already. The future raises ServiceUnavailable when its time was over before
        it began, InsufficientStorage when there is no room for it (the disk or the map is full),
        InternalError when the store could not take it.
        """
        if self._closed:
            raise ServiceError("ServiceUnavailable", "the metadata daemon is stopping")
        body_bytes = mutation.body_bytes
        if (
            self._waiting >= limits.MUTATIONS_WAITING_MAX
            or self._body_bytes_waiting + body_bytes > limits.BODIES_WAITING_BYTES_MAX
        ):
            raise ServiceError("SlowDown")
        if call is not None and call.expires is None:
            call = replace(call, expires=time.monotonic() + self._call_timeout_seconds)
        self._waiting += 1
        self._body_bytes_waiting += body_bytes
        # A caller that goes away does not unsettle the group that its mutation is in.
        return self._worker.submit(_Pending(mutation, call, body_bytes))

    async def close(self) -> None:
        """Commit what waits, then end the thread."""
        self._closed = True
        await self._worker.close()

    def _count(self, pending: _Pending) -> None:
        self._waiting -= 1
        self._body_bytes_waiting -= pending.body_bytes

    def _work(self, group: Sequence[_Pending]) -> list[Outcome | Exception] | None:
        now = time.monotonic()
        wanted: Sequence[_Pending] = [pending for pending in group if not pending.unwanted(now)]
        if not self._reserve.is_whole:
            wanted = self._affordable(wanted)
        try:
            outcomes = self._commit_or_split(wanted) if wanted else []
        except EngineFatalError as error:
            self._closed = True
            self._on_fatal(error)
            return None
        if len(outcomes) == len(group):
            return outcomes
        done = iter(outcomes)
        return [
            ServiceError(*pending.dropped) if pending.dropped else next(done) for pending in group
        ]

    def _affordable(self, group: Sequence[_Pending]) -> Sequence[_Pending]:
        """What is done of a group while there is no room for new data."""
        if self._reserve.has_room():
            return group
        for pending in group:
            if not frees(pending.mutation):
                pending.dropped = _NO_ROOM
        return [pending for pending in group if not pending.dropped]

    def _commit_or_split(self, group: Sequence[_Pending]) -> list[Outcome | Exception]:
        try:
            return self._commit(group)
        except EngineFatalError:
            raise
        except Exception:
            # Which of them failed shows when each has a transaction of its own.
            return [self._commit_alone(pending) for pending in group]

    def _commit_alone(self, pending: _Pending) -> Outcome | Exception:
        try:
            try:
                return self._commit([pending])[0]
            except EngineFullError:
                if not (frees(pending.mutation) and self._reserve.release()):
                    raise
                return self._commit([pending])[0]
        except EngineFatalError:
            raise
        except CorruptRecordError as error:
            # The text names a record, and the log has no keys of objects.
            reason = "a record does not match its checksum: run `dmd check`"
            self._log.error("a mutation could not be applied", reason=reason)
            return ServiceError("InternalError", f"the metadata store is damaged: {error}")
        except EngineFullError as error:
            self._reserve.release()
            return ServiceError("InsufficientStorage", f"the metadata store is full: {error}")
        except OSError as error:
            self._log.error("a body could not be stored", reason=str(error))
            code = _CODES.get(error.errno or 0, "InternalError")
            return ServiceError(code, f"the body could not be stored: {error.strerror}")
        except EngineError as error:
            self._log.error("a mutation could not be applied", reason=str(error))
            return ServiceError("InternalError", f"the metadata store refused the write: {error}")
        except Exception as error:
            self._log.error("a mutation failed", reason=repr(error), exc_info=error)
            return ServiceError("InternalError")

    def _commit(self, group: Sequence[_Pending]) -> list[Outcome | Exception]:
        self._operations.turn(time.monotonic())
        bodies = self._bodies
        if bodies is not None:
            bodies.forget()  # those of a group that was lost
        with self._engine.transaction() as transaction:
            commit = self._committer.begin(transaction, time.time_ns() // 1_000_000, bodies)
            outcomes = [self._once(commit, pending) for pending in group]
            self._operations.prune(transaction, 2 * len(group) + limits.OPERATIONS_PRUNED_MIN)
            commit.save()
            if bodies is not None:
                bodies.write()
            failpoint(FailPoint.BEFORE_COMMIT)
        failpoint(FailPoint.AFTER_COMMIT)
        return outcomes

    def _once(self, commit: Commit, pending: _Pending) -> Outcome | Exception:
        """Apply a mutation, unless one with its operation ID was answered: what is answered."""
        operation_id, mutation = pending.operation_id, pending.mutation
        if operation_id is None:
            return apply(commit, mutation)
        known = self._operations.answer(commit.transaction, operation_id, mutation)
        if known is not None:
            return known
        outcome = apply(commit, mutation)
        self._operations.keep(commit.transaction, operation_id, mutation, outcome)
        return outcome


class _Pending:
    __slots__ = ("body_bytes", "call", "dropped", "mutation", "operation_id")

    def __init__(self, mutation: Mutation, call: Call | None, body_bytes: int) -> None:
        self.mutation = mutation
        self.body_bytes = body_bytes
        self.call = call
        self.dropped: tuple[str, str] | None = None
        """Why it is not done: an error and its message."""
        self.operation_id = None if call is None else call.operation_id

    def unwanted(self, now: float) -> bool:
        """Whether nobody waits for it any more; it is dropped then."""
        if self.call is not None and self.call.unwanted(now):
            self.dropped = _TOO_LATE
        return self.dropped is not None


def _size(pending: _Pending) -> int:
    mutation = pending.mutation
    return (
        len(mutation.operations)
        + len(mutation.requirements)
        + pending.body_bytes // limits.BODY_BYTES_AN_OPERATION
    )
