"""The store of small blobs: appended to segments, one sync for all that arrive together.

Theory of operation. One thread writes. It takes the blobs that wait, appends them to the newest
segment with one write, syncs once, and only then tells their keys; while it syncs, the next ones
gather. A key says where its blob lies (``shared.segment_records``), so there is no index
to read, to write, or to lose, and opening a blob is one read, checked against its checksum. Another
thread deletes: it marks the record, and turns the blocks that only deleted records touch into
holes; a segment that is all holes is removed. The newest segment gets its holes when it is
complete.

Everything that the two threads decide on is theirs alone; which segments there are, and which of
them are open, is the event loop's. A descriptor is never closed while a thread uses it.

Segments of bodies are written by the metadata service (``dmd.data.packed.body_segments``). They are
found here when they are first asked for, and read and deleted as all others. Whether one may still
grow is what its writer's lock says, and no block of one that may becomes a hole.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from isal.isal_zlib import crc32

from dmd.data.base import BlobInfo, BlobNotFoundError, InventoryPage, StoreError
from dmd.data.blob_keys import created_at_ms
from dmd.data.disk import Disk, store_error, store_errors
from dmd.data.memory_store import MemoryBlob
from dmd.data.packed import segment as segments
from dmd.data.packed.body_segments import is_complete
from dmd.data.packed.growing import SEGMENT_BYTES_MAX, numbers_in
from dmd.data.packed.newest import Append, NewestSegment
from dmd.data.packed.upgrade import rewrite_states
from dmd.data.waiting import to_the_end
from dmd.group_worker import Worker
from shared.failpoints import FailPoint, failpoint
from shared.packed_reader import read_blob, read_blob_cached, segment_path
from shared.process.logs import EventLog
from shared.segment_records import Place, State, holds_bodies, place_of

GROUP_ITEMS_MAX: Final = 512
GROUP_BYTES_MAX: Final = 8 * 1024 * 1024
"""What one write and one sync carry at most, so that no blob waits for long."""

OPEN_SEGMENTS_MAX: Final = 256

READER_THREADS: Final = 8

_T = TypeVar("_T")
_KEPT: Final = (State.LIVE, State.QUARANTINED)

UPGRADE_PAUSE_SECONDS: Final = 0.1
"""Between two old segments that are gone through, for the sake of everybody else."""


@dataclass(slots=True)
class _Open:
    """A segment's descriptor, and how many threads use it."""

    descriptor: int
    users: int = 0


class _Change(msgspec.Struct, frozen=True):
    """A change of a record's state, and whether the blocks that it frees become holes at once, and
    those of earlier changes that could make none."""

    before: Sequence[State]
    after: State
    punches: bool
    sweeps: bool


