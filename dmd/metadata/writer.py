"""The one thread that writes metadata, with group commit.

Theory of operation. Mutations arrive from the event loop in a queue. The thread takes what waits
(at most ``COMMIT_GROUP_MAX`` mutations and ``COMMIT_OPERATIONS_MAX`` operations), decides and
applies each in turn in one transaction, commits once, and hands all outcomes back in one call to
the loop. While it commits, the next group gathers, so there is no timer and no added latency when
idle. Nothing is answered before its commit, refusals included: a refusal may rest on a write of the
same group.

When an operation fails, the transaction is lost for the whole group (a full map poisons it), so
the group is run again one by one and only the offender fails. When the outcome of a commit is
unknown, no answer can be true: ``on_fatal`` is called, which ends the process, and the next start
finds out what is on disk. Should the process live on, the writer commits and answers nothing more.

What is counted, revisions and version IDs, is counted in the transaction (``dmd.metadata.commit``).
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Sequence

from dmd.metadata.commit import CommitSettings, Committer
from dmd.metadata.engines.base import Engine, EngineError, EngineFatalError
from dmd.metadata.mutations import Committed, Mutation, Refused, apply
from dmd.metadata.stored import CorruptRecordError
from shared import limits
from shared.errors import ServiceError
from shared.failpoints import FailPoint, failpoint
from shared.observability import EventLog

Outcome = Committed | Refused


class Writer:
    """See the module. Create it inside the running event loop; ``close`` ends the thread."""

    def __init__(
        self,
        engine: Engine,
        log: EventLog,
        on_fatal: Callable[[EngineFatalError], None],
        settings: CommitSettings | None = None,
    ) -> None:
        self._engine = engine
        self._committer = Committer(settings or CommitSettings())
        self._log = log
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[_Pending | None] = queue.SimpleQueue()
        self._taken: _Pending | None = None
        self._waiting = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="metadata-writer", daemon=True)
        self._thread.start()

    async def submit(self, mutation: Mutation) -> Outcome:
        """Apply ``mutation`` durably.

        Raises ServiceError: SlowDown when too many mutations wait already, InternalError when the
        store could not take this one (its disk or map is full).
        """
        if self._closed:
            raise ServiceError("ServiceUnavailable", "the metadata daemon is stopping")
        if self._waiting >= limits.MUTATIONS_WAITING_MAX:
            raise ServiceError("SlowDown")
        pending = _Pending(mutation, self._loop.create_future())
        self._waiting += 1
        self._queue.put(pending)
        # A caller that goes away must not unsettle the group that its mutation is in.
        return await asyncio.shield(pending.future)

    async def close(self) -> None:
        """Commit what waits, then end the thread."""
        self._closed = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while True:
            group, last = self._gather()
            if group:
                try:
                    outcomes = self._commit_or_split(group)
                except EngineFatalError as error:
                    self._closed = True
                    self._on_fatal(error)
                    return
                self._loop.call_soon_threadsafe(self._answer, group, outcomes)
            if last:
                return

    def _gather(self) -> tuple[list[_Pending], bool]:
        """Wait for one mutation and take those behind it; True when none will follow."""
        group: list[_Pending] = []
        size = 0
        entry = self._taken or self._queue.get()
        self._taken = None
        while entry is not None:
            size += entry.size
            if group and size > limits.COMMIT_OPERATIONS_MAX:
                self._taken = entry  # the first of the next group
                return group, False
            group.append(entry)
            if len(group) >= limits.COMMIT_GROUP_MAX:
                return group, False
            try:
                entry = self._queue.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _commit_or_split(self, group: Sequence[_Pending]) -> list[Outcome | Exception]:
        mutations = [pending.mutation for pending in group]
        try:
            return list(self._commit(mutations))
        except EngineFatalError:
            raise
        except Exception:
            # Which of them failed shows when each has a transaction of its own.
            return [self._commit_alone(mutation) for mutation in mutations]

    def _commit_alone(self, mutation: Mutation) -> Outcome | Exception:
        try:
            return self._commit([mutation])[0]
        except EngineFatalError:
            raise
        except (EngineError, CorruptRecordError) as error:
            self._log.error("a mutation could not be applied", reason=str(error))
            return ServiceError("InternalError", f"the metadata store refused the write: {error}")
        except Exception as error:
            self._log.error("a mutation failed", reason=repr(error), exc_info=error)
            return ServiceError("InternalError")

    def _commit(self, mutations: Sequence[Mutation]) -> list[Outcome]:
        with self._engine.transaction() as transaction:
            commit = self._committer.begin(transaction, time.time_ns() // 1_000_000)
            outcomes = [apply(commit, mutation) for mutation in mutations]
            commit.save()
            failpoint(FailPoint.BEFORE_COMMIT)
        failpoint(FailPoint.AFTER_COMMIT)
        return outcomes

    def _answer(self, group: Sequence[_Pending], outcomes: Sequence[Outcome | Exception]) -> None:
        self._waiting -= len(group)
        for pending, outcome in zip(group, outcomes, strict=True):
            if pending.future.done():
                continue
            if isinstance(outcome, Exception):
                pending.future.set_exception(outcome)
            else:
                pending.future.set_result(outcome)


class _Pending:
    __slots__ = ("future", "mutation", "size")

    def __init__(self, mutation: Mutation, future: asyncio.Future[Outcome]) -> None:
        self.mutation = mutation
        self.future = future
        self.size = len(mutation.operations) + len(mutation.requirements)
