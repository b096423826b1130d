"""One segment: a file of records, read, scanned, and given back to the file system block by block.

All functions block; they raise OSError. A segment grows at its end only, by the one thread that
writes; afterwards nothing changes but the state of its records, and blocks none of whose records is
needed any more become holes.

Rules for holes. The file system has blocks of 4,096 bytes. A block may become a hole when every
record that touches it is deleted. Which those are is found from the record that was deleted: the
records before it, as far as they reach into its first block, and those behind it that begin in its
last. A header that lies in a hole was deleted. A header that is damaged, be it to zeros, keeps its
blocks: they may hold a blob that can be saved. So does a deleted one with a code of format 2.
"""

from __future__ import annotations

import ctypes
import errno
import os
from collections.abc import Iterator
from typing import Final

from shared.segment_records import (
    ALIGNMENT,
    HEADER_BYTES,
    MAGIC,
    STATE_OFFSET,
    Place,
    Record,
    State,
    parse_header,
)

BLOCK_BYTES: Final = 4096
_WINDOW_BYTES: Final = 1024 * 1024
_KEEP_SIZE: Final = 1
_PUNCH_HOLE: Final = 2

_fallocate = ctypes.CDLL(None, use_errno=True).fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)


def read_header(descriptor: int, place: Place) -> Record | None:
    """The record at a place; None when there is none."""
    return parse_header(os.pread(descriptor, HEADER_BYTES, place.offset), 0, place)


def write_state(descriptor: int, record: Record, state: State) -> None:
    """Change the state of a record. Not made durable: after a crash the old one may be back."""
    os.pwrite(descriptor, state.value, record.offset + STATE_OFFSET)


class Window:
    """Reads a file forwards, a large piece at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._start = 0
        self._data = b""

    def at(self, offset: int, length: int) -> tuple[bytes, int]:
        """Bytes that hold those from ``offset`` on, and the position of ``offset`` in them: at
        least ``length`` bytes, or all up to the end of the file."""
        position = offset - self._start
        if position < 0 or position + length > len(self._data):
            self._data = os.pread(self._descriptor, max(length, _WINDOW_BYTES), offset)
            self._start, position = offset, 0
        return self._data, position


def scan(descriptor: int, segment: int, start: int = 0) -> Iterator[Record]:
    """All records from the offset ``start`` on, in order, whatever lies between them."""
    end = os.fstat(descriptor).st_size
    window = Window(descriptor)
    offset = start
    while offset + HEADER_BYTES <= end:
        data, position = window.at(offset, HEADER_BYTES)
        record = parse_header(data, position, Place(segment, offset))
        if record is not None:
            yield record
            offset = record.end
            continue
        following = _next_candidate(descriptor, window, offset, end)
        if following is None:
            return
        offset = following


def _next_candidate(descriptor: int, window: Window, offset: int, end: int) -> int | None:
    """The next place behind ``offset`` that looks like a record; holes are passed over."""
    offset += ALIGNMENT
    while offset + HEADER_BYTES <= end:
        data_at = next_data(descriptor, offset)
        if data_at is None:
            return None
        offset = max(offset, data_at // ALIGNMENT * ALIGNMENT)
        data, position = window.at(offset, BLOCK_BYTES)
        found = data.find(MAGIC, position)
        while found >= 0 and (offset + found - position) % ALIGNMENT:
            found = data.find(MAGIC, found + 1)
        if found >= 0:
            return offset + found - position
        # What is left at the end of the window is shorter than a magic number's alignment.
        offset += max(ALIGNMENT, (len(data) - position) // ALIGNMENT * ALIGNMENT)
    return None


def next_data(descriptor: int, offset: int) -> int | None:
    """The first offset from ``offset`` on that is not in a hole; None when all that follows is."""
    try:
        return os.lseek(descriptor, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        raise


def free_range(descriptor: int, segment: int, record: Record) -> tuple[int, int]:
    """The blocks that a deleted record has left to nobody: first byte, and the one behind the last.

    Empty when it shares its blocks with records that are needed.
    """
    first_block = record.offset // BLOCK_BYTES * BLOCK_BYTES
    last_end = -(-record.end // BLOCK_BYTES) * BLOCK_BYTES
    lower = first_block
    if not _all_deleted_before(descriptor, segment, record, first_block):
        lower += BLOCK_BYTES if record.offset > first_block else 0
    upper = last_end
    if not _all_deleted_behind(descriptor, segment, record.end, last_end):
        upper = record.end // BLOCK_BYTES * BLOCK_BYTES
    return lower, upper


def _all_deleted_before(descriptor: int, segment: int, record: Record, block: int) -> bool:
    """Whether all records before this one that reach into its first block are deleted."""
    while record.offset > block and record.previous is not None:
        place = Place(segment, record.previous)
        header = os.pread(descriptor, HEADER_BYTES, place.offset)
        before = parse_header(header, 0, place)
        if before is None:
            return place.offset < block and _is_hole(descriptor, place.offset, HEADER_BYTES)
        if before.state is not State.DELETED:
            return False
        record = before
    return True


def _is_hole(descriptor: int, offset: int, length: int) -> bool:
    data_at = next_data(descriptor, offset)
    return data_at is None or data_at >= offset + length


def _all_deleted_behind(descriptor: int, segment: int, offset: int, block_end: int) -> bool:
    """Whether all records that begin at ``offset`` or behind it in this block are deleted."""
    end = os.fstat(descriptor).st_size
    while offset < min(block_end, end):
        record = read_header(descriptor, Place(segment, offset))
        if record is None or record.state is not State.DELETED:
            return False
        offset = record.end
    return True


def free_ranges(descriptor: int, segment: int) -> Iterator[tuple[int, int]]:
    """All runs of blocks of a complete segment that only deleted records touch."""
    free_from = reached = 0
    for record in scan(descriptor, segment):
        if record.offset > reached:
            # A hole, or a damaged header: what surrounds it is left as it is.
            yield from _blocks(free_from, reached)
            free_from = record.offset
        if record.state is not State.DELETED:
            yield from _blocks(free_from, record.offset)
            free_from = record.end
        reached = record.end
    size = os.fstat(descriptor).st_size
    yield from _blocks(free_from, reached if reached < size else size + BLOCK_BYTES - 1)


def _blocks(start: int, end: int) -> Iterator[tuple[int, int]]:
    lower = -(-start // BLOCK_BYTES) * BLOCK_BYTES
    upper = end // BLOCK_BYTES * BLOCK_BYTES
    if lower < upper:
        yield lower, upper


def punch(descriptor: int, start: int, end: int) -> bool:
    """Give a range of blocks back to the file system; False where it cannot do that."""
    if _fallocate(descriptor, _KEEP_SIZE | _PUNCH_HOLE, start, end - start) == 0:
        return True
    code = ctypes.get_errno()
    if code in (errno.EOPNOTSUPP, errno.ENOSYS):
        return False
    raise OSError(code, os.strerror(code))


def is_empty(descriptor: int) -> bool:
    """Whether the file consists of holes."""
    return next_data(descriptor, 0) is None
