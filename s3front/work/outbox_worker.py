"""The worker of an outbox: a queue of entries that commits have appended.

An outbox is a sub-level. The keys of its entries begin with the time from which on they are due (ms
since the epoch, 14 digits), so that they are read in that order, a page at a time. An entry goes
only after it was done, in a commit under the worker's lease: a crash repeats an entry and never
forgets one.

No entry holds up another one:

1. An entry that needs a place which is away stays as it is, and so do all others that need it. The
   place is tried again after ``AWAY_SECONDS_MIN``, then twice as long each time up to
   ``AWAY_SECONDS_MAX``. Where it is cut off, one request is let through: one answer is enough then,
   and a trial in which the place was not asked at all tells nothing. Entries for other places are
   done meanwhile: those that wait are not read again and again, however many they are; and no step
   waits for a trial that takes long.
2. What else fails, or takes longer than ``ENTRY_SECONDS_MAX``, is tried again later,
   ``RETRY_SECONDS``, and then set aside as a dead letter with the reason. The number of tries is in
   the entry, so that it counts over all processes.
3. What is no entry, and what can never be done, is set aside at once.
4. An entry that says more than can be done in that time is done in several goes: what each of them
   has left of it takes its place.
5. What the daemon refuses to write of an entry is nothing to the others: they are written by
   themselves then, and of that entry a dead letter without its text.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Generic, TypeVar

import orjson

from s3front.metadata import gateway
from s3front.metadata.gateway import ChangedError, Found, Operation, Requirement
from s3front.metadata.outbox import later_key
from s3front.s3_errors import S3Error
from s3front.work.dead_letters import REASON_CHARACTERS_MAX, set_aside, tries_of
from s3front.work.job_lease import LeaseLostError
from s3front.work.worker import Pace, Step, Tools
from shared.failpoints import FailPoint, failpoint

RETRY_SECONDS: Final = (60, 600, 3600, 6 * 3600, 24 * 3600)
"""How long after each failure an entry is tried again."""

AWAY_SECONDS_MIN: Final = 1.0
AWAY_SECONDS_MAX: Final = 60.0
ENTRY_SECONDS_MAX: Final = 40.0
BEGIN_SECONDS_MAX: Final = 60.0
"""After so long, a step begins with no more entries, so that it ends in time however many hang."""

LOOK_AGAIN_SECONDS: Final = 600.0
"""How often the whole queue is read while some of it waits: a clock that was set back may have put
an entry before those that were read."""

_PAGE_ENTRIES: Final = 200
_PROBE_ENTRIES: Final = 20
_AT_ONCE: Final = 16
"""How many entries of one place are done at once: a place that hangs takes no room from others."""

TRIAL_SECONDS: Final = 0.2
IDLE_TRIAL_SECONDS: Final = 2.0
"""How long a step waits for the trials of places that were away: when there is more to do, and when
there is not."""

_COMMIT_CHARACTERS_MAX: Final = 4 * 1024**2
"""What one commit writes, unless one entry alone is more: a page of the largest entries fits into
no message."""

_AWAY: Final = 503
_DONE, _POSTPONED, _SET_ASIDE = "done", "postponed", "setAside"

Item = TypeVar("Item")


class PlaceAwayError(Exception):
    """An entry cannot be done as long as a place is away; ``was_asked``: it was found so just
    now."""

    def __init__(self, place: str, reason: str, *, was_asked: bool = True) -> None:
        super().__init__(reason)
        self.place = place
        self.was_asked = was_asked


class NeverError(Exception):
    """An entry can never be done, for the reason that this says."""


class MoreToDoError(Exception):
    """Something of an entry was done; ``left`` is the entry of all else, and takes its place if it
    is still there."""

    def __init__(self, left: Mapping[str, Any]) -> None:
        super().__init__("there is more to do")
        self.left = left


@dataclass(frozen=True, slots=True)
class _Outcome:
    """What became of the entry at ``key``, if that is counted, what is to be written of it, and
    what has to hold for that: else it was somebody else's meanwhile."""

    key: str
    became: str | None
    operations: Sequence[Operation]
    requirements: Sequence[Requirement] = ()

    @property
    def characters(self) -> int:
        return sum(len(operation.get("value", "")) for operation in self.operations)


