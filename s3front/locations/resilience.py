"""What stands between this process and every place that others run.

Stores ask once and say what went wrong (``remote_store.PlaceError``). What follows from that is the
same for all of them, and is decided here, for each location by itself, so that none holds up
another one:

1. **Limits.** So many calls at once, and so many bodies that are read and that are written: those
   go at the pace of clients, and slow ones must not keep others from a place that is quick. There
   are short queues in front (``turnstile``); who would wait too long gets SlowDown.
2. **Deadlines.** An answer begins within ``deadline_seconds``, tries and waiting included. While a
   body is written the place has as long for each block; the time that the body itself takes to
   come is not the place's. Completing an upload and copying may take ``LONG_TIMES`` as long, a
   deletion 10 s at most: nobody should wait for what can be done later.
3. **Tries.** What has done nothing is tried again, what is harmless twice also after silence,
   within the deadline and a budget (``retry_budget``). A body that was begun is not sent again.
   What makes something new, and may have been done, is tried again under another mark, for who can
   give one (``maker``).
4. **A circuit breaker** (``circuit_breaker``): a place that is away, silent or broken is not asked
   for a while. One that refuses, or wants to be asked less, has answered.
5. **Counters**, and a line in the log when one of these changes; the reason of each failed request
   goes with its error, which names location and operation.

Whoever goes away while waiting or being served gives back what it had.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

from s3front.locations.base import BlobFile, Capabilities, DataNotFoundError, ObjectInfo, Stored
from s3front.locations.circuit_breaker import CircuitBreaker, Leave
from s3front.locations.guarded_body import GuardedReader, GuardedSource
from s3front.locations.other_marks import MarkedMaker, Marks
from s3front.locations.place_counters import PlaceCounters, PlaceReport
from s3front.locations.place_limits import PlaceLimits
from s3front.locations.remote_store import (
    PART_OF,
    Finding,
    LostConnectionError,
    NewMark,
    NotAskedError,
    PlaceError,
    RemoteStore,
    Trouble,
    UploadedPart,
    is_undone,
)
from s3front.locations.retry_budget import RetryBudget
from s3front.locations.turnstile import CrowdedError, Slot, Turnstile
from s3front.s3_errors import S3Error
from shared.loop.eager import in_a_task
from shared.process.logs import EventLog

WAIT_SECONDS_MAX: Final = 5.0
"""How long a request may wait for its turn."""

LONG_TIMES: Final = 10
"""How many times the deadline something may take that the place does with all the bytes of an
object; the store sees to it that it goes on."""

_NOTHING_DONE: Final = frozenset({Trouble.UNREACHED, Trouble.BUSY})
_HARMLESS: Final = _NOTHING_DONE | {Trouble.SILENT}
_MAY_HAVE_DONE: Final = (Trouble.SILENT, Trouble.BUSY)
"""What leaves open whether something was done, most of it first."""
_CIRCUIT: Final = frozenset({Trouble.UNREACHED, Trouble.SILENT, Trouble.BROKEN})
"""What opens the circuit."""

_READING: Final = ("open", "read")
"""What is BROKEN there may be one blob, which somebody else has overwritten: who asks for it again
and again must not keep others from theirs."""

_TELL_SECONDS: Final = 60.0
"""How often the log is told of what may come and go with every request."""

T = TypeVar("T")
Body = bytes | AsyncGenerator[bytes, None]


class _Kind(NamedTuple):
    """What is asked of a place, after which troubles it may be asked again, how many times the
    deadline of the location it may take, and how many seconds at most."""

    name: str
    again: frozenset[Trouble]
    times: int = 1
    seconds_max: float = math.inf


_PUT: Final = _Kind("put", _NOTHING_DONE)
_OPEN: Final = _Kind("open", _HARMLESS)
_DELETE: Final = _Kind("delete", _HARMLESS, seconds_max=10)
_REMOVE_STRAYS: Final = _Kind("remove strays", _HARMLESS, seconds_max=30)
_BEGIN_UPLOAD: Final = _Kind("begin upload", _NOTHING_DONE)
_PUT_PART: Final = _Kind("put part", _NOTHING_DONE)
_COMPLETE_UPLOAD: Final = _Kind("complete upload", _HARMLESS, LONG_TIMES)
_COPY: Final = _Kind("copy", _NOTHING_DONE, LONG_TIMES)
_PUT_TAGS: Final = _Kind("put tags", _HARMLESS)
_FIND: Final = _Kind("find", _HARMLESS)


class ResilientStore(RemoteStore):
    """See the module. ``inner`` is the store of the location called ``name``. Make it inside the
    event loop."""

    def __init__(
        self,
        inner: RemoteStore,
        name: str,
        limits: PlaceLimits,
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.inner = inner
        self._name = name
        self._seconds = float(limits.deadline_seconds)
        self._log = log
        self._clock = clock
        self._calls = Turnstile(limits.calls_max)
        self._reads = Turnstile(limits.bodies_max)
        self._writes = Turnstile(limits.bodies_max)
        self._breaker = CircuitBreaker(clock)
        self._budget = RetryBudget()
        self._counters = PlaceCounters()
        self._is_refused = False
        self._told_until: dict[str, float] = {}

    @property
    def type(self) -> str:
        return self.inner.type

    @property
    def capabilities(self) -> Capabilities:
        return self.inner.capabilities

    def report(self) -> PlaceReport:
        """What is known of the location."""
        counters, breaker, calls = self._counters, self._breaker, self._calls
        return PlaceReport(
            state=breaker.state.value,
            reason=breaker.reason,
            requests=counters.requests,
            retries=counters.retries,
            failures=dict(counters.failures),
            opened=counters.opened,
            closed=counters.closed,
            running=calls.taken,
            waiting=calls.waiting + self._reads.waiting + self._writes.waiting,
            limit=calls.limit,
            reading=self._reads.taken,
            writing=self._writes.taken,
            latency_seconds=counters.latency_seconds,
            latencies=tuple(counters.latencies),
        )

    # -- What a store does ------------------------------------------------------------------------

    def maker(self, new_mark: NewMark) -> MarkedMaker:
        return MarkedMaker(self, new_mark)

    async def put(
        self,
        size: int,
        body: Body,
        info: ObjectInfo,
        mark: str = "",
        new_mark: NewMark | None = None,
    ) -> Stored:
        marks = Marks(mark, new_mark)
        return await self._send(
            _PUT, body, lambda blocks: self.inner.put(size, blocks, info, marks.mark), marks
        )

    async def put_part(self, upload: Stored, number: int, size: int, body: Body) -> Stored:
        return await self._send(
            _PUT_PART, body, lambda blocks: self.inner.put_part(upload, number, size, blocks)
        )

    def new_file(self, size: int) -> BlobFile | None:
        return self.inner.new_file(size)

    async def open(self, blob: Stored, start: int, end: int) -> GuardedReader:
        try:
            slot = await self._enter(_OPEN, self._reads, WAIT_SECONDS_MAX)
        except PlaceError:
            self._counters.requests += 1
            raise

        async def ask(leave: Leave) -> GuardedReader:
            reader = await self.inner.open(blob, start, end)
            return GuardedReader(reader, slot, self._seconds, _Outcome(self, leave))

        try:
            return await self._ask(_OPEN, ask)
        except BaseException:
            slot.leave()
            raise

    async def delete(self, blob: Stored) -> None:
        if PART_OF in blob.extra:
            return  # nothing is asked, so that nothing can be learnt from it
        await self._ask(_DELETE, lambda _leave: self.inner.delete(blob))

    async def delete_many(self, blobs: Sequence[Stored]) -> None:
        await self._ask(_DELETE, lambda _leave: self.inner.delete_many(blobs))

    async def remove_strays(self, info: ObjectInfo, mark: str) -> None:
        await self._ask(_REMOVE_STRAYS, lambda _leave: self.inner.remove_strays(info, mark))

    async def look(self, *, thorough: bool) -> Sequence[Finding]:
        """As the place answers now, whatever is known of it."""
        try:
            async with asyncio.timeout(self._seconds * LONG_TIMES):
                return await self.inner.look(thorough=thorough)
        except TimeoutError:
            pass
        raise self._named("look", PlaceError(Trouble.SILENT, "it does not come to an end"))

    async def begin_upload(
        self, info: ObjectInfo, mark: str, new_mark: NewMark | None = None
    ) -> Stored:
        marks = Marks(mark, new_mark)
        return await self._ask(
            _BEGIN_UPLOAD, lambda _leave: self.inner.begin_upload(info, marks.mark), marks=marks
        )

    async def complete_upload(
        self, upload: Stored, parts: Sequence[UploadedPart], info: ObjectInfo
    ) -> Stored:
        return await self._ask(
            _COMPLETE_UPLOAD, lambda _leave: self.inner.complete_upload(upload, parts, info)
        )

    async def copy(
        self,
        source: RemoteStore,
        blob: Stored,
        info: ObjectInfo,
        mark: str,
        new_mark: NewMark | None = None,
    ) -> Stored | None:
        marks = Marks(mark, new_mark)
        plain = source.inner if isinstance(source, ResilientStore) else source
        return await self._ask(
            _COPY, lambda _leave: self.inner.copy(plain, blob, info, marks.mark), marks=marks
        )

    async def find(self, info: ObjectInfo) -> Stored | None:
        # Whoever calls may be in no task yet (``shared.loop.eager``), which a deadline needs.
        asking = self._ask(_FIND, lambda _leave: self.inner.find(info))
        return await asyncio.get_running_loop().create_task(asking)

    async def put_tags(self, blob: Stored, tags: Mapping[str, str]) -> None:
        await self._ask(_PUT_TAGS, lambda _leave: self.inner.put_tags(blob, tags))

    async def close(self) -> None:
        await self.inner.close()

    # -- How it is asked --------------------------------------------------------------------------

    async def _send(
        self,
        kind: _Kind,
        body: Body,
        send: Callable[[Body], Awaitable[Stored]],
        marks: Marks | None = None,
    ) -> Stored:
        """Ask something that has a body; a body that comes in blocks is closed in the end."""
        if isinstance(body, bytes):
            return await self._ask(kind, lambda _leave: send(body), marks=marks)
        source = GuardedSource(body, self._seconds)
        try:
            return await self._ask(kind, lambda _leave: send(source.blocks()), source, marks)
        finally:
            await body.aclose()

    async def _ask(
        self,
        kind: _Kind,
        ask: Callable[[Leave], Awaitable[T]],
        source: GuardedSource | None = None,
        marks: Marks | None = None,
    ) -> T:
        """Ask the place, more than once if need be; ``source`` is the body that goes with it, and
        ``marks`` has its mark if it makes something."""
        await in_a_task()  # for the time-outs here, and in the libraries of places
        began = self._clock()
        deadline = began + min(self._seconds * kind.times, kind.seconds_max)
        self._counters.requests += 1
        self._budget.note_request()
        tries, open_after = 0, set[Trouble]()
        try:
            while True:
                tries += 1
                try:
                    return await self._try(kind, ask, deadline, source)
                except NotAskedError as error:
                    if not open_after:
                        raise
                    failure = PlaceError(error.trouble, "it is not asked again")
                    break
                except PlaceError as error:
                    if source is not None and source.failure is not None:
                        raise
                    failure = error
                if failure.trouble in _MAY_HAVE_DONE:
                    open_after.add(failure.trouble)
                pause = self._pause_seconds(kind, failure, tries, deadline, source)
                if pause is None:
                    break
                if failure.trouble in _MAY_HAVE_DONE and marks and not await marks.renew():
                    break
                self._counters.retries += 1
                await asyncio.sleep(pause)
        finally:
            self._counters.note_latency(self._clock() - began)
        for trouble in _MAY_HAVE_DONE:
            if trouble in open_after and (trouble is Trouble.SILENT or is_undone(failure)):
                # What was asked first may have been done, whatever the place says now.
                failure = PlaceError(trouble, failure.reason)
                break
        self._counters.note_failure(failure.trouble.name)
        # Not where it was caught: its cause is the reason, which the log is to have.
        raise self._named(kind.name, failure)

    def _pause_seconds(
        self,
        kind: _Kind,
        failure: PlaceError,
        tries: int,
        deadline: float,
        source: GuardedSource | None,
    ) -> float | None:
        """How long to wait before the next try; None when there is to be none."""
        again = failure.trouble in kind.again or isinstance(failure, LostConnectionError)
        if not again or (source is not None and source.is_begun):
            return None
        return self._budget.pause_seconds(tries, deadline - self._clock())

    async def _try(
        self,
        kind: _Kind,
        ask: Callable[[Leave], Awaitable[T]],
        deadline: float,
        source: GuardedSource | None,
    ) -> T:
        turnstile = self._calls if source is None else self._writes
        slot = await self._enter(kind, turnstile, deadline - self._clock())
        try:
            leave = self._breaker.admit()
            if leave is None:
                raise self._cut_off(kind)
            try:
                seconds = deadline - self._clock()
                answer = await self._answer(lambda: ask(leave), seconds, source)
            except PlaceError as error:
                is_lost = isinstance(error, LostConnectionError) and error.was_kept
                if is_lost or (source is not None and source.failure is not None):
                    self._breaker.abandoned(leave)
                else:
                    self._note_failure(kind, leave, turnstile, slot, error)
                raise
            except (S3Error, DataNotFoundError):
                if source is not None and source.failure is not None:
                    self._breaker.abandoned(leave)
                else:
                    self.note_answer(leave)
                raise
            except BaseException:
                self._breaker.abandoned(leave)
                raise
            if kind is _COPY and answer is None:
                self._breaker.abandoned(leave)  # it was not asked
            elif kind is not _OPEN or leave.is_try:
                self.note_answer(leave)
            turnstile.succeeded()
            return answer
        finally:
            slot.leave()

    async def _answer(
        self, ask: Callable[[], Awaitable[T]], seconds: float, source: GuardedSource | None
    ) -> T:
        """Ask once, and wait for so long. Raises PlaceError for silence."""
        try:
            async with asyncio.timeout(seconds) as limit:
                if source is not None:
                    source.limit = limit
                return await ask()
        except TimeoutError:
            if source is not None and source.failure is not None:
                raise
        raise PlaceError(Trouble.SILENT, f"no answer within {seconds:.3g} s")

    async def _enter(self, kind: _Kind, turnstile: Turnstile, seconds: float) -> Slot:
        """Come in, unless the place is cut off. Raises PlaceError."""
        if self._breaker.is_shut:
            raise self._cut_off(kind)
        try:
            return await turnstile.enter(min(seconds, WAIT_SECONDS_MAX))
        except CrowdedError:
            pass
        if self._breaker.is_shut:
            raise self._cut_off(kind)
        self._counters.note_failure("CROWDED")
        reason = f"{turnstile.taken} are being served, and {turnstile.waiting} wait"
        raise NotAskedError(Trouble.BUSY, self._reason(kind.name, reason))

    def _cut_off(self, kind: _Kind) -> PlaceError:
        self._counters.note_failure("CUT_OFF")
        reason = f"not asked, as it failed: {self._breaker.reason}"
        return NotAskedError(Trouble.UNREACHED, self._reason(kind.name, reason))

    # -- What is learnt from it -------------------------------------------------------------------

    def note_answer(self, leave: Leave) -> None:
        """The place has answered as it should, or has refused something with good reason."""
        if self._is_refused:
            self._is_refused = False
            self._log.info("a location lets us in again", location=self._name)
        if self._breaker.succeeded(leave):
            self._counters.closed += 1
            self._log.info("a location is there again", location=self._name)

    def reading_failed(self, leave: Leave, failure: PlaceError) -> PlaceError:
        """A body has broken off; the error to raise."""
        self._counters.note_failure(failure.trouble.name)
        self._note_circuit("read", leave, failure)
        return self._named("read", failure)

    def _note_failure(
        self, kind: _Kind, leave: Leave, turnstile: Turnstile, slot: Slot, failure: PlaceError
    ) -> None:
        if failure.trouble is Trouble.BUSY:
            was_slowed = turnstile.is_slowed
            if turnstile.slow_down(slot) and not was_slowed and self._may_tell("busy"):
                self._log_trouble("a location wants to be asked less", kind.name, failure)
        elif failure.trouble is Trouble.REFUSED and not self._is_refused:
            # It may refuse some of what it is asked, and do the rest.
            self._is_refused = self._may_tell("refused")
            if self._is_refused:
                self._log_trouble("a location does not let us in", kind.name, failure)
        self._note_circuit(kind.name, leave, failure)

    def _note_circuit(self, operation: str, leave: Leave, failure: PlaceError) -> None:
        is_blob_alone = failure.trouble is Trouble.BROKEN and operation in _READING
        if failure.trouble not in _CIRCUIT or is_blob_alone:
            if self._breaker.succeeded(leave):
                self._counters.closed += 1
                self._log.info("a location answers again", location=self._name)
        elif self._breaker.failed(leave, failure.reason):
            self._counters.opened += 1
            self._log_trouble("a location is cut off", operation, failure)
            for turnstile in (self._calls, self._reads, self._writes):
                turnstile.turn_away()

    def _may_tell(self, what: str) -> bool:
        """Whether this was not told for a while."""
        now = self._clock()
        if now < self._told_until.get(what, 0.0):
            return False
        self._told_until[what] = now + _TELL_SECONDS
        return True

    def _log_trouble(self, event: str, operation: str, failure: PlaceError) -> None:
        self._log.warning(
            event,
            location=self._name,
            operation=operation,
            trouble=failure.trouble.name,
            reason=failure.reason,
        )

    def _reason(self, operation: str, reason: str) -> str:
        return f"location {self._name!r}, {operation}: {reason}"

    def _named(self, operation: str, failure: PlaceError) -> PlaceError:
        return PlaceError(failure.trouble, self._reason(operation, failure.reason))


class _Outcome(NamedTuple):
    """Whom the reader of a body tells how it ended."""

    store: ResilientStore
    leave: Leave

    def succeeded(self) -> None:
        self.store.note_answer(self.leave)

    def failed(self, failure: PlaceError) -> PlaceError:
        return self.store.reading_failed(self.leave, failure)
