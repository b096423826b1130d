"""The one thread that writes metadata, with group commit.

Theory of operation. The mutations of one turn of the event loop go into a queue together. The
thread takes what waits (at most ``COMMIT_GROUP_MAX`` mutations and ``COMMIT_OPERATIONS_MAX``
operations), decides and applies each in turn in one transaction, commits once, and hands all
outcomes back in one call to the loop. While it commits, the next group gathers, so there is no
timer and no added latency when idle. Nothing is answered before its commit, refusals included: a
refusal may rest on a write of the same group.

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
import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace

from dmd.metadata.commit import CommitSettings, Committer
from dmd.metadata.engines.base import Engine, EngineError, EngineFatalError
from dmd.metadata.mutations import Mutation, Outcome, apply
from dmd.metadata.operations import Operations
from dmd.metadata.stored import CorruptRecordError
from shared import limits
from shared.errors import ServiceError
from shared.failpoints import FailPoint, failpoint
from shared.observability import EventLog
from shared.rpc.envelope import Call

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
    ) -> None:
        self._engine = engine
        self._call_timeout_seconds = call_timeout_seconds
        self._committer = Committer(settings or CommitSettings())
        self._log = log
        self._on_fatal = on_fatal
        self._loop = asyncio.get_running_loop()
        self._submitted: list[_Pending] = []
        self._queue: queue.SimpleQueue[list[_Pending] | None] = queue.SimpleQueue()
        # The thread's own: what it took from the queue, and whether nothing follows.
        self._backlog: deque[_Pending] = deque()
        self._last_taken = False
        self._operations = Operations(engine)
        self._waiting = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="metadata-writer", daemon=True)
        self._thread.start()

    async def submit(self, mutation: Mutation, call: Call | None = None) -> Outcome:
        """Apply ``mutation`` durably, for a call if there is one.

        Raises ServiceError: SlowDown when too many mutations wait already, ServiceUnavailable when
        its time was over before it began, InternalError when the store could not take this one (its
        disk or map is full).
        """
        if self._closed:
            raise ServiceError("ServiceUnavailable", "the metadata daemon is stopping")
        if self._waiting >= limits.MUTATIONS_WAITING_MAX:
            raise ServiceError("SlowDown")
        if call is not None and call.expires is None:
            call = replace(call, expires=time.monotonic() + self._call_timeout_seconds)
        pending = _Pending(mutation, call, self._loop.create_future())
        self._waiting += 1
        if not self._submitted:
            self._loop.call_soon(self._hand_over)
        self._submitted.append(pending)
        # A caller that goes away must not unsettle the group that its mutation is in.
        return await asyncio.shield(pending.future)

    async def close(self) -> None:
        """Commit what waits, then end the thread."""
        self._closed = True
        self._hand_over()
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    def _hand_over(self) -> None:
        """Give the mutations of this turn to the thread."""
        if self._submitted:
            self._queue.put(self._submitted)
            self._submitted = []

    def _run(self) -> None:
        while True:
            group, last = self._gather()
            now = time.monotonic()
            dropped = [pending for pending in group if pending.unwanted(now)]
            if dropped:
                group = [pending for pending in group if not pending.dropped]
                self._hand_back(dropped, [ServiceError(*_TOO_LATE) for _ in dropped])
            if group:
                try:
                    self._hand_back(group, self._commit_or_split(group))
                except EngineFatalError as error:
                    self._closed = True
                    self._on_fatal(error)
                    return
            if last:
                return

    def _hand_back(
        self, group: Sequence[_Pending], outcomes: Sequence[Outcome | Exception]
    ) -> None:
        self._loop.call_soon_threadsafe(self._answer, group, outcomes)

    def _gather(self) -> tuple[list[_Pending], bool]:
        """Wait for one mutation and take those behind it; True when none will follow."""
        while not self._backlog and not self._last_taken:
            self._take(self._queue.get())
        with contextlib.suppress(queue.Empty):
            while len(self._backlog) < limits.COMMIT_GROUP_MAX and not self._last_taken:
                self._take(self._queue.get_nowait())
        group: list[_Pending] = []
        size = 0
        while self._backlog and len(group) < limits.COMMIT_GROUP_MAX:
            size += self._backlog[0].size
            if group and size > limits.COMMIT_OPERATIONS_MAX:
                break  # the first of the next group
            group.append(self._backlog.popleft())
        return group, self._last_taken and not self._backlog

    def _take(self, entry: list[_Pending] | None) -> None:
        if entry is None:
            self._last_taken = True
        else:
            self._backlog.extend(entry)

    def _commit_or_split(self, group: Sequence[_Pending]) -> list[Outcome | Exception]:
        try:
            return list(self._commit(group))
        except EngineFatalError:
            raise
        except Exception:
            # Which of them failed shows when each has a transaction of its own.
            return [self._commit_alone(pending) for pending in group]

    def _commit_alone(self, pending: _Pending) -> Outcome | Exception:
        try:
            return self._commit([pending])[0]
        except EngineFatalError:
            raise
        except (EngineError, CorruptRecordError) as error:
            self._log.error("a mutation could not be applied", reason=str(error))
            return ServiceError("InternalError", f"the metadata store refused the write: {error}")
        except Exception as error:
            self._log.error("a mutation failed", reason=repr(error), exc_info=error)
            return ServiceError("InternalError")

    def _commit(self, group: Sequence[_Pending]) -> list[Outcome]:
        self._operations.turn(time.monotonic())
        with self._engine.transaction() as transaction:
            commit = self._committer.begin(transaction, time.time_ns() // 1_000_000)

            def once(pending: _Pending) -> Outcome:
                operation_id = pending.operation_id
                if operation_id is None:
                    return apply(commit, pending.mutation)
                outcome = self._operations.answer(transaction, operation_id)
                if outcome is None:
                    outcome = apply(commit, pending.mutation)
                    self._operations.keep(transaction, operation_id, outcome)
                return outcome

            outcomes = [once(pending) for pending in group]
            self._operations.prune(transaction, 2 * len(group) + limits.OPERATIONS_PRUNED_MIN)
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
    __slots__ = ("call", "dropped", "future", "mutation", "operation_id", "size")

    def __init__(
        self, mutation: Mutation, call: Call | None, future: asyncio.Future[Outcome]
    ) -> None:
        self.mutation = mutation
        self.call = call
        self.dropped = False
        self.operation_id = None if call is None else call.operation_id
        self.future = future
        self.size = len(mutation.operations) + len(mutation.requirements)

    def unwanted(self, now: float) -> bool:
        """Whether nobody waits for it any more; it is dropped then."""
        self.dropped = self.call is not None and self.call.unwanted(now)
        return self.dropped