@dataclass(slots=True)
class _Away:
    """A place that is away, and the first of the entries that wait for it."""

    first_key: str
    reason: str
    try_at: float
    rest_seconds: float
    is_confirmed: bool = False
    """Whether a trial has found it away once more."""
    tried: int = 0
    """How many entries a trial has begun with."""
    unasked: int = 0
    """For how many of them the place was not even asked."""


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Item]):
    """An entry that was read: where it is, what stands there, what it is, and what it needs."""

    key: str
    text: str
    revision: int | None
    document: Mapping[str, Any]
    item: Item
    places: Collection[str]


class OutboxWorker(ABC, Generic[Item]):
    """See the module. What is particular to an outbox says its subclass.

    ``level`` is its sub-level; an entry waits for ``delay_seconds`` after it is due.
    """

    def __init__(self, tools: Tools, level: str, delay_seconds: float = 0.0) -> None:
        self._tools = tools
        self._level = level
        self._delay_ms = int(delay_seconds * 1000)
        self._request_id = level.strip(".")
        self._position = ""
        """All entries up to here are done, or wait for a place that is away."""
        self._away: dict[str, _Away] = {}
        self._trials: dict[str, asyncio.Task[int]] = {}
        self._at_work: set[str] = set()
        """The keys of entries that are being done."""
        self._look_again_at = 0.0
        self._counts = {_DONE: 0, _POSTPONED: 0, _SET_ASIDE: 0}

    @abstractmethod
    def parse(self, document: Any) -> Item:
        """An entry of the outbox; raises anything when it is none."""

    @abstractmethod
    def places(self, item: Item) -> Collection[str]:
        """The names of the places that an entry needs."""

    @abstractmethod
    async def perform(self, item: Item) -> None:
        """Do what an entry says; twice must be harmless. Raises PlaceAwayError, NeverError,
        MoreToDoError, and anything else when it failed and may succeed another time."""

    def status(self) -> Mapping[str, Any]:
        """How many entries were done, postponed and set aside, and which places are away."""
        waiting = {place: away.reason for place, away in self._away.items()}
        return {**self._counts, **({"away": waiting} if waiting else {})}

    async def step(self) -> Step:
        """Work through a page of what is due."""
        now = self._tools.clock()
        for place, away in self._away.items():
            if away.try_at <= now and place not in self._trials:
                self._trials[place] = asyncio.ensure_future(self._try_place(place, away))
                self._trials[place].add_done_callback(_look_at_end)
        if now >= self._look_again_at:
            self._position, self._look_again_at = "", now + LOOK_AGAIN_SECONDS
        keys = await self._keys({"gt": self._position} if self._position else {}, _PAGE_ENTRIES)
        settled, begun = await self._settle_all(keys)
        has_more = len(keys) == _PAGE_ENTRIES or begun < len(keys)
        if begun:
            self._position = keys[begun - 1]
        is_busy = bool(settled) or has_more
        settled += await self._ended_trials(TRIAL_SECONDS if is_busy else IDLE_TRIAL_SECONDS)
        if not has_more and not self._away:
            self._position = ""
        return Pace.BUSY if settled or has_more else Pace.IDLE

    async def _ended_trials(self, seconds: float) -> int:
        """How many entries were settled by trials that have ended by then."""
        if not self._trials:
            return 0
        await asyncio.wait(self._trials.values(), timeout=seconds)
        ended = [place for place, trial in self._trials.items() if trial.done()]
        return sum([self._trials.pop(place).result() for place in ended])

    async def _try_place(self, name: str, away: _Away) -> int:
        """Try some entries of a place that was away; how many were settled."""
        away.is_confirmed, away.tried, away.unasked = False, 0, 0
        keys = await self._keys({"gte": away.first_key}, _PROBE_ENTRIES)
        settled, _ = await self._settle_all(keys, trial=name)
        if away.is_confirmed:
            away.rest_seconds = min(away.rest_seconds * 2, AWAY_SECONDS_MAX)
            away.try_at = self._tools.clock() + away.rest_seconds
            return settled
        if away.tried:
            knows_nothing = away.unasked >= away.tried
        else:  # what would have told may be being done elsewhere
            knows_nothing = not self._at_work.isdisjoint(keys)
        if knows_nothing:
            away.try_at = self._tools.clock() + AWAY_SECONDS_MIN
            return settled
        del self._away[name]
        self._tools.log.info("a place is there again", place=name, queue=self._level)
        # Everything behind may have waited for it, and so has what it was not asked for.
        is_whole = keys and not away.unasked
        self._position = min(self._position, keys[-1]) if is_whole else ""
        return settled

    async def _keys(self, bounds: Mapping[str, str], count: int) -> list[str]:
        """The keys of the next entries that are due; ``bounds`` as for createReadStream."""
        before = f"{max(self._now_ms() - self._delay_ms, 0):014}"
        options = {"lt": before, "limit": count, **bounds}
        return await self._tools.metadata.keys(self._level, options, self._request_id)

    async def _settle_all(self, keys: Sequence[str], trial: str = "") -> tuple[int, int]:
        """Do what entries say; how many were settled by that, one way or another, and how many of
        them, from the first on, were begun with. A ``trial`` asks a place that was away.
        """
        mine: set[str] = set()
        try:
            return await self._settle_mine(keys, mine, trial)
        finally:
            self._at_work -= mine

    async def _settle_mine(
        self, keys: Sequence[str], mine: set[str], trial: str
    ) -> tuple[int, int]:
        """The same; ``mine`` become those that are done here and nowhere else meanwhile."""
        begin_until = self._tools.clock() + BEGIN_SECONDS_MAX
        left: list[int] = []
        addresses = [(self._level, key) for key in keys]
        read = await self._tools.metadata.get_each(addresses, self._request_id)
        rooms: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(_AT_ONCE))

        async def settle(index: int, found: Found | None) -> _Outcome | None:
            if found is None:
                return None  # it was somebody else's, who had the lease before
            entry = self._read(keys[index], found)
            if isinstance(entry, _Outcome):
                return entry
            if trial and trial not in entry.places:
                return None
            async with rooms[min(entry.places, default="")]:
                if self._tools.clock() < begin_until:
                    return await self._settle(entry, trial, mine)
            left.append(index)
            return None

        results = await asyncio.gather(*(settle(*each) for each in enumerate(read)))
        settled = 0
        for outcomes in _in_commits([each for each in results if each is not None]):
            failpoint(FailPoint.AFTER_QUEUED_DATA_DELETION)
            settled += await self._conclude(outcomes)
        return settled, min(left, default=len(keys))

    async def _conclude(self, outcomes: Sequence[_Outcome]) -> int:
        """Write what became of entries, in one commit if the daemon takes it; of how many."""
        try:
            return await self._write(outcomes)
        except ChangedError:
            pass  # one of them is somebody else's by now
        except S3Error as error:
            if error.status == _AWAY:
                raise
        return sum([await self._conclude_alone(outcome) for outcome in outcomes])

    async def _conclude_alone(self, outcome: _Outcome) -> int:
        try:
            return await self._write([outcome])
        except ChangedError:
            return 0
        except S3Error as error:
            if error.status == _AWAY:
                raise
            code = error.code
        if code == "InsufficientStorage":
            self._tools.log.warning(
                "an entry waits for room on the disk", entry=outcome.key, queue=self._level
            )
            return 0
        reason = f"what became of it cannot be written: {code}"
        return await self._write([self._give_up(outcome.key, None, reason)])

    async def _write(self, outcomes: Sequence[_Outcome]) -> int:
        operations = [operation for outcome in outcomes for operation in outcome.operations]
        requires = [each for outcome in outcomes for each in outcome.requirements]
        await self._tools.metadata.commit(operations, requires, self._request_id)
        for outcome in outcomes:
            if outcome.became is not None:
                self._counts[outcome.became] += 1
        return len(outcomes)

    def _read(self, key: str, found: Found) -> _Entry[Item] | _Outcome:
        """An entry, or what becomes of that which is none."""
        text = found.text
        if text is None:
            return self._give_up(key, text, "the record is damaged")
        try:
            document = orjson.loads(text)
            item = self.parse(document)
            return _Entry(key, text, found.revision, document, item, self.places(item))
        except Exception as error:
            return self._give_up(key, text, f"it is no entry of this queue: {error}")

    async def _settle(self, entry: _Entry[Item], trial: str, mine: set[str]) -> _Outcome | None:
        """Do what an entry says; what became of it, None when it stays as it is."""
        key, text = entry.key, entry.text
        away = [self._away[name] for name in entry.places if name in self._away]
        # A trial that has found its place away goes no further.
        if [each for each in away if each is not self._away.get(trial) or each.is_confirmed]:
            for each in away:
                each.first_key = min(each.first_key, key)
            return None
        if key in self._at_work:
            return None
        self._at_work.add(key)
        mine.add(key)
        if trial in self._away:
            self._away[trial].tried += 1
        try:
            async with asyncio.timeout(ENTRY_SECONDS_MAX):
                await self.perform(entry.item)
        except PlaceAwayError as error:
            self._note_away(error, key)
            return None
        except NeverError as error:
            return self._give_up(key, text, str(error))
        except MoreToDoError as error:
            moved = self._moved(key, error.left, 0)
            # What is left of it may be to do only as long as nobody else has taken it.
            assert entry.revision is not None
            unchanged = gateway.has_revision(self._level, key, entry.revision)
            return replace(moved, requirements=[unchanged])
        except LeaseLostError:
            raise
        except Exception as error:
            return self._postpone(key, text, entry.document, _reason(error))
        return _Outcome(key, _DONE, [gateway.delete(self._level, key)])

    def _note_away(self, error: PlaceAwayError, key: str) -> None:
        place, reason = error.place, str(error)
        known = self._away.get(place)
        if known is not None:
            known.first_key = min(known.first_key, key)
            known.is_confirmed |= error.was_asked
            known.unasked += not error.was_asked
            return
        try_at = self._tools.clock() + AWAY_SECONDS_MIN
        self._away[place] = _Away(key, reason, try_at, AWAY_SECONDS_MIN)
        self._tools.log.warning(
            "entries wait while a place is away", place=place, queue=self._level, reason=reason
        )

    def _postpone(self, key: str, text: str, document: Mapping[str, Any], reason: str) -> _Outcome:
        """Try an entry again later, if it has not been tried too often."""
        tries = tries_of(document)
        if tries >= len(RETRY_SECONDS):
            return self._give_up(key, text, reason)
        self._tools.log.warning(
            "an entry could not be done yet", entry=key, queue=self._level, reason=reason
        )
        entry = {**document, "tries": tries + 1, "reason": reason}
        return self._moved(key, entry, RETRY_SECONDS[tries], _POSTPONED)

    def _moved(
        self, key: str, entry: Mapping[str, Any], seconds: float, became: str | None = None
    ) -> _Outcome:
        """Have an entry in place of the one at ``key``, due after so many seconds."""
        due_ms = self._now_ms() + int(seconds * 1000) - self._delay_ms
        later = later_key(key, due_ms)
        operations = [gateway.put(self._level, later, orjson.dumps(entry).decode())]
        if later != key:
            # Afterwards, for a daemon that does one thing after the other.
            operations.append(gateway.delete(self._level, key))
        return _Outcome(key, became, operations)

    def _give_up(self, key: str, text: str | None, reason: str) -> _Outcome:
        self._tools.log.error(
            "an entry cannot be done", entry=key, queue=self._level, reason=reason
        )
        operations = set_aside(self._level, key, text, reason, self._now_ms())
        return _Outcome(key, _SET_ASIDE, operations)

    def _now_ms(self) -> int:
        return int(self._tools.wall_clock() * 1000)


def _reason(error: Exception) -> str:
    """Why an entry failed, for people."""
    if isinstance(error, TimeoutError):
        return f"it took longer than {ENTRY_SECONDS_MAX:g} s"
    reason = str(error) if isinstance(error, S3Error) else repr(error)
    return reason[:REASON_CHARACTERS_MAX]


def _look_at_end(trial: asyncio.Task[int]) -> None:
    """A worker may be given up before it has asked how a trial ended; nobody is to wonder."""
    if not trial.cancelled():
        trial.exception()


def _in_commits(outcomes: Sequence[_Outcome]) -> Iterator[Sequence[_Outcome]]:
    """The same in as few commits as will do."""
    group: list[_Outcome] = []
    left = _COMMIT_CHARACTERS_MAX
    for outcome in outcomes:
        characters = outcome.characters
        if group and characters > left:
            yield group
            group, left = [], _COMMIT_CHARACTERS_MAX
        group.append(outcome)
        left -= characters
    if group:
        yield group
