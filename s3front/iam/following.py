"""Keeping a directory as the metadata have it: everything is read once, and then what changes.

*Rules*

1. Every ``LOOK_SECONDS`` one question: is the version still the one that is known. Only when it is
   not, the changes since then are read, and the records that they name, in one snapshot.
2. When changes are missing, or were made to another store than the one that was read, everything is
   read again; so it is at every change of a daemon that has no commits, where two that write at
   once may lose each other's list.
3. ``refresh`` is a question that begins after its call. Any number of calls at once ask twice at
   most: one question may be under way already, and the next is for all of them.
4. What was told is good for ``FRESH_SECONDS`` from the question on, and over the same connection.
   Then whoever needs it asks again, and nothing is allowed on what was known before. Longer than a
   few seconds makes no request succeed, as each of them needs the metadata as well.
5. Nobody waits for metadata that are silent: whoever waits gives up ``SILENCE_SECONDS_MAX`` after
   the question, or what was told last; who comes later than that, after ``LATER_SECONDS_MAX``. The
   question goes on, and whatever it brings counts.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Final, NoReturn

import msgspec

from s3front.iam.change_log import (
    NO_CHANGES,
    Version,
    change_key,
    change_operations,
    changed_of,
    still,
    version_of,
)
from s3front.iam.directory import Directory
from s3front.iam.records import VERSION_KEY
from s3front.metadata.gateway import Known, MetadataGateway, Operation, Requirement, Same
from s3front.s3_errors import S3Error
from shared.process.logs import EventLog
from shared.records.names import IAM, IAM_CHANGES

LOOK_SECONDS: Final = 0.25
"""How often it is asked whether anything has changed."""

FRESH_SECONDS: Final = 5.0
"""How long what was told is good, when nobody answers any more."""

SILENCE_SECONDS_MAX: Final = 5.0
"""How long anybody waits when nothing is told, and"""
LATER_SECONDS_MAX: Final = 1.0
"""who comes when it has been so for that long."""

CHANGES_MAX: Final = 500
"""More changes than these are not read one by one."""

_KEYS_MAX: Final = 200
"""Records that are read at once."""

_TRIES: Final = 20
_REQUEST_ID: Final = "iam"


class Following:
    """See the module; it is the directory's source from now on."""

    def __init__(
        self,
        metadata: MetadataGateway,
        directory: Directory,
        log: EventLog,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metadata = metadata
        self._directory = directory
        self._log = log
        self._clock = clock
        self._version = NO_CHANGES
        self._revision: int | None = None
        self._is_loaded = False
        self._connection = -1
        self._told_at = -math.inf
        self._asked_at = self._heard_at = -math.inf
        self._asking: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        directory.source = self

    @property
    def is_fresh(self) -> bool:
        return (
            self._connection == self._metadata.connection
            and self._clock() - self._told_at < FRESH_SECONDS
        )

    async def run(self) -> NoReturn:
        """Look for ever."""
        fails = False
        while True:
            try:
                await asyncio.shield(self._question())
                fails = False
            except S3Error as error:
                if not fails:
                    self._log.warning("identities cannot be read", reason=str(error))
                fails = True
            await asyncio.sleep(LOOK_SECONDS)

    async def refresh(self) -> None:
        """See ``Source``. Whoever goes away takes the answer from nobody."""
        question = self._question()
        come_at = self._clock() - SILENCE_SECONDS_MAX + LATER_SECONDS_MAX
        while not question.done():
            last = max(come_at, self._asked_at, self._heard_at)
            left = last + SILENCE_SECONDS_MAX - self._clock()
            if left <= 0:
                raise S3Error("ServiceUnavailable")
            await asyncio.wait((question,), timeout=left)
        question.result()

    def _question(self) -> asyncio.Task[None]:
        """A question that has not begun yet."""
        loop = asyncio.get_running_loop()
        if self._asking is None:
            self._asking = question = loop.create_task(self._ask())
        elif self._next is None:
            self._next = question = loop.create_task(self._ask_after(self._asking))
        else:
            return self._next
        question.add_done_callback(_seen)
        return question

    async def _ask_after(self, asking: asyncio.Task[None]) -> None:
        await asyncio.wait((asking,))
        self._asking, self._next = self._next, None
        await self._ask()

    async def _ask(self) -> None:
        own = asyncio.current_task()
        try:
            for _ in range(_TRIES):
                at, connection = self._clock(), self._metadata.connection
                self._asked_at = at
                if await self._told():
                    self._told_at, self._connection = at, connection
                    return
        except msgspec.DecodeError as error:  # what counts changes is damaged
            raise S3Error("InternalError") from error
        finally:
            if self._asking is own and self._next is None:
                self._asking = None
        raise S3Error("ServiceUnavailable")  # it was changed each time, in between

    async def _told(self) -> bool:
        """Know the present state; False: somebody changes it right now."""
        known = None if self._revision is None else Known(self._revision, self._connection)
        (found,) = await self._metadata.get_with_known([(IAM, VERSION_KEY, known)], _REQUEST_ID)
        self._heard_at = self._clock()
        if isinstance(found, Same):
            return True
        version = version_of(None if found is None else found[0])
        if self._is_loaded and version == self._version:
            self._revision = None if found is None else found[1]
            return True
        keys = await self._changed_since(version) if self._is_loaded else None
        if keys is None or not await self._metadata.is_atomic():
            return await self._load(version)
        return await self._read(keys, version)

    async def _changed_since(self, version: Version) -> Sequence[str] | None:
        """The keys of the records that are others now; None when that cannot be said."""
        first, last = self._version.number + 1, version.number
        if not first <= last < first + CHANGES_MAX:
            return None
        wanted = [(IAM_CHANGES, change_key(number)) for number in range(first, last + 1)]
        previous, keys = self._version.id, dict[str, None]()
        for entry in await self._metadata.get_many(wanted, _REQUEST_ID):
            changed = None if entry is None else changed_of(entry[0])
            if changed is None or changed.previous != previous:
                return None
            previous = changed.id
            keys.update(dict.fromkeys(changed.keys))
        return list(keys) if previous == version.id else None

    async def _read(self, keys: Sequence[str], version: Version) -> bool:
        """Read these records, if they are still of this version."""
        before = self._version
        changes: dict[str, str | None] = {}
        revision: int | None = None
        for begin in range(0, len(keys), _KEYS_MAX):
            part = keys[begin : begin + _KEYS_MAX]
            wanted = [(IAM, key) for key in (VERSION_KEY, *part)]
            at, *entries = await self._metadata.get_many(wanted, _REQUEST_ID)
            if at is None or version_of(at[0]) != version:
                return False
            revision, self._heard_at = at[1], self._clock()
            for key, entry in zip(part, entries, strict=True):
                changes[key] = None if entry is None else entry[0]
        if self._version is not before:
            return False
        self._directory.identities.apply(changes)
        self._use(version, revision)
        return True

    async def _load(self, version: Version) -> bool:
        """Read everything. What is changed meanwhile is read again, as all that comes after this
        version; False: something was."""
        before = self._version
        records: list[tuple[str, str]] = []
        async with aclosing(self._metadata.pages(IAM, {}, _REQUEST_ID)) as pages:
            async for page in pages:
                records += page
                self._heard_at = self._clock()
        (found,) = await self._metadata.get_many([(IAM, VERSION_KEY)], _REQUEST_ID)
        if self._version is not before:
            return False
        is_same = version_of(None if found is None else found[0]) == version
        self._directory.identities.replace_all(each for each in records if each[0] != VERSION_KEY)
        self._is_loaded = True
        self._use(version, found[1] if is_same and found is not None else None)
        if unreadable := self._directory.identities.unreadable:
            self._log.error("identities that cannot be read", records=len(unreadable))
        return is_same

    def _use(self, version: Version, revision: int | None) -> None:
        self._version, self._revision = version, revision
        self._directory.changed()

    # --- Changing ------------------------------------------------------------------------------

    async def commit(
        self,
        writes: Mapping[str, str | None],
        request_id: str,
        besides: Sequence[Operation] = (),
        requires: Sequence[Requirement] = (),
    ) -> None:
        """Change records, decided on what the directory knows: texts by their keys, None for those
        that go. ``besides`` is done with it, and ``requires`` has to hold. Raises ChangedError when
        things are not so by now, and S3Error."""
        before, revision = self._version, self._revision
        change_id = secrets.token_hex(8)
        operations = [*besides, *change_operations(writes, before, change_id)]
        requires = [still(revision), *requires]
        done = await self._metadata.commit(operations, requires, request_id)
        if self._version is before:
            self._directory.identities.apply(writes)
            self._use(Version(before.number + 1, change_id), done.revisions[-1])


def _seen(question: asyncio.Task[None]) -> None:
    """Those who have waited for an answer may all be gone when it fails."""
    if not question.cancelled():
        question.exception()