class PackedStore:
    """Small blobs in the directory ``folder``, which the caller owns. Make it in the event loop.

    The constructor blocks for a fraction of a second; it raises OSError.
    """

    def __init__(
        self, folder: Path, disk: Disk, log: EventLog, segment_bytes_max: int = SEGMENT_BYTES_MAX
    ) -> None:
        self._folder = folder
        self._disk = disk
        self._log = log
        self._loop = asyncio.get_running_loop()
        self._numbers = numbers_in(folder)
        self._open_segments: OrderedDict[int, _Open] = OrderedDict()
        self._can_punch = True
        self._newest = NewestSegment(
            folder, disk, self._segment_began, self._segment_completed, segment_bytes_max
        )
        self._growing = self._newest.growing or 0
        """The number of the segment that grows, as the event loop knows; 0 for none."""
        if self._newest.cut_bytes:
            log.info("cut off what was not acknowledged", bytes=self._newest.cut_bytes)
        if self._newest.unclear_bytes:
            log.warning(
                "the end of a segment is damaged: it stays as it is",
                segment=self._newest.number,
                bytes=self._newest.unclear_bytes,
            )
        self._writer: Worker[Append, str] = Worker(
            "packed-writer",
            self._append_all,
            items_max=GROUP_ITEMS_MAX,
            size_max=GROUP_BYTES_MAX,
            size_of=lambda blob: blob.size,
        )
        self._changer: Worker[Callable[[], int], int] = Worker(
            "packed-changer",
            _call_all,
            items_max=GROUP_ITEMS_MAX,
            size_max=GROUP_ITEMS_MAX,
            size_of=lambda _change: 1,
        )
        self._readers = ThreadPoolExecutor(READER_THREADS, "packed-reader")
        self._sweeps: set[asyncio.Task[None]] = set()
        self._upgrading: asyncio.Task[None] | None = None
        self._old_states = False
        """Whether an old code for deleted is believed."""
        self._newest_bodies = 0
        """The highest number of a segment of bodies, as far as the event loop knows."""
        self._marked_bodies: set[int] = set()
        """Those with deletions that have made no holes, as they were growing."""
        self._learn(self._numbers)

    def upgrade(self, last: int, upgraded: Callable[[], Awaitable[None]]) -> None:
        """Give the segments up to the number ``last`` today's state codes, in the background; call
        ``upgraded`` when all have them, durably. Called at once, or never."""
        self._old_states = True
        self._upgrading = self._loop.create_task(self._upgrade(last, upgraded))

    async def _upgrade(self, last: int, upgraded: Callable[[], Awaitable[None]]) -> None:
        try:
            count = await self._rewrite_states(last)
            await upgraded()
        except StoreError as error:
            self._log.warning("old segments keep their states until a restart", error=str(error))
            return
        self._old_states = False
        self._log.info("old segments have the states of this release", changed=count)

    async def _rewrite_states(self, last: int) -> int:
        count = 0
        for number in sorted(number for number in self._numbers if number <= last):
            with contextlib.suppress(BlobNotFoundError), self._descriptor(number) as descriptor:
                rewrite = partial(rewrite_states, descriptor, number)
                count += await to_the_end(self._changer.submit(rewrite))
            await asyncio.sleep(UPGRADE_PAUSE_SECONDS)
        return count

    def _meaning(self, state: State) -> State:
        """One of today's states."""
        if state is State.OLD_DELETED:
            return State.DELETED if self._old_states else State.LIVE
        return State.QUARANTINED if state is State.OLD_QUARANTINED else state

    def append(self, pieces: Sequence[bytes], length: int) -> asyncio.Future[str]:
        """Store a blob durably; the future has its key, or a StoreError.

        The blob is stored even if the future is cancelled.
        """
        return self._writer.submit(Append(pieces, length))

    def may_hold(self, key: str) -> bool:
        """Whether the blob of this key, 40 hexadecimal digits, can be in this store."""
        return self._is_there(place_of(key).segment)

    async def open(self, key: str) -> MemoryBlob:
        """Open a blob; the whole of it is read. Raises BlobNotFoundError, StoreError.

        A blob in quarantine is needed after all, and leaves it.
        """
        place = place_of(key)
        opened = self._opened(place.segment)
        found = read_blob_cached(opened.descriptor, place)
        if found is None or found[0] is None:
            with self._descriptor(place.segment) as descriptor, store_errors():
                found = await self._in_reader(partial(read_blob, descriptor, place))
        record, content = found
        state = None if record is None else self._meaning(record.state)
        if record is None or record.key != key or state is State.DELETED:
            raise BlobNotFoundError(key)
        if crc32(content) != record.checksum:
            self._log.error("a blob is damaged", key=key, segment=place.segment)
            raise StoreError("EIO: the stored bytes are damaged")
        if state is State.QUARANTINED:
            self._log.warning("a blob in quarantine is needed: it is back", key=key)
            await self.restore(key)
        return MemoryBlob(content)

    async def delete(self, key: str) -> None:
        """Delete a blob. Raises BlobNotFoundError, StoreError."""
        await self._change(key, State.DELETED)

    async def quarantine(self, key: str) -> None:
        """Take a blob out of use. Raises BlobNotFoundError, StoreError."""
        await self._change(key, State.QUARANTINED)

    async def restore(self, key: str) -> None:
        """Take a blob back into use. Raises BlobNotFoundError, StoreError."""
        await self._change(key, State.LIVE)

    async def purge(self, key: str) -> None:
        """Delete a blob that is in quarantine. Raises BlobNotFoundError, StoreError."""
        await self._change(key, State.DELETED, (State.QUARANTINED,))

    async def inventory(self, cursor: str | None, count: int) -> InventoryPage:
        """See ``dmd.data.base.BlobStore``."""
        first, start = _parse_cursor(cursor)
        if cursor is None:
            # What was there before is listed: blobs of another process, too.
            await self._find_all_bodies()
        found: list[BlobInfo] = []
        for number in sorted(number for number in self._numbers if number >= first):
            offset = start if number == first else 0
            try:
                with self._descriptor(number) as descriptor, store_errors():
                    place = Place(number, offset)
                    scan = partial(_scan, descriptor, place, count - len(found), self._meaning)
                    blobs, following = await self._in_reader(scan)
            except BlobNotFoundError:
                continue  # removed meanwhile: it was empty
            found += blobs
            if following is not None:
                return InventoryPage(found, f"{number:x}-{following:x}")
        return InventoryPage(found, None)

    async def reclaim(self) -> None:
        """Make holes of all that is deleted: a crash may have kept a deletion from doing it.

        Raises StoreError.
        """
        await self._find_all_bodies()
        for number in sorted(self._numbers - {self._growing}):
            await self._sweep(number)

    async def close(self) -> None:
        """Write what waits, end the threads, release everything."""
        await self._writer.close()
        if self._upgrading is not None:
            self._upgrading.cancel()  # the next start goes on
            await asyncio.wait([self._upgrading])
        await asyncio.gather(*self._sweeps, return_exceptions=True)
        await self._changer.close()
        await asyncio.to_thread(self._readers.shutdown)
        await asyncio.to_thread(self._newest.stop)
        for opened in self._open_segments.values():
            _close(opened.descriptor)
        self._open_segments.clear()

    # On the event loop.

    async def _in_reader(self, work: Callable[[], _T]) -> _T:
        return await to_the_end(self._loop.run_in_executor(self._readers, work))

    @contextlib.contextmanager
    def _descriptor(self, number: int) -> Iterator[int]:
        """A segment's descriptor, for as long as the block runs.

        Raises BlobNotFoundError when there is no such segment, StoreError.
        """
        opened = self._opened(number)
        opened.users += 1
        try:
            yield opened.descriptor
        finally:
            opened.users -= 1

    def _opened(self, number: int) -> _Open:
        """A segment, open until another one is needed. Raises as ``_descriptor``."""
        opened = self._open_segments.get(number)
        if opened is None:
            return self._open_segment(number)
        self._open_segments.move_to_end(number)
        return opened

    async def _find_all_bodies(self) -> None:
        """Know all segments of bodies that are there."""
        with store_errors():
            self._learn(await self._in_reader(partial(numbers_in, self._folder)))

    def _is_there(self, number: int) -> bool:
        """Whether there is a segment. One of bodies may have been made since this was asked."""
        if number in self._numbers:
            return True
        if not (holds_bodies(number) and segment_path(self._folder, number).exists()):
            return False
        self._learn((number,))
        return True

    def _learn(self, there: Iterable[int]) -> None:
        """Know segments of bodies; the writer of a new one has completed its last."""
        found = [number for number in there if holds_bodies(number)]
        self._numbers.update(found)
        newest = max(found, default=0)
        if newest > self._newest_bodies:
            self._newest_bodies = newest
            marked, self._marked_bodies = self._marked_bodies, set()
            for earlier in marked:
                self._completed(earlier)

    def _open_segment(self, number: int) -> _Open:
        if not self._is_there(number):
            raise BlobNotFoundError
        path = segment_path(self._folder, number)
        try:
            opened = _Open(os.open(path, os.O_RDWR | os.O_CLOEXEC))
        except FileNotFoundError as error:
            if not holds_bodies(number):
                raise store_error(error) from error
            self._numbers.discard(number)  # removed while the directory was listed
            raise BlobNotFoundError from None
        except OSError as error:
            raise store_error(error) from error
        self._open_segments[number] = opened
        if len(self._open_segments) > OPEN_SEGMENTS_MAX:
            unused = [old for old, other in self._open_segments.items() if not other.users]
            for old in unused[: len(self._open_segments) - OPEN_SEGMENTS_MAX]:
                if old != number:
                    _close(self._open_segments.pop(old).descriptor)
        return opened

    async def _change(self, key: str, state: State, before: Sequence[State] = _KEPT) -> None:
        """Change the state of a blob that has one of the states ``before``."""
        place = place_of(key)
        # The newest segment gets its holes when it is complete: this thread does that later.
        punches = state is State.DELETED and place.segment != self._growing
        change = _Change(before, state, punches, punches and place.segment in self._marked_bodies)
        with self._descriptor(place.segment) as descriptor:
            work = partial(self._change_state, descriptor, key, change)
            unneeded = await to_the_end(self._changer.submit(work))
        if unneeded:
            self._remove(place.segment)

    async def _sweep(self, number: int) -> None:
        try:
            with self._descriptor(number) as descriptor:
                work = partial(self._make_holes, descriptor, number)
                unneeded = await to_the_end(self._changer.submit(work))
        except BlobNotFoundError:
            return
        if unneeded:
            self._remove(number)

    def _remove(self, number: int) -> None:
        """Remove a complete segment of which nothing is left."""
        opened = self._open_segments.get(number)
        if opened is None or opened.users:
            return  # whoever uses it removes it, or the next sweep
        self._numbers.discard(number)
        del self._open_segments[number]
        _close(opened.descriptor)
        try:
            self._disk.remove(segment_path(self._folder, number))
        except OSError as error:
            self._log.warning("an empty segment stays", segment=number, error=str(error))

    def _began(self, number: int) -> None:
        self._numbers.add(number)
        self._growing = number

    def _marked(self, number: int) -> None:
        """A deletion in a segment of bodies has made no holes: it was growing."""
        if number == self._newest_bodies:
            self._marked_bodies.add(number)
        else:
            self._completed(number)  # since then the next one has been heard of

    def _completed(self, number: int) -> None:
        if self._growing == number:
            self._growing = 0
        sweeping = self._loop.create_task(self._sweep(number))
        self._sweeps.add(sweeping)
        sweeping.add_done_callback(self._swept)

    def _swept(self, sweeping: asyncio.Task[None]) -> None:
        self._sweeps.discard(sweeping)
        if not sweeping.cancelled() and (error := sweeping.exception()) is not None:
            self._log.warning("deleted blobs keep their space for now", error=str(error))

    # In the thread that writes.

    def _append_all(self, group: Sequence[Append]) -> Sequence[str | Exception]:
        try:
            return self._newest.append(group)
        except OSError as error:
            return [store_error(error)] * len(group)
        except MemoryError:
            return [StoreError("ENOMEM: no memory")] * len(group)

    def _segment_began(self, number: int) -> None:
        # Runs on the event loop before any key of the segment is told there.
        self._loop.call_soon_threadsafe(self._began, number)

    def _segment_completed(self, number: int) -> None:
        self._loop.call_soon_threadsafe(self._completed, number)

    # In the thread that changes. True: nothing is left of the segment.

    def _change_state(self, descriptor: int, key: str, change: _Change) -> bool:
        place = place_of(key)
        record = segments.read_header(descriptor, place)
        if record is None or record.key != key or self._meaning(record.state) not in change.before:
            raise BlobNotFoundError(key)
        if change.after is not State.DELETED:
            segments.write_state(descriptor, record, change.after)
            return False
        failpoint(FailPoint.BEFORE_DATA_UNLINK)
        segments.write_state(descriptor, record, change.after)
        failpoint(FailPoint.AFTER_DATA_UNLINK)
        if not change.punches:
            return False
        if holds_bodies(place.segment) and not is_complete(descriptor):
            self._loop.call_soon_threadsafe(self._marked, place.segment)
            return False
        start, end = segments.free_range(descriptor, place.segment, record)
        self._punch(descriptor, start, end)
        if change.sweeps:
            # Its writer has ended it without a next one: there was no room for that.
            self._loop.call_soon_threadsafe(self._marked_bodies.discard, place.segment)
            return self._make_holes(descriptor, place.segment)
        return segments.is_empty(descriptor)

    def _make_holes(self, descriptor: int, number: int) -> bool:
        if holds_bodies(number) and not is_complete(descriptor):
            return False
        size = os.fstat(descriptor).st_size
        unneeded = size == 0
        for start, end in segments.free_ranges(descriptor, number):
            self._punch(descriptor, start, end)
            unneeded = start == 0 and end >= size
        return unneeded or segments.is_empty(descriptor)

    def _punch(self, descriptor: int, start: int, end: int) -> None:
        if start < end and self._can_punch and not segments.punch(descriptor, start, end):
            self._can_punch = False
            self._log.warning("no holes on this file system: only whole segments are given back")


def _close(descriptor: int) -> None:
    """An error of closing what was read, or synced, is nobody's."""
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _call_all(group: Sequence[Callable[[], int]]) -> Sequence[int | Exception]:
    results: list[int | Exception] = []
    for work in group:
        try:
            results.append(work())
        except OSError as error:
            results.append(store_error(error))
        except Exception as error:
            results.append(error)
    return results


def _scan(
    descriptor: int, start: Place, count: int, meaning: Callable[[State], State]
) -> tuple[list[BlobInfo], int | None]:
    """Up to ``count`` blobs of a segment from a place on, and the offset to go on from if there may
    be more."""
    found: list[BlobInfo] = []
    for record in segments.scan(descriptor, start.segment, start.offset):
        if len(found) >= count:
            return found, record.offset
        state = meaning(record.state)
        if state is not State.DELETED:
            quarantined = state is State.QUARANTINED
            made = created_at_ms(record.key)
            found.append(BlobInfo(record.key, record.length, made, quarantined))
    return found, None


def _parse_cursor(cursor: str | None) -> tuple[int, int]:
    number, _, offset = (cursor or "0-0").partition("-")
    return int(number, 16), int(offset, 16)
